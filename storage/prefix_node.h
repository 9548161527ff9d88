#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
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

// What an eviction policy remembers of a block. Only the policy reads and writes it; nothing here means the same to two
// policies.
struct PolicyState {
  static constexpr std::uint32_t kNone = UINT32_MAX;
  std::uint64_t order = 0;     // place in a queue
  std::uint32_t slot = kNone;  // place in an array of evictable blocks
  std::uint32_t run = kNone;   // the run of blocks that it was last used with
  std::uint8_t queue = 0;      // which queue
  std::uint8_t uses = 0;       // as far as the policy counts
  std::uint8_t fanout = 0;     // children ever admitted, as far as the policy counts
};

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
  PolicyState policy;

  BlockContent content() const { return {salt, ids}; }
  bool resident() const { return host.has_value() || record.has_value(); }
};

}  // namespace kvasir
