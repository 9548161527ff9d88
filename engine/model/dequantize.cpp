#include "engine/model/dequantize.h"

#include <bit>
#include <cstring>

#include "storage/base/assert.h"

namespace kvasir {

namespace {

constexpr std::size_t kGroup = 32;  // elements of one Q8_0 or Q4_1 block

std::uint16_t read_u16(const std::byte* bytes) {
  std::uint16_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

void dequantize_q8_0(const std::byte* block, float* out) {
  const float d = f16_to_f32(read_u16(block));
  for (std::size_t i = 0; i < kGroup; ++i) out[i] = d * static_cast<float>(static_cast<std::int8_t>(block[2 + i]));
}

// Low nibbles are elements 0..15, high nibbles 16..31.
void dequantize_q4_1(const std::byte* block, float* out) {
  const float d = f16_to_f32(read_u16(block));
  const float m = f16_to_f32(read_u16(block + 2));
  for (std::size_t i = 0; i < kGroup / 2; ++i) {
    const auto pair = static_cast<std::uint8_t>(block[4 + i]);
    out[i] = d * static_cast<float>(pair & 15) + m;
    out[i + kGroup / 2] = d * static_cast<float>(pair >> 4) + m;
  }
}

}  // namespace

float f16_to_f32(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 31u, fraction = half & 1023u;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | (fraction << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  const float magnitude = static_cast<float>(fraction) * 0x1.0p-24f;  // subnormal or zero: exact
  return sign != 0 ? -magnitude : magnitude;
}

std::uint16_t f32_to_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<std::uint16_t>(sign | 0x7E00u);   // NaN
  if (magnitude >= 0x477FF000u) return static_cast<std::uint16_t>(sign | 0x7C00u);  // rounds past 65504
  if (magnitude < 0x38800000u) {  // below 2^-14: the sum's last bit weighs 2^-24, so the adder rounds
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000u));
  }
  const std::uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | ((rounded >> 13) - (112u << 10)));
}

float bf16_to_f32(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

std::size_t row_bytes(TensorType type, std::size_t elements) {
  KVASIR_ASSERT(elements % block_elements(type) == 0);
  return elements / block_elements(type) * block_bytes(type);
}

void dequantize_row(TensorType type, std::span<const std::byte> row, std::span<float> out) {
  KVASIR_ASSERT(row.size() == row_bytes(type, out.size()));
  const std::byte* in = row.data();
  switch (type) {
    case TensorType::f32:
      std::memcpy(out.data(), in, row.size());
      return;
    case TensorType::f16:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = f16_to_f32(read_u16(in + 2 * i));
      return;
    case TensorType::bf16:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = bf16_to_f32(read_u16(in + 2 * i));
      return;
    case TensorType::q8_0:
      for (std::size_t i = 0; i < out.size(); i += kGroup, in += block_bytes(type)) dequantize_q8_0(in, &out[i]);
      return;
    case TensorType::q4_1:
      for (std::size_t i = 0; i < out.size(); i += kGroup, in += block_bytes(type)) dequantize_q4_1(in, &out[i]);
      return;
  }
}

void dequantize_row(const GgufTensor& tensor, std::size_t index, std::span<float> out) {
  KVASIR_ASSERT(is_supported(tensor.type) && out.size() == tensor.dims[0]);
  const auto type = static_cast<TensorType>(tensor.type);
  const std::size_t bytes = row_bytes(type, out.size());
  KVASIR_ASSERT((index + 1) * bytes <= tensor.data.size());
  dequantize_row(type, tensor.data.subspan(index * bytes, bytes), out);
}

}  // namespace kvasir
