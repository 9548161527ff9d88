#pragma once

#include <set>

#include "storage/policy/eviction_policy.h"
#include "storage/prefix_node.h"

namespace kvasir {

// Least recently used first. A path is used from the tail to the head, so of one request its tail goes first.
class LruPolicy final : public EvictionPolicy {
 public:
  void evictable(PrefixNode& node) override { evictable_.insert(&node); }
  void kept(PrefixNode& node) override { evictable_.erase(&node); }
  PrefixNode* victim() override { return evictable_.empty() ? nullptr : *evictable_.begin(); }
  bool holds(const PrefixNode& node) const override { return evictable_.contains(const_cast<PrefixNode*>(&node)); }
  std::size_t evictable_count() const override { return evictable_.size(); }

 private:
  struct LeastRecentFirst {
    bool operator()(const PrefixNode* a, const PrefixNode* b) const { return a->recency < b->recency; }
  };
  std::set<PrefixNode*, LeastRecentFirst> evictable_;
};

}  // namespace kvasir
