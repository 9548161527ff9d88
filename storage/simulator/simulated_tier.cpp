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
constexpr std::uint32_t kNoBlock = UINT32_MAX;
const Salt kNoSalt;

}  // namespace

SimulatedTier::SimulatedTier(PolicyKind policy, std::uint32_t capacity, std::uint32_t blocks, Regime regime)
    : capacity_(capacity),
      pins_(regime == Regime::pinned),
      index_(key_of(kRoot), blocks, make_policy(policy, capacity, regime == Regime::pinned)),
      nodes_(blocks),
      leases_(blocks),
      in_unleased_(blocks) {}

std::uint32_t SimulatedTier::use(std::span<const std::uint32_t> path, const BlockUse& use) {
  const std::uint32_t hits = lookup(path, use);
  admit_rest(path, hits, use);
  if (!pins_) release(path);
  evict();
  return hits;
}

std::uint32_t SimulatedTier::use(const Trace& trace, const TraceRequest& request, const BlockUse& use) {
  const auto path = trace.path(request);
  if (!pins_ || !request.recorded) return this->use(path, use);
  const std::uint32_t hits = lookup(path, use);
  const std::uint32_t partial = request.input_tokens > request.blocks * trace.block_tokens ? 1 : 0;
  if (request.copied && resident(*request.copied)) copy_first_tokens(*request.copied, use);
  if (hits == request.blocks && partial == 0 && hits > 0) compute_again(path.back(), use);
  make_room(request.blocks - hits + partial);
  filling_ += partial;
  admit_rest(path, hits, use);
  return hits;
}

// Finds and holds what is there.
std::uint32_t SimulatedTier::lookup(std::span<const std::uint32_t> path, const BlockUse& use) {
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
  return hits;
}

void SimulatedTier::admit_rest(std::span<const std::uint32_t> path, std::uint32_t hits, const BlockUse& use) {
  PrefixNode* at = &node_of(path.first(hits));
  for (std::uint32_t i = hits; i < path.size(); ++i) {
    admit(*at, path[i], use);
    at = nodes_[path[i]];
  }
}

// Into a block that there is room for then; held meanwhile.
void SimulatedTier::copy_first_tokens(std::uint32_t block, const BlockUse& use) {
  lease(block);
  index_.touch(*nodes_[block], use);
  make_room(1);
  unlease(block);
}

// A prompt's last token is always computed, so of one that is there to its end the last block is copied, but for a
// token, and then found to be there.
void SimulatedTier::compute_again(std::uint32_t block, const BlockUse& use) {
  make_room(1);
  unlease(block);
  lease(block);
  index_.touch(*nodes_[block], use);
}

void SimulatedTier::answer(const Trace& trace, const TraceRequest& request, const BlockUse& use) {
  const auto path = trace.path(request), answer = trace.answer(request);
  if (!request.recorded || (!pins_ && !path.empty() && !resident(path.back()))) return;
  bool has_room = pins_ && request.input_tokens > request.blocks * trace.block_tokens;
  const auto room_for_next = [&] {
    if (has_room) --filling_;
    if (pins_ && !has_room) make_room(1);
    has_room = false;
  };
  std::uint32_t parent = path.empty() ? kNoBlock : path.back();
  const auto full = answer.first(answer.size() - (request.tail ? 1 : 0));
  for (const std::uint32_t block : full) {
    room_for_next();
    add_answer_block(parent, block, use);
    parent = block;
  }
  if (!pins_) return release(full);
  if (request.ends_in_block) room_for_next();
  if (has_room) --filling_;
  if (!request.tail || resident(answer.back())) return;
  add_answer_block(parent, answer.back(), BlockUse{});
  unlease(answer.back());
}

void SimulatedTier::add_answer_block(std::uint32_t parent, std::uint32_t block, const BlockUse& use) {
  if (!resident(block)) return admit(parent == kNoBlock ? index_.root() : *nodes_[parent], block, use);
  lease(block);
  index_.touch(*nodes_[block], use);
}

PrefixNode& SimulatedTier::node_of(std::span<const std::uint32_t> path) {
  return path.empty() ? index_.root() : *nodes_[path.back()];
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
  if (--leases_[block] > 0) return;
  if (!pins_) return index_.set_cached(*nodes_[block]);
  if (in_unleased_[block]) return;
  in_unleased_[block] = true;
  unleased_.push_back(block);
}

void SimulatedTier::note_unleased() {
  for (const std::uint32_t block : unleased_) {
    in_unleased_[block] = false;
    if (resident(block) && leases_[block] == 0) index_.set_cached(*nodes_[block]);
  }
  unleased_.clear();
}

void SimulatedTier::release(std::span<const std::uint32_t> path) {
  for (std::size_t i = path.size(); i > 0; --i) unlease(path[i - 1]);
  evict();
}

void SimulatedTier::release(const Trace& trace, const TraceRequest& request) {
  const auto answer = trace.answer(request);
  const std::size_t full = request.recorded ? answer.size() - (request.tail ? 1 : 0) : 0;
  for (std::size_t i = full; i > 0; --i) unlease(answer[i - 1]);
  release(trace.path(request));
}

void SimulatedTier::make_room(std::uint32_t blocks) {
  if (resident_ + filling_ + blocks <= capacity_) return;
  note_unleased();
  while (resident_ + filling_ + blocks > capacity_) {
    PrefixNode* const victim = index_.victim();
    if (victim == nullptr) return;  // the rest is held
    nodes_[index_of(*victim->host)] = nullptr;
    index_.clear_host(*victim);
    index_.remove_if_unused(victim);
    --resident_;
    ++evicted_;
  }
}

void SimulatedTier::ends(PolicyRequest request, const RequestOutcome& outcome, TimePoint now) {
  index_.policy().request_ends(request, outcome, now);
}

}  // namespace kvasir
