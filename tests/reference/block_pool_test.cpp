// BlockPool against a map from slot to state and number of leases.
#include "storage/block_pool.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "tests/support/swarm.h"

namespace kvasir::testing {
namespace {

enum Operation : std::uint32_t { kPrepare, kDropFill, kCommit, kLease, kShare, kDropLease, kRelease, kMove, kKinds };

class PoolRun {
 public:
  explicit PoolRun(std::uint64_t seed)
      : prng_(mix64(seed)), pool_(1 + static_cast<std::uint32_t>(prng_.below(12))), swarm_(prng_, kKinds, kAlways) {}

  void run(std::uint32_t operations) {
    for (std::uint32_t i = 0; i < operations; ++i) {
      apply(swarm_.next());
      compare();
    }
  }

 private:
  static constexpr std::uint32_t kAlways[] = {kPrepare, kCommit, kDropLease, kRelease};

  void apply(std::uint32_t operation) {
    switch (operation) {
      case kPrepare:
        return prepare();
      case kDropFill:
        if (!fills_.empty()) take(fills_);
        return;
      case kCommit:
        return commit();
      case kLease:
        return lease();
      case kShare:
        if (!leases_.empty()) leases_.push_back(leases_[prng_.below(leases_.size())].share());
        return;
      case kDropLease:
        if (!leases_.empty()) take(leases_);
        return;
      case kRelease:
        return release();
      case kMove:
        if (leases_.size() > 1) {
          BlockLease a = take(leases_), b = take(leases_);
          a = std::move(b);
        }
        return;
      default:
        FAIL();
    }
  }

  template <class T>
  T take(std::vector<T>& from) {
    std::swap(from[prng_.below(from.size())], from.back());
    T taken = std::move(from.back());
    from.pop_back();
    return taken;
  }

  void prepare() {
    std::optional<BlockFill> fill = pool_.prepare();
    ASSERT_EQ(fill.has_value(), fills_.size() + held().size() + cached_.size() < pool_.counts().total);
    if (fill) fills_.push_back(std::move(*fill));
  }

  void commit() {
    if (fills_.empty()) return;
    BlockFill fill = take(fills_);
    const BlockId id = fill.id();
    leases_.push_back(std::move(fill).commit());
    ASSERT_EQ(leases_.back().id(), id);
  }

  void lease() {
    const std::map<BlockId, std::uint32_t> leased = held();
    std::vector<BlockId> can = cached_;
    for (const auto& [id, count] : leased) can.push_back(id);
    if (!can.empty()) leases_.push_back(pool_.lease(can[prng_.below(can.size())]));
  }

  void release() {
    if (cached_.empty()) return;
    pool_.release(take(cached_));
  }

  std::map<BlockId, std::uint32_t> held() const {
    std::map<BlockId, std::uint32_t> counts;
    for (const BlockLease& lease : leases_) ++counts[lease.id()];
    return counts;
  }

  void compare() {
    std::vector<BlockId> unleased;
    pool_.take_unleased(unleased);
    const std::map<BlockId, std::uint32_t> leased = held();
    for (const auto& [id, count] : leased) ASSERT_EQ(pool_.lease_count(id), count);
    std::erase_if(cached_, [&](BlockId id) { return leased.contains(id); });
    for (const BlockId id : unleased)
      if (!leased.contains(id) && std::find(cached_.begin(), cached_.end(), id) == cached_.end()) cached_.push_back(id);
    for (const BlockId id : cached_) ASSERT_TRUE(pool_.is_cached(id));
    const PoolCounts& counts = pool_.counts();
    counts.check_invariants();
    ASSERT_EQ(counts.filling, fills_.size());
    ASSERT_EQ(counts.leased, leased.size());
    ASSERT_EQ(counts.cached, cached_.size());
  }

  Prng prng_;
  BlockPool pool_;
  Swarm swarm_;
  std::vector<BlockFill> fills_;
  std::vector<BlockLease> leases_;
  std::vector<BlockId> cached_;
};

TEST(BlockPoolReference, RandomOperations) {
  for (const std::uint64_t seed : seeds(10)) {
    SCOPED_TRACE("KVASIR_SEED=" + std::to_string(seed));
    PoolRun(seed).run(10'000);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace kvasir::testing
