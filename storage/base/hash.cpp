#include "storage/base/hash.h"

#include <array>
#include <bit>
#include <stdexcept>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "storage/base/assert.h"

namespace kvasir {
namespace {

static_assert(std::endian::native == std::endian::little, "stored and hashed integers are copied as they are");

EVP_MD_CTX* as_context(void* context) { return static_cast<EVP_MD_CTX*>(context); }

// Fetched once: an implicit fetch per message costs more than hashing a block key.
const EVP_MD* sha256_algorithm() {
  static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  if (algorithm == nullptr) throw std::runtime_error("OpenSSL offers no SHA-256");
  return algorithm;
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr || EVP_DigestInit_ex2(as_context(context_), sha256_algorithm(), nullptr) != 1)
    throw std::runtime_error("OpenSSL cannot start SHA-256");
}

Sha256::~Sha256() { EVP_MD_CTX_free(as_context(context_)); }

Sha256& Sha256::update(std::span<const std::byte> bytes) {
  KVASIR_ASSERT(EVP_DigestUpdate(as_context(context_), bytes.data(), bytes.size()) == 1);
  return *this;
}

Sha256& Sha256::update_u64(std::uint64_t value) { return update(std::as_bytes(std::span(&value, 1))); }

Sha256& Sha256::update_sized(std::span<const std::byte> bytes) { return update_u64(bytes.size()).update(bytes); }

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  unsigned int written = 0;
  KVASIR_ASSERT(EVP_DigestFinal_ex(as_context(context_), digest.data(), &written) == 1 && written == digest.size());
  KVASIR_ASSERT(EVP_DigestInit_ex2(as_context(context_), nullptr, nullptr) == 1);
  return digest;
}

Sha256Digest hmac_sha256(std::string_view key, std::string_view message) {
  Sha256Digest digest;
  unsigned int written = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
  KVASIR_ASSERT(HMAC(sha256_algorithm(), key.data(), static_cast<int>(key.size()), bytes, message.size(), digest.data(),
                     &written) != nullptr);
  KVASIR_ASSERT(written == digest.size());
  return digest;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

}  // namespace kvasir
