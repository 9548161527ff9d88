#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/model/gguf.h"

namespace kvasir {

float f16_to_f32(std::uint16_t half);   // exact; also subnormals, infinities, NaN
std::uint16_t f32_to_f16(float value);  // rounds to nearest, ties to even; overflow to infinity
float bf16_to_f32(std::uint16_t bits);  // exact

// Bytes of a row of `elements` elements. REQUIRES: elements is a multiple of block_elements(type).
std::size_t row_bytes(TensorType type, std::size_t elements);

// The 6-bit scale and minimum of one group of 32 in a Q4_K or Q5_K block of 256; `scales` are its 12 bytes of them.
struct SuperBlockScale {
  std::uint32_t scale, minimum;
};
SuperBlockScale super_block_scale(const std::byte* scales, std::size_t group);

// Elements of a row as f32, each product and sum rounded: d * q (Q4_0, Q5_0, Q8_0), d * q + m (Q4_1, Q5_1), (d * scale)
// * q - dmin * minimum (Q4_K, Q5_K), d * scale * q (Q6_K).
// REQUIRES: row.size() == row_bytes(type, out.size()).
void dequantize_row(TensorType type, std::span<const std::byte> row, std::span<float> out);

// Row `index` of a matrix {in, out}: `in` elements. REQUIRES: a supported type, index < dims[1].
void dequantize_row(const GgufTensor& tensor, std::size_t index, std::span<float> out);

}  // namespace kvasir
