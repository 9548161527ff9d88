#include "engine/text/token_index.h"

#include <bit>

#include "storage/base/assert.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

constexpr std::uint64_t kPrime = (std::uint64_t{1} << 61) - 1;
constexpr std::uint64_t kBase = 0x1A2B7C3D4E5F6071ull % kPrime;

constexpr std::uint64_t reduce(std::uint64_t x) { return x >= kPrime ? x - kPrime : x; }

constexpr std::uint64_t multiply(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return reduce((static_cast<std::uint64_t>(product) & kPrime) + static_cast<std::uint64_t>(product >> 61));
}

constexpr std::uint32_t tag_of(std::uint64_t mixed) { return static_cast<std::uint32_t>(mixed >> 32) | 1; }

}  // namespace

TextHash TextHash::then(char next) const {
  // Plus one, so that zero bytes count.
  return {reduce(multiply(value, kBase) + static_cast<unsigned char>(next) + 1), multiply(power, kBase)};
}

TextHash TextHash::then(TextHash next) const {
  return {reduce(multiply(value, next.power) + next.value), multiply(power, next.power)};
}

TextHash TextHash::without(TextHash head, std::uint64_t tail_power) const {
  return {reduce(value + kPrime - multiply(head.value, tail_power)), tail_power};
}

TextHash TextHash::of(std::string_view text) {
  TextHash hash;
  for (const char c : text) hash = hash.then(c);
  return hash;
}

TokenIndex::TokenIndex(std::size_t tokens_expected)
    : tags_(std::bit_ceil(tokens_expected + tokens_expected / 2 + 2)), entries_(tags_.size()) {}

TokenId TokenIndex::find(TextHash hash, std::string_view left, std::string_view right) const {
  const std::size_t mask = tags_.size() - 1;
  const std::uint64_t mixed = mix64(hash.value);
  const std::uint32_t tag = tag_of(mixed);
  for (std::size_t slot = mixed & mask; tags_[slot] != 0; slot = (slot + 1) & mask) {
    if (tags_[slot] != tag) continue;
    const Entry& entry = entries_[slot];
    const std::string_view text(entry.text, entry.length);
    if (text.size() == left.size() + right.size() && text.starts_with(left) && text.ends_with(right)) return entry.id;
  }
  return kNoToken;
}

void TokenIndex::add(std::string_view text, TokenId id) {
  const TextHash hash = TextHash::of(text);
  if (find(hash, text, {}) != kNoToken) return;
  ++count_;
  KVASIR_ASSERT(count_ < tags_.size() && text.size() <= 0xFFFFFFFF);
  const std::size_t mask = tags_.size() - 1;
  const std::uint64_t mixed = mix64(hash.value);
  std::size_t slot = mixed & mask;
  while (tags_[slot] != 0) slot = (slot + 1) & mask;
  tags_[slot] = tag_of(mixed);
  entries_[slot] = {text.data(), static_cast<std::uint32_t>(text.size()), id};
}

}  // namespace kvasir
