#include "engine/model/dequantize.h"

#include <bit>
#include <cstring>

#include "storage/base/assert.h"

namespace kvasir {

namespace {

constexpr std::size_t kGroup = 32;  // elements of one small block

std::uint16_t read_u16(const std::byte* bytes) {
  std::uint16_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

float read_f16(const std::byte* bytes) { return f16_to_f32(read_u16(bytes)); }
std::uint32_t byte_at(const std::byte* bytes, std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); }

void dequantize_q8_0(const std::byte* block, float* out) {
  const float d = read_f16(block);
  for (std::size_t i = 0; i < kGroup; ++i) out[i] = d * static_cast<float>(static_cast<std::int8_t>(block[2 + i]));
}

// The four small types: {f16 scale, f16 minimum or none, 32 high bits or none, 16 bytes of nibbles}. Low nibbles are
// elements 0..15, high nibbles 16..31. Without a minimum the zero point is in the middle of the range.
template <bool kMinimum, bool kHighBits>
void dequantize_small(const std::byte* block, float* out) {
  constexpr int kMiddle = kMinimum ? 0 : kHighBits ? 16 : 8;
  const float d = read_f16(block);
  const float m = kMinimum ? read_f16(block + 2) : 0.0f;
  const std::byte* high = block + (kMinimum ? 4 : 2);
  const std::byte* nibbles = high + (kHighBits ? 4 : 0);
  for (std::size_t i = 0; i < kGroup; ++i) {
    const std::uint32_t pair = byte_at(nibbles, i % 16);
    std::uint32_t q = i < 16 ? pair & 15 : pair >> 4;
    if (kHighBits) q |= (byte_at(high, i / 8) >> (i % 8) & 1) << 4;
    const float scaled = d * static_cast<float>(static_cast<int>(q) - kMiddle);
    out[i] = kMinimum ? scaled + m : scaled;
  }
}

// Q4_K and Q5_K, 256 elements in 8 groups: {f16 d, f16 dmin, 12 bytes of 6-bit scales and minima, 32 bytes of high bits
// (Q5_K), 128 bytes of nibbles: 32 bytes for two groups, the low nibbles' group first}.
template <bool kHighBits>
void dequantize_k(const std::byte* block, float* out) {
  const float d = read_f16(block), dmin = read_f16(block + 2);
  const std::byte* high = block + 16;
  const std::byte* nibbles = high + (kHighBits ? 32 : 0);
  for (std::size_t g = 0; g < 8; ++g) {
    const SuperBlockScale s = super_block_scale(block + 4, g);
    const float scale = d * static_cast<float>(s.scale), minimum = dmin * static_cast<float>(s.minimum);
    for (std::size_t i = 0; i < kGroup; ++i) {
      const std::uint32_t pair = byte_at(nibbles, g / 2 * kGroup + i);
      std::uint32_t q = g % 2 == 0 ? pair & 15 : pair >> 4;
      if (kHighBits) q |= (byte_at(high, i) >> g & 1) << 4;
      out[g * kGroup + i] = scale * static_cast<float>(q) - minimum;
    }
  }
}

// {128 bytes of nibbles, 64 bytes of bit pairs, 16 int8 scales (one for 16 elements), f16 d}. Each half of 128 elements
// has 64 bytes of nibbles and 32 of bit pairs: elements i, i + 32, i + 64, i + 96 share the byte i of bit pairs.
void dequantize_q6_k(const std::byte* block, float* out) {
  const std::byte* scales = block + 192;
  const float d = read_f16(block + 208);
  for (std::size_t e = 0; e < 256; ++e) {
    const std::size_t half = e / 128, quarter = e % 128 / 32, i = e % 32;
    const std::uint32_t pair = byte_at(block, half * 64 + quarter % 2 * 32 + i);
    const std::uint32_t low = quarter < 2 ? pair & 15 : pair >> 4;
    const std::uint32_t high = byte_at(block, 128 + half * 32 + i) >> (2 * quarter) & 3;
    const int q = static_cast<int>(low | high << 4) - 32;
    out[e] = d * static_cast<float>(static_cast<std::int8_t>(scales[e / 16])) * static_cast<float>(q);
  }
}

using BlockDequantizer = void (*)(const std::byte* block, float* out);

BlockDequantizer block_dequantizer(TensorType type) {
  switch (type) {
    case TensorType::q4_0:
      return dequantize_small<false, false>;
    case TensorType::q4_1:
      return dequantize_small<true, false>;
    case TensorType::q5_0:
      return dequantize_small<false, true>;
    case TensorType::q5_1:
      return dequantize_small<true, true>;
    case TensorType::q8_0:
      return dequantize_q8_0;
    case TensorType::q4_k:
      return dequantize_k<false>;
    case TensorType::q5_k:
      return dequantize_k<true>;
    case TensorType::q6_k:
      return dequantize_q6_k;
    case TensorType::f32:
    case TensorType::f16:
    case TensorType::bf16:
      break;
  }
  KVASIR_ASSERT(!"not a type with blocks");
  return nullptr;
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

SuperBlockScale super_block_scale(const std::byte* scales, std::size_t group) {
  if (group < 4) return {byte_at(scales, group) & 63, byte_at(scales, group + 4) & 63};
  const std::uint32_t low = byte_at(scales, group + 4);
  return {(low & 15) | (byte_at(scales, group - 4) >> 6) << 4, (low >> 4) | (byte_at(scales, group) >> 6) << 4};
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
    default: {
      const BlockDequantizer dequantize = block_dequantizer(type);
      const std::size_t elements = block_elements(type), bytes = block_bytes(type);
      for (std::size_t i = 0; i < out.size(); i += elements, in += bytes) dequantize(in, &out[i]);
    }
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
