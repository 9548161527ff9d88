#pragma once

#include <cstdint>

#include "engine/cpu/kernels.h"
#include "engine/cpu/kv_layout.h"

namespace kvasir {

// Writes K and V of one token and layer, (kv_heads, head_dim) each, into its place in a block. What is written depends
// on these values alone. Tokens of a block may be written by different threads.
void store_kv(const cpu::KernelTable& kernels, const KvLayout& layout, std::uint32_t layer, std::uint32_t slot,
              const float* k, const float* v, std::uint8_t* block);

}  // namespace kvasir
