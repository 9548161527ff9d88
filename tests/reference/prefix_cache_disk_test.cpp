// PrefixCache over a disk that delays, reorders, refuses, reclaims, damages and dies: every byte a hold gives is the
// one that was committed for its ids and salts (CacheRig asserts it), a block can be had exactly when it is said to,
// and a restart serves exactly the durable chains.
#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "storage/prefix_cache.h"
#include "tests/support/cache_rig.h"
#include "tests/support/swarm.h"

namespace kvasir::testing {
namespace {

enum Operation : std::uint32_t {
  kBegin,
  kTake,
  kAbandon,
  kGrow,
  kEnd,
  kPrepare,
  kDropFill,
  kMatch,
  kStep,
  kManySteps,
  kWeather,
  kWait,
  kRestart,
  kKill,
  kKinds
};

struct Prompt {
  std::vector<TokenId> ids;
  std::vector<SaltRange> salts;
};

struct Acquiring {
  AcquireId id;
  Prompt prompt;
};

struct Running {
  Prompt prompt;
  std::vector<BlockLease> leases;
  std::optional<BlockFill> partial;
};

// What happened over all processes of all seeds: a run that never evicts or fails a read proves nothing.
struct Totals {
  std::uint64_t committed = 0, duplicates = 0, loaded = 0, durable = 0, skipped = 0, evicted = 0, reclaimed = 0;
  std::uint64_t corrupt = 0, served = 0;

  Totals& operator+=(const Totals& other) {
    committed += other.committed;
    duplicates += other.duplicates;
    loaded += other.loaded;
    durable += other.durable;
    skipped += other.skipped;
    evicted += other.evicted;
    reclaimed += other.reclaimed;
    corrupt += other.corrupt;
    served += other.served;
    return *this;
  }
};

class DiskRun {
 public:
  explicit DiskRun(std::uint64_t seed) : prng_(mix64(seed)), rig_(config(seed)), swarm_(prng_, kKinds, kAlways) {}

  void run(std::uint32_t operations) {
    for (std::uint32_t i = 0; i < operations; ++i) {
      apply(swarm_.next());
      rig_.cache().check_invariants();
      if (::testing::Test::HasFatalFailure()) return;
    }
    let_all_end();
  }

  const Totals& totals() const { return totals_; }

 private:
  static constexpr std::uint32_t kAlways[] = {kBegin, kTake, kGrow, kEnd, kStep};

  RigConfig config(std::uint64_t seed) {
    RigConfig config;
    config.blocks = 4 + static_cast<std::uint32_t>(prng_.below(60));
    config.cache.block_tokens = 4;
    config.cache.write_policy = prng_.chance(70) ? WritePolicy::on_commit : WritePolicy::on_reuse;
    config.cache.loads_inflight_max = 1 + static_cast<std::uint32_t>(prng_.below(8));
    config.cache.writes_inflight_max = 1 + static_cast<std::uint32_t>(prng_.below(8));
    config.seed = seed;
    config.cache.policy = kPolicyKinds[seed % std::size(kPolicyKinds)];
    return config;
  }

  void apply(std::uint32_t operation) {
    switch (operation) {
      case kBegin:
        return begin();
      case kTake:
        return take();
      case kAbandon:
        if (!acquiring_.empty() && prng_.chance(20)) rig_.cache().abandon(pop(acquiring_).id);
        return;
      case kGrow:
        if (!running_.empty()) grow();
        return;
      case kEnd:
        if (!running_.empty() && prng_.chance(20)) pop(running_);
        return;
      case kPrepare:
        if (fills_.size() < 3) prepare();
        return;
      case kDropFill:
        if (!fills_.empty()) pop(fills_);
        return;
      case kMatch:
        return match();
      case kStep:
        rig_.step();
        return;
      case kManySteps:
        for (int i = 0; i < 20; ++i) rig_.step();
        return;
      case kWeather:
        return change_weather();
      case kWait:
        rig_.now += std::chrono::seconds(2);
        return;
      case kRestart:
        if (prng_.chance(2)) restart(false);
        return;
      case kKill:
        if (prng_.chance(2)) restart(true);
        return;
      default:
        FAIL();
    }
  }

  template <class T>
  T pop(std::vector<T>& from) {
    std::swap(from[prng_.below(from.size())], from.back());
    T popped = std::move(from.back());
    from.pop_back();
    return popped;
  }

  Prompt random_prompt() {
    Prompt prompt;
    if (!recent_.empty() && prng_.chance(80)) {
      const std::vector<TokenId>& earlier = recent_[prng_.below(recent_.size())];
      const std::size_t cut = std::max(prng_.below(earlier.size() + 1), prng_.below(earlier.size() + 1));
      prompt.ids.assign(earlier.begin(), earlier.begin() + static_cast<std::ptrdiff_t>(cut));
    }
    const std::size_t more = prng_.below(12) + (prompt.ids.empty() ? 1 : 0);
    for (std::size_t i = 0; i < more; ++i) prompt.ids.push_back(static_cast<TokenId>(prng_.below(2)));
    const auto shared = static_cast<std::uint32_t>(prng_.below(2) * 6);
    if (shared > 0) prompt.salts.push_back({0, salt_named(9)});
    prompt.salts.push_back({shared, salt_named(static_cast<std::uint8_t>(1 + prng_.below(2)))});
    recent_.push_back(prompt.ids);
    if (recent_.size() > 12) recent_.erase(recent_.begin());
    return prompt;
  }

  // Mostly a function of what is before, as greedy decoding is: sequences of one prompt make the same blocks.
  TokenId continuation(const std::vector<TokenId>& ids) {
    return static_cast<TokenId>(prng_.chance(90) ? (ids.size() + static_cast<std::size_t>(ids.back())) % 2
                                                 : prng_.below(2));
  }

  void begin() {
    if (acquiring_.size() > 6) rig_.cache().abandon(pop(acquiring_).id);
    Prompt prompt = random_prompt();
    const AcquireId id = rig_.cache().begin_acquire({prompt.ids, prompt.salts}, rig_.now);
    acquiring_.push_back({id, std::move(prompt)});
  }

  void take() {
    if (acquiring_.empty()) return;
    Acquiring acquiring = pop(acquiring_);
    if (!rig_.cache().acquire_ready(acquiring.id) && !prng_.chance(10)) {  // too early, unless it gives up waiting
      acquiring_.push_back(std::move(acquiring));
      return;
    }
    PrefixHold hold = rig_.cache().take(acquiring.id, rig_.now);
    rig_.verify(hold, acquiring.prompt.ids, acquiring.prompt.salts);
    if (running_.size() > 4) pop(running_);
    running_.push_back({std::move(acquiring.prompt), std::move(hold.blocks), std::move(hold.partial)});
  }

  void grow() {
    std::swap(running_[prng_.below(running_.size())], running_.back());
    Running& sequence = running_.back();
    if (sequence.leases.size() >= 12) {
      recent_.push_back(sequence.prompt.ids);
      return running_.pop_back();
    }
    const std::size_t target = (sequence.leases.size() + 1 + prng_.below(4)) * 4;
    while (sequence.prompt.ids.size() < target) sequence.prompt.ids.push_back(continuation(sequence.prompt.ids));
    PrefixHold hold;
    hold.blocks = std::move(sequence.leases);
    hold.partial = std::exchange(sequence.partial, std::nullopt);
    sequence.leases =
        rig_.compute(std::move(hold), std::span(sequence.prompt.ids).first(target), sequence.prompt.salts).blocks;
  }

  void prepare() {
    const bool possible = rig_.cache().available_blocks() > 0;
    std::optional<BlockFill> fill = rig_.cache().prepare(rig_.now);
    ASSERT_EQ(fill.has_value(), possible);
    if (fill) fills_.push_back(std::move(*fill));
  }

  void match() {
    const Prompt prompt = random_prompt();
    const auto tokens = rig_.cache().match({prompt.ids, prompt.salts});
    ASSERT_LT(tokens[0] + tokens[1], prompt.ids.size());
  }

  void change_weather() {
    FakeDiskOptions& options = rig_.disk().options;
    options.delay_steps_max = static_cast<std::uint32_t>(prng_.below(6));
    options.reorder = prng_.chance(50);
    options.stuck = prng_.chance(10);
    options.queue_max = prng_.chance(30) ? static_cast<std::uint32_t>(prng_.below(5)) : 256;
    options.durable_after_steps = static_cast<std::uint32_t>(prng_.below(8));
    options.read_fault_percent = prng_.chance(40) ? static_cast<std::uint32_t>(prng_.below(40)) : 0;
    options.refuse_percent = prng_.chance(20) ? static_cast<std::uint32_t>(prng_.below(100)) : 0;
    options.reclaim_percent = prng_.chance(30) ? static_cast<std::uint32_t>(prng_.below(10)) : 0;
    options.records_max = prng_.chance(20) ? 1 + static_cast<std::uint32_t>(prng_.below(50)) : UINT32_MAX;
  }

  void count_totals() {
    const PrefixCacheStats stats = rig_.cache().stats();
    totals_ += {stats.blocks_committed,    stats.blocks_duplicate,    stats.disk_blocks_loaded,
                stats.disk_blocks_durable, stats.disk_writes_skipped, stats.evictions[0][0],
                stats.evictions[1][0],     stats.evictions[1][1],     0};
  }

  void release_all() {
    while (!acquiring_.empty()) rig_.cache().abandon(pop(acquiring_).id);
    running_.clear();
    fills_.clear();
  }

  // Records whose chain of parents is complete, found the naive way.
  std::size_t complete_chains(const std::vector<DiskRecord>& records) {
    std::set<BlockKey> reachable{rig_.cache().root()};
    for (bool grew = true; grew;) {
      grew = false;
      for (const DiskRecord& record : records)
        grew |= reachable.contains(record.parent) && reachable.insert(record.key).second;
    }
    return reachable.size() - 1;
  }

  void restart(bool kill) {
    release_all();
    count_totals();
    kill ? rig_.kill() : rig_.restart();
    ASSERT_EQ(rig_.cache().stats().disk_blocks, complete_chains(rig_.disk().records()));
    ASSERT_EQ(rig_.cache().stats().disk_blocks, rig_.disk().records().size());  // the others were forgotten
    for (const DiskRecord& record : rig_.disk().records()) expect_served(record);
  }

  // The chain that ends in this record is matched to its end.
  void expect_served(const DiskRecord& last) {
    std::vector<DiskRecord> chain{last};
    while (chain.back().parent != rig_.cache().root()) chain.push_back(*rig_.disk().find(chain.back().parent));
    Prompt prompt;
    for (auto record = chain.rbegin(); record != chain.rend(); ++record) {
      prompt.salts.push_back({static_cast<std::uint32_t>(prompt.ids.size()), record->salt});
      prompt.ids.insert(prompt.ids.end(), record->ids.begin(), record->ids.end());
    }
    prompt.ids.push_back(0);
    ASSERT_EQ(rig_.cache().match({prompt.ids, prompt.salts})[1], prompt.ids.size() - 1);
    ++totals_.served;
  }

  void let_all_end() {
    release_all();
    rig_.disk().options = {};
    rig_.settle();
    rig_.settle();
    rig_.cache().check_invariants();
    const PrefixCacheStats end = rig_.cache().stats();
    count_totals();
    ASSERT_EQ(end.host.filling, 0u);
    ASSERT_EQ(end.host.leased, 0u);
    ASSERT_EQ(rig_.cache().transient_blocks(), 0u);
    ASSERT_EQ(rig_.cache().available_blocks(), end.host.total);
    ASSERT_EQ(end.disk_blocks, rig_.disk().records().size());
  }

  Prng prng_;
  CacheRig rig_;
  Swarm swarm_;
  Totals totals_;
  std::vector<std::vector<TokenId>> recent_;
  std::vector<Acquiring> acquiring_;
  std::vector<Running> running_;
  std::vector<BlockFill> fills_;
};

TEST(PrefixCacheDiskReference, RandomOperationsUnderFaults) {
  Totals totals;
  for (const std::uint64_t seed : seeds(50)) {
    SCOPED_TRACE("KVASIR_SEED=" + std::to_string(seed));
    RecordProperty("seed", std::to_string(seed));
    DiskRun run(seed);
    run.run(10'000);
    if (HasFatalFailure()) return;
    totals += run.totals();
  }
  if (std::getenv("KVASIR_SEED") != nullptr) return;
  EXPECT_GT(totals.committed, 10'000u);
  EXPECT_GT(totals.duplicates, 100u);
  EXPECT_GT(totals.loaded, 1'000u);
  EXPECT_GT(totals.durable, 1'000u);
  EXPECT_GT(totals.skipped, 1'000u);
  EXPECT_GT(totals.evicted, 1'000u);
  EXPECT_GT(totals.reclaimed, 1'000u);
  EXPECT_GT(totals.corrupt, 20u);
  EXPECT_GT(totals.served, 1'000u);
}

}  // namespace
}  // namespace kvasir::testing
