#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "storage/base/ids.h"

namespace kvasir {

struct PrefixNode;

// What tells a node from its siblings.
struct BlockContent {
  const Salt& salt;
  std::span<const TokenId> ids;
};

// Siblings by salt, then ids, so that those sharing the most first tokens with some content are its neighbours.
struct SiblingOrder {
  using is_transparent = void;
  bool operator()(const PrefixNode* a, const PrefixNode* b) const;
  bool operator()(const PrefixNode* a, const BlockContent& b) const;
  bool operator()(const BlockContent& a, const PrefixNode* b) const;
};

enum class WriteState : std::uint8_t { none, pending, in_flight };  // of a copy to disk

// One block's content and where it is. It lives while it is in a tier, being loaded or written, or has children.
struct PrefixNode {
  BlockKey key;
  Salt salt;
  std::vector<TokenId> ids;      // block_tokens of them; fewer for a kept tail; none for the root
  PrefixNode* parent = nullptr;  // nothing for the root only
  std::uint32_t depth = 0;       // blocks before and including this one
  std::uint32_t children = 0;
  PrefixNode* newest_child = nullptr;   // while it lives; most blocks have one child, found without a hash
  std::optional<BlockId> host;          // its block, when committed in the pool
  std::optional<std::uint64_t> record;  // its number, when on disk
  std::optional<std::uint64_t> load;    // tag of the read that will bring it to the pool
  WriteState write = WriteState::none;
  std::uint64_t write_tag = 0;  // of that copy, unless none
  bool cached = false;          // resident in the pool and, as far as the index was told, not leased
  std::uint64_t content_hash = 0;
  std::uint64_t recency = 0;  // order of the last use
  std::set<PrefixNode*, SiblingOrder> host_children;

  BlockContent content() const { return {salt, ids}; }
  bool resident() const { return host.has_value() || record.has_value(); }
};

// Hash-chained nodes of all tiers of one model, and which host block to evict next. Knows no bytes and no leases but
// what it is told. Owned by the engine's owner thread; no locks.
//
// Exact children are found by a hash of (parent, salt, ids) whose hits are compared id by id; partial matches by order
// among the children resident in the pool. Evictable is a cached node without a resident child: leaves go first, among
// them the least recently used. Pointers to nodes stay valid while the node lives.
class PrefixIndex {
 public:
  struct Partial {
    PrefixNode* node = nullptr;  // a child resident in the pool
    std::uint32_t tokens = 0;    // first ids in common
  };

  PrefixIndex(const BlockKey& root, std::uint32_t host_blocks);
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
  void touch(PrefixNode& node);  // makes it the most recently used. REQUIRES: not evictable

  PrefixNode* least_recent_evictable() const { return evictable_.empty() ? nullptr : *evictable_.begin(); }
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
  struct LeastRecentFirst {
    bool operator()(const PrefixNode* a, const PrefixNode* b) const { return a->recency < b->recency; }
  };

  static std::uint64_t hash_content(const PrefixNode& parent, const BlockContent& content);
  static bool is_evictable(const PrefixNode& node) { return node.cached && node.host_children.empty(); }
  PrefixNode& insert(PrefixNode& parent, const BlockContent& content, const BlockKey& key, std::uint64_t hash);
  void remove(PrefixNode& node);
  void check(const PrefixNode& node) const;
  void check_totals(std::size_t evictable, std::size_t records) const;

  std::unordered_map<BlockKey, PrefixNode, BlockKeyHash> nodes_;
  std::unordered_set<PrefixNode*, ContentHash, ContentEqual> by_content_;  // all but the root
  std::set<PrefixNode*, LeastRecentFirst> evictable_;
  std::vector<PrefixNode*> owners_;  // by BlockId
  PrefixNode* root_;
  std::uint64_t clock_ = 0;
  std::uint64_t records_ = 0;
};

}  // namespace kvasir
