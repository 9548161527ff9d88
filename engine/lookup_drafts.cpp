#include "engine/lookup_drafts.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "storage/base/assert.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

constexpr std::uint32_t kSlotsLeast = 1u << 10, kSlotsMost = 1u << 16;
constexpr std::uint32_t kOccurrencesTried = 64;
constexpr double kKept = 0.95;
// What is assumed of a class before anything is known of it, and how many guesses that counts as.
constexpr std::array<double, 6> kChanceFirst{0.15, 0.25, 0.4, 0.6, 0.8, 0.9};
constexpr double kFirstWeighs = 3;

}  // namespace

std::size_t LookupDrafts::class_of(std::uint32_t length) {
  const std::uint32_t known = std::min(length, kLengthMost);
  return known < 4 ? known - kLengthLeast : static_cast<std::size_t>(std::bit_width(known)) - 1;
}

std::uint32_t& LookupDrafts::latest(std::span<const TokenId> ids, std::uint32_t at) {
  const std::uint64_t pair =
      std::uint64_t{static_cast<std::uint32_t>(ids[at - 1])} << 32 | static_cast<std::uint32_t>(ids[at]);
  return latest_[mix64(pair) & (latest_.size() - 1)];
}

void LookupDrafts::follow(std::span<const TokenId> ids) {
  KVASIR_ASSERT(ids.size() >= followed_ && ids.size() >= prompt_tokens_);
  if (latest_.empty()) {
    latest_.resize(std::clamp(std::bit_ceil(2 * prompt_tokens_), kSlotsLeast, kSlotsMost));
    previous_.reserve(ids.size());
  }
  const auto end = static_cast<std::uint32_t>(std::min<std::size_t>(ids.size(), followed_ + kTokensPerCall));
  for (std::uint32_t at = followed_; at < end; ++at) {
    if (at >= prompt_tokens_) judge(ids, at);
    if (length_ == 0 && at + 1 >= prompt_tokens_) find(ids, at);
    previous_.push_back(0);
    if (at > 0) previous_[at] = std::exchange(latest(ids, at), at);
  }
  followed_ = end;
  caught_up_ = end == ids.size();
}

void LookupDrafts::judge(std::span<const TokenId> ids, std::uint32_t at) {
  if (length_ == 0) return;
  const bool right = ids[next_] == ids[at];
  Record& record = records_[class_of(length_)];
  record.right = kKept * record.right + (right ? 1 : 0);
  record.made = kKept * record.made + 1;
  ++next_;
  length_ = right ? std::min(length_ + 1, kLengthMost) : 0;
}

// Looks for the tokens up to `at`, which are not indexed yet.
void LookupDrafts::find(std::span<const TokenId> ids, std::uint32_t at) {
  if (at == 0) return;
  std::uint32_t tried = 0;
  for (std::uint32_t was = latest(ids, at); was > 0 && tried < kOccurrencesTried; was = previous_[was], ++tried) {
    std::uint32_t length = 0;
    while (length < kLengthMost && length <= was && ids[was - length] == ids[at - length]) ++length;
    if (length < kLengthLeast || length <= length_) continue;
    length_ = length;
    next_ = was + 1;
    if (length_ == kLengthMost) return;
  }
}

double LookupDrafts::chance(std::uint32_t depth) const {
  if (length_ == 0 || !caught_up_) return 0;
  const std::size_t of = class_of(length_ + depth);
  return (records_[of].right + kFirstWeighs * kChanceFirst[of]) / (records_[of].made + kFirstWeighs);
}

void LookupDrafts::draft(std::vector<TokenId>& ids, std::uint32_t count) const {
  KVASIR_ASSERT(length_ > 0 && ids.size() == followed_);
  // Guesses may repeat guesses: next_ + i < ids.size().
  for (std::uint32_t i = 0; i < count; ++i) ids.push_back(ids[next_ + i]);
}

}  // namespace kvasir
