#pragma once

#include <cstdint>
#include <deque>
#include <set>
#include <unordered_map>

#include "storage/base/ids.h"
#include "storage/policy/eviction_policy.h"
#include "storage/prefix_node.h"

namespace kvasir {

// S3-FIFO (Yang et al. 2023) with leaves only: a small queue for newcomers (a tenth of the pool), a main queue for what
// was used again there or came back soon after it left, and the keys of what left the small queue last (as many as the
// pool has blocks). A block of the main queue gets another round for each use (three at most) instead of being evicted.
//
// A block that is not evictable keeps its place and is passed over. Since a path's head would never come up, a block
// moves to the main queue when it is used again, not when its turn comes as in the paper.
class S3FifoPolicy final : public EvictionPolicy {
 public:
  explicit S3FifoPolicy(std::uint32_t capacity_blocks);

  void used(PrefixNode& node, const BlockUse& use) override;
  void evictable(PrefixNode& node) override;
  void kept(PrefixNode& node) override;
  void evicted(PrefixNode& node) override;
  void forgotten(PrefixNode& node) override { evicted(node); }  // also what was used and never came
  PrefixNode* victim() override;
  bool holds(const PrefixNode& node) const override;
  std::size_t evictable_count() const override { return queues_[kSmall].size() + queues_[kMain].size(); }

 private:
  enum Queue : std::uint8_t { kSmall, kMain };
  struct InOrder {
    bool operator()(const PrefixNode* a, const PrefixNode* b) const { return a->policy.order < b->policy.order; }
  };

  void enter(PrefixNode& node);
  void used_again(PolicyState& state);
  void remember(const BlockKey& key);

  const std::uint32_t capacity_;
  std::set<PrefixNode*, InOrder> queues_[2];  // evictable ones
  std::uint32_t small_blocks_ = 0;            // all that live in the small queue
  std::uint64_t clock_ = 0;
  std::unordered_map<BlockKey, std::uint64_t, BlockKeyHash> ghosts_;  // the number of its latest leaving
  std::deque<BlockKey> ghosts_in_order_;                              // the latest leavings; one may come twice
  std::uint64_t ghost_number_ = 0;
};

}  // namespace kvasir
