#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/cpu/kernels.h"
#include "engine/model/model_config.h"

namespace kvasir {

// The bytes of a block in the cpu backend's pool: [layer][K|V][kv_head], and inside
//   K  [dim][token]   16 keys of one dimension are one vector load, so scores need no transpose and no horizontal sum
//   V  [token][dim]   16 dimensions of one value are one vector load
// each followed by its scales, [token], where the type has them. DESIGN.md draws K as [token][dim] too; the transposed
// K is worth its strided writes, as K is read once per later token and written once. A full block has no byte that its
// token ids did not decide; a token's bytes are decided by its own K and V.
struct KvLayout {
  std::uint32_t layers = 0, kv_heads = 0, head_dim = 0, block_tokens = 0;
  cpu::KvType type = cpu::KvType::f16;

  static KvLayout of(const ModelConfig& config, std::uint32_t block_tokens, cpu::KvType type) {
    return {config.layers, config.kv_heads, config.head_dim, block_tokens, type};
  }
  std::size_t values_bytes() const { return std::size_t{cpu::kv_value_bytes(type)} * block_tokens * head_dim; }
  std::size_t head_bytes() const { return values_bytes() + std::size_t{cpu::kv_scale_bytes(type)} * block_tokens; }
  std::size_t block_bytes() const { return 2 * head_bytes() * kv_heads * layers; }
  std::size_t k_offset(std::uint32_t layer, std::uint32_t head) const {
    return head_bytes() * (std::size_t{2} * layer * kv_heads + head);
  }
  std::size_t v_offset(std::uint32_t layer, std::uint32_t head) const {
    return k_offset(layer, head) + head_bytes() * kv_heads;
  }
};

}  // namespace kvasir
