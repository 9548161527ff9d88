#include "gateway/simulate/simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/json/json.h"
#include "gateway/simulate/simulation_report.h"
#include "storage/simulator/optimum.h"
#include "tests/support/random_trace.h"

namespace kvasir::testing {
namespace {

using ::testing::HasSubstr;

SimulationRequest shares(std::vector<double> all) {
  SimulationRequest request;
  request.policies = {PolicyKind::lru, PolicyKind::value};
  for (const double share : all) request.capacities.push_back({.share = share});
  request.threads = 3;
  return request;
}

std::vector<Trace> two_traces() {
  std::vector<Trace> traces{random_trace(1), random_trace(2)};
  traces[1].name = "other <&>";
  return traces;
}

TEST(Simulation, RowsByTraceCapacityAndPolicyEqualSingleReplays) {
  const std::vector<Trace> traces = two_traces();
  std::uint64_t done = 0, all = 0;
  const auto rows = simulate(traces, shares({0.05, 0.3}), [&](std::uint64_t d, std::uint64_t a) {
    done = d;
    all = a;
  });
  ASSERT_EQ(rows.size(), 8u);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const SimulationRow& row = rows[i];
    const Trace& trace = traces[i / 4];
    const auto capacity = static_cast<std::uint32_t>((i / 2 % 2 == 0 ? 0.05 : 0.3) * trace.unique_blocks);
    EXPECT_EQ(row.trace, &trace);
    EXPECT_EQ(row.policy, i % 2 == 0 ? PolicyKind::lru : PolicyKind::value);
    EXPECT_EQ(row.capacity_blocks, capacity);
    EXPECT_EQ(row.totals.hit_blocks, replay(trace, row.policy, capacity, Regime::unpinned).hit_blocks);
    EXPECT_EQ(row.opt_token_hit_ratio, replay_optimum(trace, capacity, Regime::unpinned).token_hit_ratio());
    EXPECT_EQ(row.lru_token_hit_ratio, rows[i - i % 2].totals.token_hit_ratio());
    EXPECT_EQ(row.infinite_token_hit_ratio, replay_infinite(trace).token_hit_ratio());
    if (row.policy == PolicyKind::lru) {
      EXPECT_EQ(row.lru_gap_closed().value_or(0), 0.0);
    }
  }
  EXPECT_LE(done, all);
}

TEST(Simulation, FindsTheCapacityOrSaysThatThereIsNone) {
  const std::vector<Trace> traces{random_trace(3)};
  SimulationRequest request = shares({});
  request.policies = {PolicyKind::lru};
  request.find = 0.5;
  const SimulationRow found = simulate(traces, request, {}).at(0);
  EXPECT_TRUE(found.found);
  EXPECT_GE(found.totals.token_hit_ratio(), 0.5);
  EXPECT_LT(replay(traces[0], PolicyKind::lru, found.capacity_blocks - 1, Regime::unpinned).token_hit_ratio(), 0.5);
  request.find = 1.0;  // the first use of a block is never a hit
  EXPECT_FALSE(simulate(traces, request, {}).at(0).found);
}

TEST(Simulation, JsonTellsEveryFigure) {
  const std::vector<Trace> traces{random_trace(4)};
  const SimulationUnits units{.block_bytes = 1'000, .prefill_tokens_per_second = 100, .scale = 2};
  const SimulationRow row = simulate(traces, shares({0.1}), {}).at(1);
  const auto json = parse_json(to_json(row, units));
  ASSERT_TRUE(json.ok());
  const auto number = [&](const char* name) {
    const Value* const member = json->find(name);
    return member && member->as_number() ? std::stod(member->as_number()->text) : -1;
  };
  EXPECT_EQ(*json->find("trace")->as_string(), "random");
  EXPECT_EQ(*json->find("policy")->as_string(), "value");
  EXPECT_EQ(*json->find("regime")->as_string(), "unpinned");
  EXPECT_EQ(number("requests"), 200);
  EXPECT_EQ(number("capacity_blocks"), row.capacity_blocks);
  EXPECT_NEAR(number("token_hit_ratio"), row.totals.token_hit_ratio(), 1e-5);
  EXPECT_NEAR(number("opt_token_hit_ratio"), row.opt_token_hit_ratio, 1e-5);
  EXPECT_NEAR(number("prefill_seconds_saved"), static_cast<double>(row.totals.hit_tokens) / 100, 1);
  EXPECT_EQ(number("capacity_bytes"), row.capacity_blocks * 1'000.0);
  EXPECT_EQ(number("scale"), 2);
}

TEST(Simulation, TiersTellWhereHitsWereAndWhatWasMoved) {
  const std::vector<Trace> traces{random_trace(5)};
  SimulationRequest request = shares({});
  request.tiers = TierCapacities{.host = 20, .disk = 100};
  const auto rows = simulate(traces, request, {});
  ASSERT_EQ(rows.size(), 2u);
  const std::string json = to_json(rows[1], {.block_bytes = 64});
  for (const char* member : {"host_token_hit_ratio", "disk_token_hit_ratio", "bytes_loaded", "bytes_written",
                             "disk_bytes_written_per_day", "disk_capacity_blocks"})
    EXPECT_THAT(json, HasSubstr(member));
  EXPECT_THAT(to_text(rows, {.block_bytes = 64}), HasSubstr("written/day"));
}

TEST(Simulation, TextAndChartShowEveryTraceAndPolicy) {
  const std::vector<Trace> traces = two_traces();
  const auto rows = simulate(traces, shares({0.05, 0.3, 0.6}), {});
  EXPECT_THAT(to_text(rows, {}), HasSubstr("200 requests"));
  const std::string svg = to_svg(rows);
  for (const char* text :
       {"<svg xmlns=", ">random<", ">other &#60;&#38;&#62;<", "lru", "value", "optimum", "infinite", "</svg>"})
    EXPECT_THAT(svg, HasSubstr(text));
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace kvasir::testing
