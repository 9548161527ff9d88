#pragma once

#include <span>
#include <vector>

#include "storage/base/ids.h"

namespace kvasir {

// Salt of the tokens from `first_token` on, until the next range. Ranges ascend; the first starts at 0.
struct SaltRange {
  std::uint32_t first_token = 0;
  Salt salt;
};

// Root of every chain: SHA-256 of a domain string, the fingerprint and block_tokens.
BlockKey root_key(const Fingerprint& fingerprint, std::uint32_t block_tokens);

// Key of one block: SHA-256 over domain, parent key, salt, and the token ids (little-endian u32, counted).
BlockKey block_key(const BlockKey& parent, const Salt& salt, std::span<const TokenId> ids);

// Salt of the block that holds tokens [first, first + count): the salt of its last token, so a block with even one
// private token is private.
const Salt& salt_of_block(std::span<const SaltRange> salts, std::uint32_t first, std::uint32_t count);

// Keys of all full blocks of `ids`, in order.
std::vector<BlockKey> block_keys(const BlockKey& root, std::span<const TokenId> ids, std::span<const SaltRange> salts,
                                 std::uint32_t block_tokens);

}  // namespace kvasir
