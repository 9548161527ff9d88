#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

namespace kvasir {

using TokenId = std::int32_t;  // index into the vocabulary; plain, because kernels and tokenizers count with it

// Slot of one BlockPool.
enum class BlockId : std::uint32_t {};
constexpr std::size_t index_of(BlockId id) { return static_cast<std::size_t>(id); }

// One client call inside the engine; unique within a process, never reused.
enum class SequenceId : std::uint64_t {};

constexpr std::uint32_t div_ceil(std::uint32_t a, std::uint32_t b) { return a / b + (a % b != 0); }

// 32 opaque bytes: SHA-256 digests and what is derived from them.
template <class Tag>
struct Digest {
  std::array<std::uint8_t, 32> bytes{};
  friend bool operator==(const Digest&, const Digest&) = default;
  friend auto operator<=>(const Digest&, const Digest&) = default;
};

template <class Tag>
struct DigestHash {
  std::size_t operator()(const Digest<Tag>& d) const {
    std::size_t h;  // a digest is uniform already
    std::memcpy(&h, d.bytes.data(), sizeof h);
    return h;
  }
};

using BlockKey = Digest<struct BlockKeyTag>;        // content identity of a block and of everything before it
using Fingerprint = Digest<struct FingerprintTag>;  // what KV bytes depend on besides token ids
using Salt = Digest<struct SaltTag>;                // isolation domain of a block: a tenant or a declared scope
using WeightsDigest = Digest<struct WeightsTag>;    // content identity of a model file
using BlockKeyHash = DigestHash<struct BlockKeyTag>;

}  // namespace kvasir
