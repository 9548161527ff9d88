// The simulator, its policies and its optimum against plain lists, and against every possible choice on tiny traces.
#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <gtest/gtest.h>

#include "storage/simulator/find.h"
#include "storage/simulator/optimum.h"
#include "storage/simulator/replay.h"
#include "storage/simulator/scale.h"
#include "storage/simulator/tiers.h"
#include "tests/support/random_trace.h"
#include "tests/support/swarm.h"

namespace kvasir::testing {
namespace {

using Block = std::uint32_t;

// A tier as a list of blocks: what leaves is searched for from end to end.
class NaiveTier {
 public:
  NaiveTier(const Trace& trace, std::uint32_t capacity, bool pins) : trace_(trace), capacity_(capacity), pins_(pins) {}
  virtual ~NaiveTier() = default;

  std::uint64_t run() {
    std::uint64_t hits = 0;
    for (std::size_t i = 0; i < trace_.requests.size(); ++i) {
      end_requests(trace_.requests[i].arrival);
      hits += use(i);
    }
    return hits;
  }

  std::uint32_t use(std::size_t request) {
    const auto path = trace_.path(trace_.requests[request]);
    std::uint32_t hits = 0;
    while (hits < path.size() && resident_.contains(path[hits])) ++hits;
    for (std::size_t i = hits; i > 0; --i) used_again(path[i - 1]);
    for (std::size_t i = hits; i < path.size(); ++i) {
      resident_[path[i]] = {i == 0 ? std::nullopt : std::optional(path[i - 1])};
      admitted(path[i]);
    }
    if (pins_) {
      running_.insert({trace_.requests[request].arrival + trace_.requests[request].duration, request});
      for (const Block block : path) ++resident_[block].pins;
    }
    evict();
    return hits;
  }

 protected:
  struct Entry {
    std::optional<Block> parent;
    std::uint32_t pins = 0;
  };
  virtual void used_again(Block block) = 0;
  virtual void admitted(Block block) = 0;
  virtual std::optional<Block> victim() = 0;
  virtual void gone(Block) {}

  bool evictable(Block block) const {
    return resident_.at(block).pins == 0 &&
           std::none_of(resident_.begin(), resident_.end(), [&](const auto& e) { return e.second.parent == block; });
  }

  const Trace& trace_;
  const std::uint32_t capacity_;
  std::map<Block, Entry> resident_;

 private:
  void end_requests(Duration now) {
    while (!running_.empty() && running_.begin()->first <= now) {
      for (const Block block : trace_.path(trace_.requests[running_.begin()->second])) --resident_.at(block).pins;
      running_.erase(running_.begin());
      evict();
    }
  }
  void evict() {
    while (resident_.size() > capacity_) {
      const std::optional<Block> block = victim();
      if (!block) return;
      resident_.erase(*block);
      gone(*block);
    }
  }

  const bool pins_;
  std::set<std::pair<Duration, std::size_t>> running_;
};

class NaiveLru final : public NaiveTier {
  using NaiveTier::NaiveTier;
  void used_again(Block block) override { last_[block] = ++clock_; }
  void admitted(Block block) override { last_[block] = ++clock_; }
  std::optional<Block> victim() override {
    std::optional<Block> oldest;
    for (const auto& [block, entry] : resident_)
      if (evictable(block) && (!oldest || last_.at(block) < last_.at(*oldest))) oldest = block;
    return oldest;
  }
  std::map<Block, std::uint64_t> last_;
  std::uint64_t clock_ = 0;
};

class NaiveS3Fifo final : public NaiveTier {
  using NaiveTier::NaiveTier;
  using Queue = std::vector<Block>;

  void used_again(Block block) override {
    if (std::erase(small_, block) > 0) {
      main_.push_back(block);
      uses_[block] = 0;
    } else {
      uses_[block] = std::min(uses_[block] + 1, 3);
    }
  }
  void admitted(Block block) override {
    const auto latest = left_.end() - static_cast<std::ptrdiff_t>(std::min<std::size_t>(left_.size(), capacity_));
    (std::find(latest, left_.end(), block) == left_.end() ? small_ : main_).push_back(block);
    uses_[block] = 0;
  }
  std::optional<Block> first(const Queue& queue) const {
    const auto found = std::find_if(queue.begin(), queue.end(), [&](Block block) { return evictable(block); });
    return found == queue.end() ? std::nullopt : std::optional(*found);
  }
  std::optional<Block> victim() override {
    const std::optional<Block> newcomer = first(small_);
    if (newcomer && (!first(main_) || small_.size() * 10 > capacity_)) return newcomer;
    for (std::optional<Block> block = first(main_); block; block = first(main_)) {
      if (uses_[*block] == 0) return block;
      --uses_[*block];
      std::erase(main_, *block);
      main_.push_back(*block);
    }
    return std::nullopt;
  }
  void gone(Block block) override {
    if (std::erase(main_, block) > 0) return;
    std::erase(small_, block);
    left_.push_back(block);
  }

  Queue small_, main_, left_;
  std::map<Block, int> uses_;
};

RandomTraceShape shape_of(std::uint64_t seed) {
  Prng prng(mix64(seed));
  return {.requests = 150,
          .sessions = static_cast<std::uint32_t>(1 + prng.below(12)),
          .blocks_max = static_cast<std::uint32_t>(4 + prng.below(12)),
          .branch_percent = static_cast<std::uint32_t>(prng.below(50)),
          .shared_blocks = static_cast<std::uint32_t>(prng.below(4))};
}

TEST(SimulatorReference, LruEqualsANaiveListInBothRegimes) {
  for (const std::uint64_t seed : seeds(40)) {
    SCOPED_TRACE("KVASIR_SEED=" + std::to_string(seed));
    const Trace trace = random_trace(seed, shape_of(seed));
    for (const std::uint32_t capacity : {1u, 5u, 17u, 40u})
      for (const Regime regime : {Regime::unpinned, Regime::pinned}) {
        const std::uint64_t expected = NaiveLru(trace, capacity, regime == Regime::pinned).run();
        ASSERT_EQ(replay(trace, PolicyKind::lru, capacity, regime).hit_blocks, expected) << capacity;
      }
  }
}

TEST(SimulatorReference, S3FifoEqualsNaiveListsInBothRegimes) {
  for (const std::uint64_t seed : seeds(40)) {
    SCOPED_TRACE("KVASIR_SEED=" + std::to_string(seed));
    const Trace trace = random_trace(seed, shape_of(seed));
    for (const std::uint32_t capacity : {1u, 5u, 17u, 40u})
      for (const Regime regime : {Regime::unpinned, Regime::pinned}) {
        const std::uint64_t expected = NaiveS3Fifo(trace, capacity, regime == Regime::pinned).run();
        ASSERT_EQ(replay(trace, PolicyKind::s3fifo, capacity, regime).hit_blocks, expected) << capacity;
      }
  }
}

// Every way to go down to the capacity after each request, a leaf at a time, tried to the end.
class EveryChoice {
 public:
  EveryChoice(const Trace& trace, std::uint32_t capacity) : trace_(trace), capacity_(capacity) {
    parent_.assign(trace.unique_blocks, UINT32_MAX);
    for (const TraceRequest& r : trace.requests)
      for (std::size_t i = 1; i < trace.path(r).size(); ++i) parent_[trace.path(r)[i]] = trace.path(r)[i - 1];
  }
  std::uint32_t best() { return best_from(0, 0); }

 private:
  using Set = std::uint32_t;  // a bit for each block

  std::uint32_t best_from(std::size_t request, Set resident) {
    if (request == trace_.requests.size()) return 0;
    const auto [known, made] = memory_.try_emplace({request, resident}, 0);
    if (!made) return known->second;
    Set after = resident;
    std::uint32_t hits = 0;
    bool leading = true;
    for (const Block block : trace_.path(trace_.requests[request])) {
      leading = leading && (resident & (1u << block)) != 0;
      hits += leading;
      after |= 1u << block;
    }
    return memory_[{request, resident}] = hits + best_eviction(request, after);
  }

  std::uint32_t best_eviction(std::size_t request, Set resident) {
    if (static_cast<std::uint32_t>(__builtin_popcount(resident)) <= capacity_) return best_from(request + 1, resident);
    std::uint32_t best = 0;
    for (Block block = 0; block < trace_.unique_blocks; ++block)
      if ((resident & (1u << block)) != 0 && is_leaf(block, resident))
        best = std::max(best, best_eviction(request, resident & ~(1u << block)));
    return best;
  }

  bool is_leaf(Block block, Set resident) const {
    for (Block other = 0; other < trace_.unique_blocks; ++other)
      if ((resident & (1u << other)) != 0 && parent_[other] == block) return false;
    return true;
  }

  const Trace& trace_;
  const std::uint32_t capacity_;
  std::vector<Block> parent_;
  std::map<std::pair<std::size_t, Set>, std::uint32_t> memory_;
};

TEST(SimulatorReference, TheOptimumIsTheBestOfAllChoices) {
  std::uint32_t cases = 0;
  for (const std::uint64_t seed : seeds(300)) {
    SCOPED_TRACE("KVASIR_SEED=" + std::to_string(seed));
    Prng prng(mix64(seed ^ 77));
    const Trace trace = random_trace(seed, {.requests = static_cast<std::uint32_t>(3 + prng.below(7)),
                                            .sessions = static_cast<std::uint32_t>(1 + prng.below(3)),
                                            .blocks_max = static_cast<std::uint32_t>(2 + prng.below(3)),
                                            .branch_percent = 30,
                                            .shared_blocks = static_cast<std::uint32_t>(prng.below(2))});
    if (trace.unique_blocks > 11) continue;  // too many choices
    for (std::uint32_t capacity = 1; capacity <= 5; ++capacity, ++cases)
      ASSERT_EQ(replay_optimum(trace, capacity, Regime::unpinned).hit_blocks, EveryChoice(trace, capacity).best())
          << capacity;
  }
  if (seeds(2).size() > 1) {  // not one seed alone
    EXPECT_GT(cases, 500u);
  }
}

TEST(SimulatorReference, NoPolicyBeatsTheOptimum) {
  for (const std::uint64_t seed : seeds(30)) {
    SCOPED_TRACE("KVASIR_SEED=" + std::to_string(seed));
    const Trace trace = random_trace(seed, shape_of(seed));
    const std::uint64_t infinite = replay_infinite(trace).hit_blocks;
    for (const std::uint32_t capacity : {3u, 20u, 60u}) {
      const std::uint64_t best = replay_optimum(trace, capacity, Regime::unpinned).hit_blocks;
      ASSERT_LE(best, infinite);
      for (const PolicyKind policy : kPolicyKinds)
        ASSERT_LE(replay(trace, policy, capacity, Regime::unpinned).hit_blocks, best) << to_string(policy);
    }
    for (const PolicyKind policy : kPolicyKinds)
      ASSERT_EQ(replay(trace, policy, trace.unique_blocks, Regime::pinned).hit_blocks, infinite) << to_string(policy);
  }
}

TEST(SimulatorReference, FindEqualsTryingEveryCapacity) {
  for (const std::uint64_t seed : seeds(10)) {
    SCOPED_TRACE("KVASIR_SEED=" + std::to_string(seed));
    const Trace trace = random_trace(seed, shape_of(seed));
    const auto ratio = [&](std::uint32_t capacity) {
      return replay(trace, PolicyKind::lru, capacity, Regime::unpinned).token_hit_ratio();
    };
    for (const double wanted : {0.2, 0.5, 0.8, 0.99}) {
      std::optional<std::uint32_t> expected;
      for (std::uint32_t capacity = 1; capacity <= trace.unique_blocks && !expected; ++capacity)
        if (ratio(capacity) >= wanted) expected = capacity;
      ASSERT_EQ(find_capacity(wanted, trace.unique_blocks, ratio), expected) << wanted;
    }
  }
}

// Ten times the traffic, put together by hand: each session's requests, blocks under names of the copy, at its place.
TEST(SimulatorReference, ScaleKeepsEachSessionAndAddsNineMore) {
  for (const std::uint64_t seed : seeds(10)) {
    SCOPED_TRACE("KVASIR_SEED=" + std::to_string(seed));
    const Trace trace = random_trace(seed, shape_of(seed));
    const Trace ten = scale_trace(trace, 10, seed);
    ASSERT_EQ(ten.requests.size(), 10 * trace.requests.size());
    std::map<Block, std::set<std::uint32_t>> users;
    for (const TraceRequest& r : trace.requests)
      for (const Block block : trace.path(r)) users[block].insert(r.session);
    std::map<std::pair<std::uint32_t, Block>, Block> names;  // by session of the scaled trace and original block
    std::map<Block, std::pair<std::uint32_t, Block>> taken;
    for (std::uint32_t session = 0; session < ten.sessions; ++session) {
      std::vector<const TraceRequest*> original, copy;
      for (const TraceRequest& r : trace.requests)
        if (r.session == session % trace.sessions) original.push_back(&r);
      for (const TraceRequest& r : ten.requests)
        if (r.session == session) copy.push_back(&r);
      ASSERT_EQ(original.size(), copy.size());
      for (std::size_t i = 0; i < copy.size(); ++i) {
        ASSERT_EQ(copy[i]->arrival - copy[0]->arrival, original[i]->arrival - original[0]->arrival);
        ASSERT_EQ(copy[i]->input_tokens, original[i]->input_tokens);
        ASSERT_EQ(copy[i]->duration, original[i]->duration);
        const auto path = ten.path(*copy[i]), before = trace.path(*original[i]);
        ASSERT_EQ(path.size(), before.size());
        for (std::size_t k = 0; k < path.size(); ++k) {
          const bool shared = users.at(before[k]).size() > 1;
          const std::uint32_t owner = shared ? UINT32_MAX : session;
          ASSERT_TRUE(!shared || path[k] == before[k]);
          ASSERT_EQ(names.try_emplace({owner, before[k]}, path[k]).first->second, path[k]);
          ASSERT_EQ(taken.try_emplace(path[k], owner, before[k]).first->second, std::pair(owner, before[k]));
        }
      }
    }
    ASSERT_TRUE(std::is_sorted(ten.requests.begin(), ten.requests.end(),
                               [](const auto& a, const auto& b) { return a.arrival < b.arrival; }));
    ASSERT_EQ(replay(ten, PolicyKind::lru, 25, Regime::unpinned).hit_blocks, NaiveLru(ten, 25, false).run());
  }
}

TEST(SimulatorReference, TiersEqualTwoNaiveLists) {
  for (const std::uint64_t seed : seeds(20)) {
    SCOPED_TRACE("KVASIR_SEED=" + std::to_string(seed));
    const Trace trace = random_trace(seed, shape_of(seed));
    const ReplayTotals host = replay(trace, PolicyKind::lru, 9, Regime::pinned);
    const TierTotals both = replay_tiers(trace, PolicyKind::lru, {9, 30});
    ASSERT_EQ(both.host_hit_tokens, host.hit_tokens);
    ASSERT_EQ(both.host_hit_tokens + both.disk_hit_tokens, both.all.hit_tokens);
    ASSERT_EQ(both.disk_hit_tokens, both.blocks_loaded * trace.block_tokens);
    ASSERT_EQ(both.all.hit_tokens,
              std::max(both.all.hit_tokens, NaiveLru(trace, 30, false).run() * trace.block_tokens));
    ASSERT_EQ(both.blocks_written, replay(trace, PolicyKind::lru, 30, Regime::unpinned).admitted);
    const TierTotals all = replay_tiers(trace, PolicyKind::value, {9, trace.unique_blocks});
    ASSERT_EQ(all.all.hit_tokens, replay_infinite(trace).hit_tokens);
    ASSERT_EQ(all.blocks_written, trace.unique_blocks);
  }
}

}  // namespace
}  // namespace kvasir::testing
