#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace kvasir::testing {

// Tensor types by their GGML number, as in the file.
enum class TinyType : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  bf16 = 30
};

inline constexpr TinyType kTinyTypes[] = {TinyType::f32,  TinyType::f16,  TinyType::bf16, TinyType::q8_0,
                                          TinyType::q4_0, TinyType::q4_1, TinyType::q5_0, TinyType::q5_1,
                                          TinyType::q4_k, TinyType::q5_k, TinyType::q6_k};

std::uint32_t tiny_block_elements(TinyType type);  // a row of a matrix must be a multiple of it: 1, 32 or 256

// Appends the values as blocks of `type`, rounded to the nearest step of each group's range: honest, not optimal.
// REQUIRES: whole blocks, values below 65504.
void put_values(std::string& out, TinyType type, std::span<const float> values);

}  // namespace kvasir::testing
