#include "engine/prefill_claims.h"

#include <algorithm>

namespace kvasir {

void PrefillClaims::claim(SequenceId sequence, std::span<const BlockKey> keys) {
  for (const BlockKey& key : keys) owners_.try_emplace(key, sequence);
}

void PrefillClaims::release(SequenceId sequence, std::span<const BlockKey> keys) {
  for (const BlockKey& key : keys) {
    const auto at = owners_.find(key);
    if (at != owners_.end() && at->second == sequence) owners_.erase(at);
  }
}

bool PrefillClaims::any_of(std::span<const BlockKey> keys) const {
  if (owners_.empty()) return false;
  return std::any_of(keys.begin(), keys.end(), [&](const BlockKey& key) { return owners_.contains(key); });
}

}  // namespace kvasir
