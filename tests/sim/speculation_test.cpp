// What drafts bring and cost on machines of known speed, in the time that such a machine would take.
#include <gtest/gtest.h>

#include "tests/sim/paced_engine.h"

namespace kvasir::testing {
namespace {

// A few rows more are nearly free, then each has its price.
Machine cheap_rows() { return {.step_seconds = 3e-3, .row_seconds = 0.05e-3, .tile = 4}; }
Machine dear_rows() { return {.step_seconds = 0.5e-3, .row_seconds = 2e-3, .tile = 1}; }

constexpr ReplyText kRepetitive{2, 12};  // goes round in circles soon
constexpr ReplyText kFree{};             // no two tokens come twice
constexpr ReplyText kTempting{0, 8};     // what was there before is there again all the time, and tells nothing

EngineConfig config_with(bool speculation) {
  EngineConfig config;
  config.speculation = speculation;
  config.itl_target.factor = 4;
  return config;
}

// Tokens a second of `streams` at once.
double rate(bool speculation, const Machine& machine, const ReplyText& text, int streams, std::uint64_t seed) {
  PacedEngine engine(seed, config_with(speculation), machine, 4096, text);
  std::vector<PacedClient> clients;
  for (int i = 0; i < streams; ++i) {
    std::vector<TokenId> prompt;
    for (int t = 0; t < 40; ++t) prompt.push_back(static_cast<TokenId>(engine.prng.below(text.vocabulary)));
    clients.push_back(engine.ask(prompt, 600));
  }
  engine.run_until_idle();
  return 600.0 * streams / seconds_between(TimePoint{}, engine.now);
}

double gain(const Machine& machine, const ReplyText& text, int streams, std::uint64_t seed) {
  return rate(true, machine, text, streams, seed) / rate(false, machine, text, streams, seed);
}

TEST(SpeculationPace, PaysOnRepetitiveReplies) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    EXPECT_GT(gain(cheap_rows(), kRepetitive, 1, seed), 3.0) << seed;
    Machine noisy = cheap_rows();
    noisy.noise = 0.2;
    noisy.hiccup_percent = 1;
    EXPECT_GT(gain(noisy, kRepetitive, 1, seed), 2.0) << seed;
  }
}

TEST(SpeculationPace, CostsNothingWhereItDoesNotPay) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    for (const int streams : {1, 2, 8}) {
      EXPECT_GT(gain(cheap_rows(), kFree, streams, seed), 0.999) << seed << " " << streams;
      EXPECT_GT(gain(cheap_rows(), kTempting, streams, seed), 0.97) << seed << " " << streams;
      EXPECT_GT(gain(dear_rows(), kTempting, streams, seed), 0.97) << seed << " " << streams;
      EXPECT_GT(gain(dear_rows(), kRepetitive, streams, seed), 0.97) << seed << " " << streams;
    }
  }
}

TEST(SpeculationPace, StreamsShareWhatItBrings) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) EXPECT_GT(gain(cheap_rows(), kRepetitive, 4, seed), 1.2) << seed;
}

double gap_p99(bool speculation, std::uint64_t& accepted) {
  EngineConfig config = config_with(speculation);
  config.itl_target.factor = 1.5;
  Machine machine;
  machine.tile = 1;
  PacedEngine engine(1, config, machine, 4096, kRepetitive);
  std::vector<PacedClient> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(engine.ask({i, i, 1, i + 3}, 600));
  engine.run_until([&] { return clients.back()->ids.size() >= 20; });
  const TimePoint from = engine.now;
  engine.run_until_idle();
  accepted = engine.core->stats().tokens_accepted;
  return quantile(clients[0].gaps(from, engine.now), 0.99);
}

// A step with drafts is no longer than the target of latencies allows.
TEST(SpeculationPace, StreamsKeepTheirPace) {
  std::uint64_t accepted = 0;
  const double undisturbed = gap_p99(false, accepted);
  EXPECT_EQ(accepted, 0u);
  EXPECT_LT(gap_p99(true, accepted), 1.5 * 1.1 * undisturbed);
  EXPECT_GT(accepted, 100u);
}

}  // namespace
}  // namespace kvasir::testing
