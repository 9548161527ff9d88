#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "engine/model/model_config.h"
#include "storage/base/ids.h"

namespace kvasir {

// The arithmetic of KV memory, for planning. Bytes are exact for the formats that this build serves (a test holds them
// against the backends' own) and formulas for those that DESIGN.md names for later.

// Whether a format is what a backend of this build keeps KV in, or only a formula so far.
enum class KvServed : std::uint8_t { cpu, reference, planned };

// One way to write the values of K and V.
struct KvFormat {
  std::string_view name;
  std::uint32_t value_bits = 0;
  std::uint32_t group = 0;              // values with a scale of their own; 0: no such scales
  std::uint32_t scale_bytes = 0;        // of one group
  std::uint32_t token_scale_bytes = 0;  // of the scale of a head's K (or V) of one token
  KvServed served = KvServed::planned;

  constexpr std::uint64_t bytes_of(std::uint64_t values) const {
    const std::uint64_t groups = group == 0 ? 0 : values / group + (values % group != 0);
    return (values * value_bits + 7) / 8 + groups * scale_bytes;
  }
};

// Scales: f32 for each head's K and V of a token (int8), f16 for each 32 values (int4), e4m3 for each 16 (nvfp4).
inline constexpr std::array<KvFormat, 7> kKvFormats = {{
    {"f16", 16, 0, 0, 0, KvServed::cpu},
    {"f32", 32, 0, 0, 0, KvServed::reference},
    {"bf16", 16, 0, 0, 0, KvServed::planned},
    {"fp8", 8, 0, 0, 0, KvServed::planned},
    {"int8", 8, 0, 0, 4, KvServed::cpu},
    {"nvfp4", 4, 16, 1, 0, KvServed::planned},
    {"int4", 4, 32, 2, 0, KvServed::planned},
}};

// What decides a block's bytes. Layers with a sliding window are stored in full, as the others are.
struct KvShape {
  std::uint32_t layers = 0, kv_heads = 0, head_dim = 0;
  static KvShape of(const ModelConfig& config) { return {config.layers, config.kv_heads, config.head_dim}; }

  // K and V of one block: each head's K (or V) of the whole block is written by itself.
  constexpr std::uint64_t block_bytes(const KvFormat& format, std::uint32_t block_tokens) const {
    const std::uint64_t values = format.bytes_of(std::uint64_t{block_tokens} * head_dim);
    return std::uint64_t{2} * layers * kv_heads * (values + std::uint64_t{block_tokens} * format.token_scale_bytes);
  }
  // Of a token in a full block, rounded up.
  constexpr std::uint64_t token_bytes(const KvFormat& format, std::uint32_t block_tokens) const {
    return (block_bytes(format, block_tokens) + block_tokens - 1) / block_tokens;
  }
};

// Requests of equal length that run at once, and how they share a beginning.
struct KvLoad {
  std::uint64_t context_tokens = 0;  // prompt and answer of one request
  std::uint64_t concurrency = 1;
  std::uint64_t shared_tokens = 0;  // at the start of all of them; only full blocks are shared
  std::uint32_t block_tokens = 32;

  constexpr std::uint64_t request_blocks() const { return blocks_of(context_tokens); }
  // The last token is always a request's own: its logits are what the request is about.
  constexpr std::uint64_t shared_blocks() const {
    return context_tokens == 0 ? 0 : std::min(shared_tokens, context_tokens - 1) / block_tokens;
  }
  constexpr std::uint64_t own_blocks() const { return request_blocks() - shared_blocks(); }
  constexpr std::uint64_t blocks() const { return shared_blocks() + own_blocks() * concurrency; }

  // The most requests of this context that `pool` blocks hold at once. REQUIRES: context_tokens > 0.
  constexpr std::uint64_t concurrency_max(std::uint64_t pool) const {
    return pool < request_blocks() ? 0 : (pool - shared_blocks()) / own_blocks();
  }
  // The longest context that this many requests can have at once in `pool` blocks. REQUIRES: concurrency > 0.
  constexpr std::uint64_t context_max(std::uint64_t pool) const {
    if (pool < concurrency) return 0;
    const std::uint64_t shared = std::min(shared_tokens / block_tokens, pool), own = (pool - shared) / concurrency;
    return (own > 0 ? shared + own : pool - concurrency + 1) * block_tokens;
  }

 private:
  constexpr std::uint64_t blocks_of(std::uint64_t tokens) const {
    return tokens / block_tokens + (tokens % block_tokens != 0);
  }
};

// Blocks of `block_bytes` in a pool of host memory, where each starts on a cache line.
constexpr std::uint64_t host_blocks(std::uint64_t pool_bytes, std::uint64_t block_bytes) {
  return pool_bytes / ((block_bytes + 63) / 64 * 64);
}
constexpr std::uint64_t host_bytes(std::uint64_t blocks, std::uint64_t block_bytes) {
  return blocks * ((block_bytes + 63) / 64 * 64);
}

// Bytes of a block's two records in the disk tier (storage/FORMAT.md; the catalog's entry repeats the token ids).
constexpr std::uint64_t disk_record_bytes(std::uint64_t block_bytes, std::uint32_t block_tokens) {
  constexpr std::uint64_t kPayloadHead = 96, kMeta = 136 + 40;
  return block_bytes + kPayloadHead + kMeta + 8 * std::uint64_t{block_tokens};
}

// About how many blocks a full disk tier holds: it reclaims a run (a 32nd, at most 128 MiB) at a time and keeps a
// reserve.
constexpr std::uint64_t disk_blocks(std::uint64_t capacity, std::uint64_t block_bytes, std::uint32_t block_tokens) {
  constexpr std::uint64_t mib = 1u << 20;
  const std::uint64_t run = std::min(capacity / 32, 128 * mib);
  const std::uint64_t kept_free = mib + run + run / 2 + std::min(capacity / 256, 16 * mib);
  return capacity <= kept_free ? 0 : (capacity - kept_free) / disk_record_bytes(block_bytes, block_tokens);
}

}  // namespace kvasir
