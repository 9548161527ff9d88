// Eviction policies by themselves: what they learn, count and choose.
#include <algorithm>
#include <list>
#include <map>

#include <gtest/gtest.h>

#include "storage/policy/hazard_table.h"
#include "storage/policy/lru_shadow.h"
#include "storage/policy/run_log.h"
#include "storage/policy/value.h"
#include "storage/simulator/optimum.h"
#include "storage/simulator/replay.h"
#include "storage/simulator/running_requests.h"
#include "tests/support/random_trace.h"

namespace kvasir::testing {
namespace {

using ClassId = HazardTable::ClassId;

constexpr HazardTable::ClassId kRoot = 0;

std::uint32_t bucket_of(double age) {
  std::uint32_t k = 0;
  while (k < HazardTable::kBuckets && age >= HazardTable::border(k + 1)) ++k;
  return k;
}

// A run of class `at` that idles for `age` seconds, and then is used.
void idle_then_use(HazardTable& table, ClassId at, double age, bool used) {
  for (std::uint32_t k = 0; k <= bucket_of(age); ++k) {
    const double from = HazardTable::border(k), to = std::min(age, HazardTable::border(k + 1));
    table.enter(at, k, 1, from);
    table.leave(at, k, 1, from, to);
  }
  if (used) table.used(at, bucket_of(age), 1);
}

TEST(HazardTable, KnowsNothingAtFirstAndValuesTheYoungestMost) {
  HazardTable table({0, 0});
  for (double age = 1; age < 10'000; age *= 2) {
    EXPECT_GT(table.value(1, age), table.value(1, 2 * age));
    EXPECT_DOUBLE_EQ(table.value(1, age), table.value(kRoot, age));
  }
}

TEST(HazardTable, LooksAheadToATimeOfReturn) {
  HazardTable table({0});
  for (int i = 0; i < 1'000; ++i) idle_then_use(table, kRoot, i % 4 == 0 ? 4'000 : 10, i % 4 != 0);
  table.age_statistics(0);
  EXPECT_GT(table.value(kRoot, 6), table.value(kRoot, 1));  // nearer to its return
  EXPECT_GT(table.value(kRoot, 1), 4 * table.value(kRoot, 100));
}

TEST(HazardTable, AClassLearnsFromItsParentFirst) {
  HazardTable table({0, 0, 0});
  for (int i = 0; i < 500; ++i) idle_then_use(table, 1, 20, true);
  for (int i = 0; i < 500; ++i) idle_then_use(table, 2, 2'000, false);
  table.age_statistics(0);
  EXPECT_GT(table.value(1, 12), 1.5 * table.value(kRoot, 12));
  EXPECT_LT(table.value(2, 12), table.value(kRoot, 12) / 2);
  EXPECT_NEAR(table.events(kRoot), table.events(1) + table.events(2), 1e-6);
}

TEST(HazardTable, ForgetsWhatIsLongPast) {
  HazardTable table({0});
  for (int i = 0; i < 100; ++i) idle_then_use(table, kRoot, 5, true);
  table.age_statistics(0);
  const double fresh = table.value(kRoot, 1), events = table.events(kRoot);
  for (int i = 0; i < 1'000; ++i) table.age_statistics(0);
  EXPECT_LT(table.events(kRoot), events / 1'000);
  EXPECT_LT(table.value(kRoot, 1), fresh / 2);
}

// Every event and every open run of a class is its parent's as well.
TEST(RunLog, AParentCountsWhatItsChildrenCount) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Prng prng(mix64(seed));
    const std::vector<ClassId> parents{0, 0, 0, 1, 1, 2, 3};
    HazardTable table(parents);
    RunLog log(table);
    std::map<RunId, std::uint32_t> blocks;  // of runs that live
    double now = 0;
    for (int step = 0; step < 3'000; ++step) {
      now += static_cast<double>(prng.below(1'000)) / 100;
      log.advance(now);
      const auto at = blocks.empty()
                          ? blocks.end()
                          : std::next(blocks.begin(), static_cast<std::ptrdiff_t>(prng.below(blocks.size())));
      if (at == blocks.end() || prng.chance(40)) {
        const RunId run = log.start(static_cast<ClassId>(prng.below(parents.size())), PolicyRequest{1}, false, now);
        blocks[run] = static_cast<std::uint32_t>(1 + prng.below(5));
        for (std::uint32_t i = 0; i < blocks[run]; ++i) log.add_block(run);
      } else if (prng.chance(30)) {
        log.move_to(at->first, static_cast<ClassId>(prng.below(parents.size())), now);
      } else if (prng.chance(20)) {
        log.drop_block(at->first, now);
        if (--at->second == 0) blocks.erase(at);
      } else {
        const auto returned = static_cast<std::uint32_t>(1 + prng.below(at->second));
        for (std::uint32_t i = 0; i < returned; ++i) log.return_block(at->first);
        log.settle(at->first, now);
        if ((at->second -= returned) == 0) blocks.erase(at);
      }
      if (step % 64 == 0) table.age_statistics(now);
    }
    log.check_invariants();
    ASSERT_EQ(log.size(), blocks.size());
    std::vector<double> open(parents.size());
    for (const auto& [run, count] : blocks) {
      ASSERT_EQ(log[run].blocks, count);
      if (log[run].bucket == HazardTable::kBuckets) continue;
      for (ClassId c = log[run].at;; c = parents[c]) {
        open[c] += log[run].weight;
        if (c == kRoot) break;
      }
    }
    for (ClassId c = 0; c < parents.size(); ++c) {
      ASSERT_NEAR(table.open_weight(c), open[c], 1e-6) << c;
      double of_children = 0;
      for (ClassId child = 1; child < parents.size(); ++child)
        of_children += parents[child] == c ? table.events(child) : 0;
      ASSERT_GE(table.events(c), of_children - 1e-6) << c;
    }
  }
}

// The shadow against a list of blocks in order of their last use.
TEST(LruShadow, HitsWhatLruHits) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Trace trace = random_trace(seed, {.requests = 400, .sessions = 10, .blocks_max = 14});
    for (const std::uint32_t capacity : {1u, 7u, 25u, 60u}) {
      HazardTable table({0});
      RunLog log(table);
      LruShadow shadow(log, capacity);
      std::list<std::uint32_t> recent;  // newest first
      std::map<std::uint32_t, RunId> run_of;
      for (const TraceRequest& request : trace.requests) {
        const auto path = trace.path(request);
        std::uint32_t hits = 0, expected = 0;
        RunId run = kNoRun;
        const auto join = [&](std::uint32_t block) {
          if (run == kNoRun) run = log.start(kRoot, PolicyRequest::unknown, false, 0);
          log.add_block(run);
          shadow.added(run);
          run_of[block] = run;
        };
        const auto leave = [&](std::uint32_t block) {
          const auto old = run_of.find(block);
          if (old == run_of.end()) return false;
          const bool held = shadow.used(old->second);
          log.return_block(old->second);
          if (log[old->second].blocks == 0) shadow.ends(old->second);
          log.settle(old->second, 0);
          return held;
        };
        for (const std::uint32_t block : path)
          expected += std::find(recent.begin(), recent.end(), block) != recent.end();
        for (std::size_t i = expected; i > 0; --i) {
          hits += leave(path[i - 1]);
          join(path[i - 1]);
        }
        for (std::size_t i = expected; i < path.size(); ++i) {
          hits += leave(path[i]);
          join(path[i]);
        }
        for (std::size_t i = path.size(); i > 0; --i) {
          recent.remove(path[i - 1]);
          recent.push_front(path[i - 1]);
        }
        while (recent.size() > capacity) recent.pop_back();
        ASSERT_EQ(hits, expected) << "seed " << seed << ", capacity " << capacity;
      }
    }
  }
}

TEST(PolicyKind, NamesGoBothWays) {
  for (const PolicyKind kind : kPolicyKinds) EXPECT_EQ(policy_kind(to_string(kind)), kind);
  EXPECT_FALSE(policy_kind("fifo"));
}

// Sessions that come back once after a fixed pause, and one-shot prompts between them.
Trace agents_and_one_shots(std::uint32_t agents, std::uint32_t turns, double pause,
                           std::uint32_t one_shots_per_second) {
  struct Event {
    double at;
    std::vector<std::uint32_t> path;
    RequestEnd end;
  };
  Trace trace;
  trace.name = "agents";
  trace.block_tokens = 16;
  std::vector<Event> events;
  for (std::uint32_t a = 0; a < agents; ++a) {
    std::vector<std::uint32_t> path;
    for (std::uint32_t turn = 0; turn < turns; ++turn) {
      for (int i = 0; i < 4; ++i) path.push_back(trace.unique_blocks++);
      events.push_back({a * 3.0 + turn * pause, path, turn + 1 < turns ? RequestEnd::tool_use : RequestEnd::end_turn});
    }
  }
  const double last = agents * 3.0 + turns * pause;
  for (double at = 0; at < last; at += 1.0 / one_shots_per_second) {
    std::vector<std::uint32_t> path;
    for (int i = 0; i < 8; ++i) path.push_back(trace.unique_blocks++);
    events.push_back({at, path, RequestEnd::end_turn});
  }
  std::stable_sort(events.begin(), events.end(), [](const Event& x, const Event& y) { return x.at < y.at; });
  for (const Event& event : events) {
    TraceRequest request;
    request.arrival = std::chrono::milliseconds(static_cast<std::int64_t>(event.at * 1e3));
    request.duration = std::chrono::milliseconds(200);
    request.outcome.end = event.end;
    request.first_block = trace.blocks.size();
    request.blocks = static_cast<std::uint32_t>(event.path.size());
    request.input_tokens = request.blocks * trace.block_tokens;
    trace.blocks.insert(trace.blocks.end(), event.path.begin(), event.path.end());
    trace.requests.push_back(request);
  }
  trace.sessions = 1;
  return trace;
}

TEST(ValuePolicy, KeepsWhatComesBackAndDropsWhatDoesNot) {
  const Trace trace = agents_and_one_shots(200, 10, 30, 2);
  const double lru = replay(trace, PolicyKind::lru, 300, Regime::unpinned).token_hit_ratio();
  const double value = replay(trace, PolicyKind::value, 300, Regime::unpinned).token_hit_ratio();
  const double best = replay_optimum(trace, 300, Regime::unpinned).token_hit_ratio();
  EXPECT_GT(value - lru, 0.5 * (best - lru)) << lru << " " << value << " " << best;
}

TEST(ValuePolicy, IsNeverClearlyBehindLru) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const Trace trace = random_trace(seed, {.requests = 2'000, .sessions = 40, .blocks_max = 40, .branch_percent = 5});
    for (const std::uint32_t capacity : {50u, 200u})
      for (const Regime regime : {Regime::unpinned, Regime::pinned}) {
        const std::uint64_t lru = replay(trace, PolicyKind::lru, capacity, regime).hit_blocks;
        const std::uint64_t value = replay(trace, PolicyKind::value, capacity, regime).hit_blocks;
        EXPECT_GE(static_cast<double>(value), 0.98 * static_cast<double>(lru))
            << "seed " << seed << ", capacity " << capacity;
      }
  }
}

TEST(ValuePolicy, EndsThatLieCostLittle) {
  Trace trace = agents_and_one_shots(200, 10, 30, 2);
  for (TraceRequest& request : trace.requests) request.outcome.end = RequestEnd::unknown;
  const double silent = replay(trace, PolicyKind::value, 300, Regime::unpinned).token_hit_ratio();
  Prng prng(5);
  for (TraceRequest& request : trace.requests)
    request.outcome.end = prng.chance(50) ? RequestEnd::tool_use : RequestEnd::end_turn;
  EXPECT_GT(replay(trace, PolicyKind::value, 300, Regime::unpinned).token_hit_ratio(), 0.98 * silent);
}

// The rule whose breach once made a policy worse than LRU without a sign.
TEST(ValuePolicy, ClassesAddUpToTheirParents) {
  const Trace trace = agents_and_one_shots(100, 8, 30, 3);
  SimulatedTier tier(PolicyKind::value, 200, trace.unique_blocks, Regime::pinned);
  RunningRequests running(trace);
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    running.advance(trace.requests[i].arrival, [&](std::size_t ended, Duration at) {
      tier.ends(PolicyRequest{ended + 1}, trace.requests[ended].outcome, TimePoint(at));
      tier.release(trace.path(trace.requests[ended]));
    });
    tier.use(trace.path(trace.requests[i]), {PolicyRequest{i + 1}, TimePoint(trace.requests[i].arrival)});
    running.begin(i);
    if (i % 100 == 0) tier.index().check_invariants([](const PrefixNode&) {});
  }
  const HazardTable& table = dynamic_cast<ValuePolicy&>(tier.policy()).table();
  ASSERT_GT(table.events(kRoot), 10);
  for (ClassId c = 0; c < table.classes(); ++c) {
    double events = 0, open = 0;
    bool parent = false;
    for (ClassId child = 1; child < table.classes(); ++child) {
      if (table.parent(child) != c) continue;
      parent = true;
      events += table.events(child);
      open += table.open_weight(child);
    }
    if (!parent) continue;
    ASSERT_GE(table.events(c), events - 1e-6) << c;
    ASSERT_GE(table.open_weight(c), open - 1e-6) << c;
  }
}

TEST(ValuePolicy, RepeatsItself) {
  const Trace trace = random_trace(3, {.requests = 800, .sessions = 30, .blocks_max = 30});
  const ReplayTotals once = replay(trace, PolicyKind::value, 100, Regime::pinned);
  const ReplayTotals again = replay(trace, PolicyKind::value, 100, Regime::pinned);
  EXPECT_EQ(once.hit_blocks, again.hit_blocks);
  EXPECT_EQ(once.admitted, again.admitted);
}

// Requests that never end, and uses that nobody is named for, cost no more than the memory of so many.
TEST(ValuePolicy, DoesWithoutEndsAndNames) {
  const Trace trace = random_trace(9, {.requests = 6'000, .sessions = 60, .blocks_max = 30});
  SimulatedTier tier(PolicyKind::value, 150, trace.unique_blocks, Regime::unpinned);
  std::uint64_t hits = 0;
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    const PolicyRequest request = i % 3 == 0 ? PolicyRequest::unknown : PolicyRequest{i + 1};
    hits += tier.use(trace.path(trace.requests[i]), {request, TimePoint(trace.requests[i].arrival)});
  }
  tier.index().check_invariants([](const PrefixNode&) {});
  const std::uint64_t lru = replay(trace, PolicyKind::lru, 150, Regime::unpinned).hit_blocks;
  EXPECT_GT(static_cast<double>(hits), 0.95 * static_cast<double>(lru));
}

}  // namespace
}  // namespace kvasir::testing
