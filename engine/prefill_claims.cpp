#include "engine/prefill_claims.h"

namespace kvasir {

void PrefillClaims::claim(SequenceId sequence, std::span<const BlockKey> keys) {
  for (const BlockKey& key : keys) owners_.try_emplace(key, sequence);
  ++version_;
}

void PrefillClaims::release(SequenceId sequence, std::span<const BlockKey> keys) {
  for (const BlockKey& key : keys) {
    const auto at = owners_.find(key);
    if (at != owners_.end() && at->second == sequence) owners_.erase(at);
  }
}

std::optional<SequenceId> PrefillClaims::owner(const BlockKey& key) const {
  const auto at = owners_.find(key);
  return at == owners_.end() ? std::nullopt : std::optional(at->second);
}

std::optional<std::size_t> PrefillClaims::last_of(std::span<const BlockKey> keys) const {
  if (owners_.empty()) return std::nullopt;
  for (std::size_t i = keys.size(); i > 0; --i)
    if (owners_.contains(keys[i - 1])) return i - 1;
  return std::nullopt;
}

}  // namespace kvasir
