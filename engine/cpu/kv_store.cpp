#include "engine/cpu/kv_store.h"

#include <cstring>

namespace kvasir {
namespace {

void store_f16(const cpu::KernelTable& kernels, const KvLayout& layout, std::uint32_t slot, const float* k,
               const float* v, std::uint8_t* k_block, std::uint8_t* v_block) {
  const std::uint32_t dims = layout.head_dim;
  std::uint16_t halves[cpu::kHeadDimMax];
  kernels.to_f16(k, dims, halves);
  auto* to = reinterpret_cast<std::uint16_t*>(k_block) + slot;
  for (std::uint32_t d = 0; d < dims; ++d) to[d * layout.block_tokens] = halves[d];
  kernels.to_f16(v, dims, reinterpret_cast<std::uint16_t*>(v_block) + slot * dims);
}

void store_int8(const cpu::KernelTable& kernels, const KvLayout& layout, std::uint32_t slot, const float* k,
                const float* v, std::uint8_t* k_block, std::uint8_t* v_block) {
  const std::uint32_t dims = layout.head_dim;
  std::uint8_t values[cpu::kHeadDimMax];
  const float k_scale = kernels.to_int8(k, dims, values);
  for (std::uint32_t d = 0; d < dims; ++d) k_block[d * layout.block_tokens + slot] = values[d];
  const float v_scale = kernels.to_int8(v, dims, v_block + slot * dims);
  std::memcpy(k_block + layout.values_bytes() + slot * sizeof k_scale, &k_scale, sizeof k_scale);
  std::memcpy(v_block + layout.values_bytes() + slot * sizeof v_scale, &v_scale, sizeof v_scale);
}

}  // namespace

void store_kv(const cpu::KernelTable& kernels, const KvLayout& layout, std::uint32_t layer, std::uint32_t slot,
              const float* k, const float* v, std::uint8_t* block) {
  const auto store = layout.type == cpu::KvType::f16 ? store_f16 : store_int8;
  for (std::uint32_t h = 0; h < layout.kv_heads; ++h)
    store(kernels, layout, slot, k + h * layout.head_dim, v + h * layout.head_dim, block + layout.k_offset(layer, h),
          block + layout.v_offset(layer, h));
}

}  // namespace kvasir
