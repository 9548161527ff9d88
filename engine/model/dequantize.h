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

// Elements of a row as f32: Q8_0 is d * q; Q4_1 is d * q + m (product rounded, then the sum rounded).
// REQUIRES: row.size() == row_bytes(type, out.size()).
void dequantize_row(TensorType type, std::span<const std::byte> row, std::span<float> out);

// Row `index` of a matrix {in, out}: `in` elements. REQUIRES: a supported type, index < dims[1].
void dequantize_row(const GgufTensor& tensor, std::size_t index, std::span<float> out);

}  // namespace kvasir
