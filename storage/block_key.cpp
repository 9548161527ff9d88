#include "storage/block_key.h"

#include <algorithm>

#include "storage/base/assert.h"
#include "storage/base/hash.h"

namespace kvasir {
namespace {

constexpr std::string_view kRootDomain = "kvasir prefix root 1";
constexpr std::string_view kBlockDomain = "kvasir block 1";

}  // namespace

BlockKey root_key(const Fingerprint& fingerprint, std::uint32_t block_tokens) {
  Sha256 hash;
  hash.update_sized(kRootDomain).update(fingerprint).update_u64(block_tokens);
  return {hash.finish()};
}

BlockKey block_key(const BlockKey& parent, const Salt& salt, std::span<const TokenId> ids) {
  thread_local Sha256 hash;  // making one costs as much as hashing a block
  hash.update_sized(kBlockDomain).update(parent).update(salt).update_u64(ids.size()).update(std::as_bytes(ids));
  return {hash.finish()};
}

const Salt& salt_of_block(std::span<const SaltRange> salts, std::uint32_t first, std::uint32_t count) {
  KVASIR_ASSERT(!salts.empty() && salts.front().first_token == 0 && count > 0);
  const std::uint32_t last = first + count - 1;
  const auto after =
      std::upper_bound(salts.begin(), salts.end(), last,
                       [](std::uint32_t token, const SaltRange& range) { return token < range.first_token; });
  return std::prev(after)->salt;
}

std::vector<BlockKey> block_keys(const BlockKey& root, std::span<const TokenId> ids, std::span<const SaltRange> salts,
                                 std::uint32_t block_tokens) {
  std::vector<BlockKey> keys;
  keys.reserve(ids.size() / block_tokens);
  for (std::uint32_t first = 0; first + block_tokens <= ids.size(); first += block_tokens) {
    const BlockKey& parent = keys.empty() ? root : keys.back();
    keys.push_back(block_key(parent, salt_of_block(salts, first, block_tokens), ids.subspan(first, block_tokens)));
  }
  return keys;
}

}  // namespace kvasir
