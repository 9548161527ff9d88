#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "storage/policy/eviction_policy.h"
#include "storage/prefix_node.h"

namespace kvasir {

// Hash-chained nodes of all tiers of one model, and which host block to evict next. Knows no bytes and no leases but
// what it is told. Owned by the engine's owner thread; no locks.
//
// Exact children are found by a hash of (parent, salt, ids) whose hits are compared id by id; partial matches by order
// among the children resident in the pool. Evictable is a cached node without a resident child: leaves go first, among
// them the one that the policy names. Pointers to nodes stay valid while the node lives.
class PrefixIndex {
 public:
  struct Partial {
    PrefixNode* node = nullptr;  // a child resident in the pool
    std::uint32_t tokens = 0;    // first ids in common
  };

  PrefixIndex(const BlockKey& root, std::uint32_t host_blocks, std::unique_ptr<EvictionPolicy> policy);
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  PrefixNode& root() { return *root_; }
  PrefixNode* find(const BlockKey& key);  // the root too
  PrefixNode* child(PrefixNode& parent, const BlockContent& content) const;
  // The child of the pool with content.salt and the most first ids in common with content.ids, at least one.
  Partial longest_partial(const PrefixNode& parent, const BlockContent& content) const;
  PrefixNode* owner(BlockId id) const { return owners_[index_of(id)]; }  // the node resident in this block

  // The child with this content, made if there is none. The second form spares the hash where the key is known.
  PrefixNode& child_or_insert(PrefixNode& parent, const BlockContent& content);
  PrefixNode& child_or_insert(PrefixNode& parent, const BlockContent& content, const BlockKey& key);
  void remove_if_unused(PrefixNode* node);  // and then its parent, and so on

  void set_host(PrefixNode& node, BlockId id);  // REQUIRES: touched, not resident in the pool. It counts as leased.
  void clear_host(PrefixNode& node);            // REQUIRES: no child resident in the pool
  void set_record(PrefixNode& node, std::uint64_t number);
  void clear_record(PrefixNode& node);
  void set_leased(PrefixNode& node);
  void set_cached(PrefixNode& node);
  // Makes it the most recently used and tells the policy. REQUIRES: not evictable.
  void touch(PrefixNode& node, const BlockUse& use);

  PrefixNode* victim() { return policy_->victim(); }  // the block to evict next; nothing when none is evictable
  EvictionPolicy& policy() { return *policy_; }
  std::size_t nodes() const { return nodes_.size(); }  // with the root
  std::uint64_t records() const { return records_; }

  // Asserts every relation inside the index, and calls visit(node) for each.
  template <class Visitor>
  void check_invariants(Visitor visit) const {
    std::size_t evictable = 0, records = 0;
    for (const auto& [key, node] : nodes_) {
      check(node);
      evictable += is_evictable(node);
      records += node.record.has_value();
      visit(node);
    }
    check_totals(evictable, records);
  }

 private:
  struct ContentProbe {
    const PrefixNode* parent;
    const BlockContent& content;
    std::uint64_t hash;
  };
  struct ContentHash {
    using is_transparent = void;
    std::size_t operator()(const PrefixNode* node) const { return node->content_hash; }
    std::size_t operator()(const ContentProbe& probe) const { return probe.hash; }
  };
  struct ContentEqual {
    using is_transparent = void;
    bool operator()(const PrefixNode* a, const PrefixNode* b) const { return a == b; }
    bool operator()(const ContentProbe& a, const PrefixNode* b) const;
    bool operator()(const PrefixNode* a, const ContentProbe& b) const { return (*this)(b, a); }
  };
  static std::uint64_t hash_content(const PrefixNode& parent, const BlockContent& content);
  static bool is_evictable(const PrefixNode& node) { return node.cached && node.host_children.empty(); }
  PrefixNode& insert(PrefixNode& parent, const BlockContent& content, const BlockKey& key, std::uint64_t hash);
  void remove(PrefixNode& node);
  void check(const PrefixNode& node) const;
  void check_totals(std::size_t evictable, std::size_t records) const;

  std::unordered_map<BlockKey, PrefixNode, BlockKeyHash> nodes_;
  std::unordered_set<PrefixNode*, ContentHash, ContentEqual> by_content_;  // all but the root
  std::unique_ptr<EvictionPolicy> policy_;
  std::vector<PrefixNode*> owners_;  // by BlockId
  PrefixNode* root_;
  std::uint64_t clock_ = 0;
  std::uint64_t records_ = 0;
};

}  // namespace kvasir
