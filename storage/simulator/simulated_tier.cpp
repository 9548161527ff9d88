#include "storage/simulator/simulated_tier.h"

#include <cstring>

#include "storage/base/assert.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

// No hash of any tokens, but as uniform and as unique as one.
BlockKey key_of(std::uint64_t number) {
  BlockKey key;
  const std::uint64_t words[] = {mix64(number), number};
  std::memcpy(key.bytes.data(), words, sizeof words);
  return key;
}

constexpr std::uint64_t kRoot = ~std::uint64_t{0};
const Salt kNoSalt;

}  // namespace

SimulatedTier::SimulatedTier(PolicyKind policy, std::uint32_t capacity, std::uint32_t blocks, Regime regime)
    : capacity_(capacity),
      pins_(regime == Regime::pinned),
      index_(key_of(kRoot), blocks, make_policy(policy, capacity, regime == Regime::pinned)),
      nodes_(blocks),
      leases_(blocks) {}

std::uint32_t SimulatedTier::use(std::span<const std::uint32_t> path, const BlockUse& use) {
  PrefixNode* at = &index_.root();
  std::uint32_t hits = 0;
  for (; hits < path.size(); ++hits) {
    const TokenId id = static_cast<TokenId>(path[hits]);
    PrefixNode* const next = index_.child(*at, {kNoSalt, {&id, 1}});
    if (next == nullptr) break;
    at = next;
  }
  index_.policy().request_begins(use.request, use.now);
  for (std::uint32_t i = 0; i < hits; ++i) lease(path[i]);
  for (std::uint32_t i = hits; i > 0; --i) index_.touch(*nodes_[path[i - 1]], use);
  for (std::uint32_t i = hits; i < path.size(); ++i) {
    admit(*at, path[i], use);
    at = nodes_[path[i]];
  }
  if (!pins_) release(path);
  evict();
  return hits;
}

void SimulatedTier::admit(PrefixNode& parent, std::uint32_t block, const BlockUse& use) {
  KVASIR_ASSERT(nodes_[block] == nullptr);
  const TokenId id = static_cast<TokenId>(block);
  PrefixNode& node = index_.child_or_insert(parent, {kNoSalt, {&id, 1}}, key_of(block));
  index_.touch(node, use);
  index_.set_host(node, BlockId{block});
  nodes_[block] = &node;
  ++leases_[block];
  ++resident_;
  ++admitted_;
}

void SimulatedTier::lease(std::uint32_t block) {
  index_.set_leased(*nodes_[block]);
  ++leases_[block];
}

void SimulatedTier::unlease(std::uint32_t block) {
  if (--leases_[block] == 0) index_.set_cached(*nodes_[block]);
}

void SimulatedTier::release(std::span<const std::uint32_t> path) {
  for (std::size_t i = path.size(); i > 0; --i) unlease(path[i - 1]);
  evict();
}

void SimulatedTier::evict() {
  while (resident_ > capacity_) {
    PrefixNode* const victim = index_.victim();
    if (victim == nullptr) return;  // the rest is held
    nodes_[index_of(*victim->host)] = nullptr;
    index_.clear_host(*victim);
    index_.remove_if_unused(victim);
    --resident_;
  }
}

void SimulatedTier::ends(PolicyRequest request, const RequestOutcome& outcome, TimePoint now) {
  index_.policy().request_ends(request, outcome, now);
}

}  // namespace kvasir
