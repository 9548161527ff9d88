#include <array>
#include <bit>
#include <cstring>

#include <nmmintrin.h>

#include "storage/base/hash.h"

namespace kvasir {
namespace {

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// ---- CRC-32C -------------------------------------------------------------------------------------------------------

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  constexpr std::uint32_t kReversedPolynomial = 0x82F63B78u;
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t remainder = i;
    for (int bit = 0; bit < 8; ++bit) remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? kReversedPolynomial : 0);
    table[i] = remainder;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> kCrcTable = make_crc_table();

__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(std::span<const std::byte> bytes, std::uint32_t crc) {
  std::uint64_t wide = crc;
  const std::byte* at = bytes.data();
  const std::byte* const end = at + bytes.size();
  for (; end - at >= 8; at += 8) wide = _mm_crc32_u64(wide, load<std::uint64_t>(at));
  std::uint32_t narrow = static_cast<std::uint32_t>(wide);
  for (; at != end; ++at) narrow = _mm_crc32_u8(narrow, static_cast<std::uint8_t>(*at));
  return narrow;
}

// ---- 64-bit checksum: the XXH64 function, written from its specification -------------------------------------------

constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87ull;
constexpr std::uint64_t kPrime2 = 0xC2B2AE3D27D4EB4Full;
constexpr std::uint64_t kPrime3 = 0x165667B19E3779F9ull;
constexpr std::uint64_t kPrime4 = 0x85EBCA77C2B2AE63ull;
constexpr std::uint64_t kPrime5 = 0x27D4EB2F165667C5ull;
constexpr std::ptrdiff_t kStripeBytes = 32;

constexpr std::uint64_t round_lane(std::uint64_t lane, std::uint64_t input) {
  return std::rotl(lane + input * kPrime2, 31) * kPrime1;
}

constexpr std::uint64_t merge_lane(std::uint64_t hash, std::uint64_t lane) {
  return (hash ^ round_lane(0, lane)) * kPrime1 + kPrime4;
}

constexpr std::uint64_t avalanche(std::uint64_t hash) {
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

// Takes whole stripes, four independent lanes each, and moves `at` past them.
std::uint64_t hash_stripes(const std::byte*& at, const std::byte* end, std::uint64_t seed) {
  std::uint64_t a = seed + kPrime1 + kPrime2, b = seed + kPrime2, c = seed, d = seed - kPrime1;
  for (; end - at >= kStripeBytes; at += kStripeBytes) {
    a = round_lane(a, load<std::uint64_t>(at));
    b = round_lane(b, load<std::uint64_t>(at + 8));
    c = round_lane(c, load<std::uint64_t>(at + 16));
    d = round_lane(d, load<std::uint64_t>(at + 24));
  }
  const std::uint64_t joined = std::rotl(a, 1) + std::rotl(b, 7) + std::rotl(c, 12) + std::rotl(d, 18);
  return merge_lane(merge_lane(merge_lane(merge_lane(joined, a), b), c), d);
}

std::uint64_t hash_tail(const std::byte* at, const std::byte* end, std::uint64_t hash) {
  for (; end - at >= 8; at += 8)
    hash = std::rotl(hash ^ round_lane(0, load<std::uint64_t>(at)), 27) * kPrime1 + kPrime4;
  if (end - at >= 4) {
    hash = std::rotl(hash ^ (load<std::uint32_t>(at) * kPrime1), 23) * kPrime2 + kPrime3;
    at += 4;
  }
  for (; at != end; ++at) hash = std::rotl(hash ^ (static_cast<std::uint64_t>(*at) * kPrime5), 11) * kPrime1;
  return hash;
}

}  // namespace

std::uint32_t detail::crc32c_portable(std::span<const std::byte> bytes, std::uint32_t crc) {
  crc = ~crc;
  for (const std::byte byte : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<std::uint8_t>(byte)) & 0xFF];
  return ~crc;
}

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) {
  static const bool hardware = __builtin_cpu_supports("sse4.2");
  return hardware ? ~crc32c_sse42(bytes, ~crc) : detail::crc32c_portable(bytes, crc);
}

std::uint64_t checksum64(std::span<const std::byte> bytes, std::uint64_t seed) {
  const std::byte* at = bytes.data();
  const std::byte* const end = at + bytes.size();
  const std::uint64_t start = end - at >= kStripeBytes ? hash_stripes(at, end, seed) : seed + kPrime5;
  return avalanche(hash_tail(at, end, start + bytes.size()));
}

}  // namespace kvasir
