#include "engine/sequence.h"

#include <algorithm>
#include <utility>

namespace kvasir {

Sequence::Sequence(SequenceId id, GenerateRequest request, std::shared_ptr<TokenListener> listener,
                   std::vector<BlockKey> keys, std::uint32_t block_tokens, std::uint32_t tokens_max)
    : id_(id),
      request_(std::move(request)),
      listener_(std::move(listener)),
      keys_(std::move(keys)),
      block_tokens_(block_tokens),
      tokens_max_(tokens_max),
      prompt_tokens_(static_cast<std::uint32_t>(request_.prompt.size())),
      ids_(std::move(request_.prompt)),
      lookup_(prompt_tokens_) {
  KVASIR_ASSERT(prompt_tokens_ > 0 && prompt_tokens_ < tokens_max_);
  KVASIR_ASSERT(keys_.size() == prompt_tokens_ / block_tokens_);
  times.arrived = request_.arrived;
}

void Sequence::hold(PrefixHold prefix) {
  KVASIR_ASSERT(blocks_held() == 0 && prefix.tokens() < tokens());
  KVASIR_ASSERT(prefix.tokens() == prefix.blocks.size() * block_tokens_ + prefix.partial_tokens);
  computed_ = prefix.tokens();
  computed_once_ = std::max(computed_once_, computed_);
  held_by_ = prefix.request;
  blocks_ = std::move(prefix.blocks);
  KVASIR_ASSERT(blocks_.size() <= keys_.size());
  if (prefix.partial) fills_.push_back(std::move(*prefix.partial));
}

void Sequence::add_block(BlockFill fill) { fills_.push_back(std::move(fill)); }

void Sequence::release_blocks() {
  KVASIR_ASSERT(!in_step);
  fills_.clear();
  while (!blocks_.empty()) blocks_.pop_back();  // leaves first
  held_by_ = {};
  computed_ = 0;
}

void Sequence::add_drafts(std::uint32_t count) {
  KVASIR_ASSERT(drafts_ == 0 && count < tokens_left() && tokens() + count <= block_capacity());
  lookup_.draft(ids_, count);
  drafts_ = count;
}

std::vector<TokenId> Sequence::take_drafts() {
  const std::vector<TokenId> drafts(ids_.end() - drafts_, ids_.end());
  ids_.resize(tokens());
  drafts_ = 0;
  return drafts;
}

void Sequence::release_spare_blocks() {
  const std::uint32_t needed = div_ceil(computed_, block_tokens_);
  while (blocks_held() > needed) fills_.pop_back();
}

SequenceInput Sequence::input(std::uint32_t end) const {
  KVASIR_ASSERT(computed_ < end && end <= tokens() && end + drafts_ <= block_capacity());
  KVASIR_ASSERT(drafts_ == 0 || end == tokens());
  SequenceInput input;
  input.id = id_;
  input.ids = std::span(ids_).first(end + drafts_);
  input.drafts = drafts_;
  input.first_position = computed_;
  const std::uint32_t needed = div_ceil(end + drafts_, block_tokens_);
  input.blocks.reserve(needed);
  for (const BlockLease& lease : blocks_) input.blocks.push_back(lease.id());
  for (std::size_t f = 0; input.blocks.size() < needed; ++f) input.blocks.push_back(fills_[f].id());
  if (end == tokens()) input.sampling = &request_.sampling;
  input.prompt_tokens = prompt_tokens_;
  return input;
}

std::uint32_t Sequence::advance(std::uint32_t end) {
  KVASIR_ASSERT(computed_ < end && end <= tokens());
  const std::uint32_t again = computed_once_ > computed_ ? std::min(end, computed_once_) - computed_ : 0;
  computed_ = end;
  computed_once_ = std::max(computed_once_, end);
  return again;
}

void Sequence::commit_full_blocks(PrefixCache& cache, TimePoint now) {
  const std::size_t full = computed_ / block_tokens_;
  std::size_t taken = 0;
  for (; blocks_.size() < full; ++taken) {
    const std::size_t block = blocks_.size();
    const auto first = static_cast<std::uint32_t>(block) * block_tokens_;
    const BlockKey parent = block == 0 ? cache.root() : keys_[block - 1];
    BlockKey key;
    blocks_.push_back(cache.commit_block(std::move(fills_[taken]), parent,
                                         salt_of_block(request_.salts, first, block_tokens_),
                                         std::span(ids_).subspan(first, block_tokens_), &key, now, held_by_));
    if (block == keys_.size()) keys_.push_back(key);
    KVASIR_ASSERT(keys_[block] == key);
  }
  fills_.erase(fills_.begin(), fills_.begin() + static_cast<std::ptrdiff_t>(taken));
}

SequenceTail Sequence::commit_tail(PrefixCache& cache) {
  const std::size_t block = blocks_.size();
  const auto first = static_cast<std::uint32_t>(block) * block_tokens_;
  if (computed_ <= first) return {};
  const SequenceTail tail{computed_ - first,
                          cache.commit_tail(std::move(fills_.front()), block == 0 ? cache.root() : keys_[block - 1],
                                            salt_of_block(request_.salts, first, block_tokens_),
                                            std::span(ids_).subspan(first, computed_ - first))};
  fills_.erase(fills_.begin());
  return tail;
}

std::optional<FinishReason> Sequence::append(TokenId id) {
  KVASIR_ASSERT(remaining() == 0 && drafts_ == 0);
  ids_.push_back(id);
  const std::vector<TokenId>& stops = request_.stop_tokens;
  if (std::find(stops.begin(), stops.end(), id) != stops.end()) return FinishReason::stop;
  if (tokens() >= tokens_max_) return FinishReason::length;
  return std::nullopt;
}

}  // namespace kvasir
