#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "storage/base/ids.h"

namespace kvasir {

using Sha256Digest = std::array<std::uint8_t, 32>;

// Incremental SHA-256 over OpenSSL's one-shot-fast EVP context; one object hashes many messages (reset by finish()).
// Every variable-length field must be preceded by its length (see update_sized), so concatenations cannot collide.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  Sha256& update(std::span<const std::byte> bytes);
  Sha256& update(std::string_view text) { return update(std::as_bytes(std::span(text))); }
  Sha256& update_u64(std::uint64_t value);                 // little-endian
  Sha256& update_sized(std::span<const std::byte> bytes);  // u64 length, then the bytes
  Sha256& update_sized(std::string_view text) { return update_sized(std::as_bytes(std::span(text))); }
  template <class Tag>
  Sha256& update(const Digest<Tag>& digest) {
    return update(std::as_bytes(std::span(digest.bytes)));
  }
  Sha256Digest finish();

 private:
  void* context_;  // EVP_MD_CTX
};

// HMAC-SHA256 of `message` under `key`.
Sha256Digest hmac_sha256(std::string_view key, std::string_view message);

// Lower-case hex of any bytes.
std::string to_hex(std::span<const std::uint8_t> bytes);

// CRC-32C (Castagnoli), hardware-accelerated where the processor has SSE4.2. Chainable: pass the previous result.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc = 0);

namespace detail {
std::uint32_t crc32c_portable(std::span<const std::byte> bytes, std::uint32_t crc);  // what a processor without it runs
}

// 64-bit checksum of stored payloads and seed of the index's hash tables: fast on megabytes and on one block's ids, not
// cryptographic. Computes XXH64 (Y. Collet), so known answers exist.
std::uint64_t checksum64(std::span<const std::byte> bytes, std::uint64_t seed = 0);

}  // namespace kvasir
