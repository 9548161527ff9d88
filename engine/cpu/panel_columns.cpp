#include "engine/cpu/panel_columns.h"

#include <cstring>

#include "engine/model/dequantize.h"

namespace kvasir {
namespace {

using cpu::kGroup;
using cpu::kPanelColumns;
using cpu::PanelFormat;
using cpu::PanelType;

// ---- one column's groups of 32 in a panel: stored weights (unsigned bytes) and the bytes of the scales ----

std::uint32_t word_at(const std::uint8_t* p) {
  std::uint32_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

std::uint8_t* slot_at(std::uint8_t* group, std::uint32_t slot, std::uint32_t lane) {
  return group + (slot * kPanelColumns + lane) * 4;
}
const std::uint8_t* slot_at(const std::uint8_t* group, std::uint32_t slot, std::uint32_t lane) {
  return group + (slot * kPanelColumns + lane) * 4;
}

constexpr std::uint32_t kEveryByte = 0x01010101;

void store_weights(const PanelFormat& format, const std::uint8_t* weights, std::uint32_t lane, std::uint8_t* group) {
  if (format.bits == 8) {
    for (std::uint32_t i = 0; i < 8; ++i) std::memcpy(slot_at(group, i, lane), weights + 4 * i, 4);
    return;
  }
  for (std::uint32_t i = 0; i < 4; ++i) {
    const std::uint32_t low = word_at(weights + 4 * i) & 15 * kEveryByte;
    const std::uint32_t high = word_at(weights + 16 + 4 * i) & 15 * kEveryByte;
    const std::uint32_t both = low | high << 4;
    std::memcpy(slot_at(group, i, lane), &both, sizeof both);
  }
  const std::uint32_t above = format.bits - 4;  // bits of a weight in the planes
  if (above == 0) return;
  for (std::uint32_t p = 0, slot = 0; p < above; ++p) {
    std::uint32_t plane = 0;
    for (std::uint32_t at = 0; at < 8; at += above, ++slot)
      plane |= (word_at(weights + 4 * slot) >> 4 & ((1u << above) - 1) * kEveryByte) << at;
    std::memcpy(slot_at(group + format.plane_offset(), p, lane), &plane, sizeof plane);
  }
}

void load_weights(const PanelFormat& format, const std::uint8_t* group, std::uint32_t lane, std::uint8_t* weights) {
  const std::uint32_t above = format.bits - 4;
  for (std::uint32_t slot = 0; slot < 8; ++slot) {
    std::uint32_t word;
    if (format.bits == 8) {
      word = word_at(slot_at(group, slot, lane));
    } else {
      word = word_at(slot_at(group, slot % 4, lane)) >> (slot / 4 * 4) & 15 * kEveryByte;
      if (above != 0) {
        const std::uint32_t plane = word_at(slot_at(group + format.plane_offset(), slot * above / 8, lane));
        word |= (plane >> (slot * above % 8) & ((1u << above) - 1) * kEveryByte) << 4;
      }
    }
    std::memcpy(weights + 4 * slot, &word, sizeof word);
  }
}

// ---- the file's blocks ----

// {f16 scale, f16 minimum or none, 32 high bits or none, 16 bytes of nibbles}, as dequantize.cpp has it.
void read_small_block(const PanelFormat& format, const std::uint8_t* block, std::uint8_t* weights) {
  const std::uint8_t* high = block + (format.minimum ? 4 : 2);
  if (format.bits == 8) {
    for (std::uint32_t i = 0; i < kGroup; ++i) weights[i] = static_cast<std::uint8_t>(high[i] ^ 0x80);
    return;
  }
  const std::uint8_t* nibbles = high + (format.bits == 5 ? 4 : 0);
  for (std::uint32_t i = 0; i < kGroup / 2; ++i) {
    weights[i] = nibbles[i] & 15;
    weights[i + kGroup / 2] = nibbles[i] >> 4;
  }
  if (format.bits == 5)
    for (std::uint32_t i = 0; i < kGroup; ++i)
      weights[i] = static_cast<std::uint8_t>(weights[i] | (high[i / 8] >> (i % 8) & 1) << 4);
}

void pack_small(const PanelFormat& format, const std::uint8_t* row, std::size_t block_size, std::uint32_t k,
                std::uint32_t lane, std::uint8_t* panel) {
  std::uint8_t weights[kGroup];
  for (std::uint32_t g = 0; g < k / kGroup; ++g, row += block_size, panel += format.group_bytes()) {
    read_small_block(format, row, weights);
    store_weights(format, weights, lane, panel);
    for (std::uint32_t i = 0; i < format.scale_rows(); ++i)
      std::memcpy(panel + format.scale_offset() + (i * kPanelColumns + lane) * 2, row + i * 2, 2);
  }
}

// Group `group` of a Q4_K or Q5_K block: {f16 d, f16 dmin, 12 bytes of scales, 32 of high bits or none, 128 of
// nibbles}.
void read_k_group(const PanelFormat& format, const std::uint8_t* block, std::uint32_t group, std::uint8_t* weights) {
  const std::uint8_t* high = block + 16;
  const std::uint8_t* nibbles = high + (format.bits == 5 ? 32 : 0) + group / 2 * kGroup;
  for (std::uint32_t i = 0; i < kGroup; ++i) {
    const auto nibble = static_cast<std::uint32_t>(group % 2 == 0 ? nibbles[i] & 15 : nibbles[i] >> 4);
    const std::uint32_t above = format.bits == 5 ? high[i] >> group & 1u : 0;
    weights[i] = static_cast<std::uint8_t>(nibble | above << 4);
  }
}

// Group `group` of a Q6_K block: {128 bytes of nibbles, 64 of bit pairs, 16 int8 scales, f16 d}, in halves of 128.
void read_q6_k_group(const std::uint8_t* block, std::uint32_t group, std::uint8_t* weights) {
  const std::uint32_t half = group / 4, quarter = group % 4;
  const std::uint8_t* nibbles = block + half * 64 + quarter % 2 * kGroup;
  const std::uint8_t* pairs = block + 128 + half * kGroup;
  for (std::uint32_t i = 0; i < kGroup; ++i) {
    const auto nibble = static_cast<std::uint32_t>(quarter < 2 ? nibbles[i] & 15 : nibbles[i] >> 4);
    weights[i] = static_cast<std::uint8_t>(nibble | (pairs[i] >> (2 * quarter) & 3u) << 4);
  }
}

constexpr std::uint32_t kSuperElements = 256;

void pack_super(const PanelFormat& format, const std::uint8_t* row, std::size_t block_size, std::uint32_t k,
                std::uint32_t lane, std::uint8_t* panel) {
  std::uint8_t weights[kGroup];
  for (std::uint32_t b = 0; b < k / kSuperElements; ++b, row += block_size) {
    const std::uint8_t* factors = row + (format.halves ? 208 : 0);
    std::memcpy(panel + lane * 2, factors, 2);
    if (format.minimum) std::memcpy(panel + (kPanelColumns + lane) * 2, factors + 2, 2);
    panel += format.header_bytes();
    for (std::uint32_t g = 0; g < format.groups(); ++g, panel += format.group_bytes()) {
      std::uint8_t* scales = panel + format.scale_offset() + lane;
      if (format.halves) {
        read_q6_k_group(row, g, weights);
        scales[0] = row[192 + 2 * g];
        scales[kPanelColumns] = row[192 + 2 * g + 1];
      } else {
        read_k_group(format, row, g, weights);
        const SuperBlockScale scale = super_block_scale(reinterpret_cast<const std::byte*>(row + 4), g);
        scales[0] = static_cast<std::uint8_t>(scale.scale);
        scales[kPanelColumns] = static_cast<std::uint8_t>(scale.minimum);
      }
      store_weights(format, weights, lane, panel);
    }
  }
}

// Where column `lane`'s element i is in a panel of floats. Those of bf16 lie in pairs.
std::size_t element_offset(PanelType type, std::size_t i, std::uint32_t lane) {
  if (type == PanelType::bf16) return (i / 2 * kPanelColumns + lane) * 4 + i % 2 * 2;
  return (i * kPanelColumns + lane) * (type == PanelType::f32 ? 4 : 2);
}

void pack_elements(PanelType type, const std::uint8_t* row, std::uint32_t k, std::uint32_t lane, std::uint8_t* panel) {
  const std::uint32_t bytes = type == PanelType::f32 ? 4 : 2;
  for (std::uint32_t i = 0; i < k; ++i) std::memcpy(panel + element_offset(type, i, lane), row + i * bytes, bytes);
}

// ---- a column back as floats, by the formulas of dequantize_row ----

float half_at(const std::uint8_t* p) {
  std::uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return f16_to_f32(bits);
}

struct Affine {
  float scale[2];  // of the first 16 elements and of the others
  float minimum;
};

Affine group_affine(const PanelFormat& format, const std::uint8_t* header, const std::uint8_t* group,
                    std::uint32_t lane) {
  const std::uint8_t* scales = group + format.scale_offset();
  if (!format.super) {
    const float scale = half_at(scales + lane * 2);
    return {{scale, scale}, format.minimum ? half_at(scales + (kPanelColumns + lane) * 2) : 0.0f};
  }
  const float d = half_at(header + lane * 2);
  const std::uint8_t first = scales[lane], second = scales[kPanelColumns + lane];
  if (format.halves)
    return {{d * static_cast<float>(static_cast<std::int8_t>(first)),
             d * static_cast<float>(static_cast<std::int8_t>(second))},
            0.0f};
  const float scale = d * static_cast<float>(first);
  return {{scale, scale}, -(half_at(header + (kPanelColumns + lane) * 2) * static_cast<float>(second))};
}

void unpack_quantized(const PanelFormat& format, const std::uint8_t* panel, std::uint32_t lane, std::span<float> out) {
  const std::uint8_t* header = panel;
  std::uint8_t weights[kGroup];
  for (std::size_t g = 0; g < out.size() / kGroup; ++g, panel += format.group_bytes()) {
    if (format.super && g % format.groups() == 0) {
      header = panel;
      panel += format.header_bytes();
    }
    const Affine affine = group_affine(format, header, panel, lane);
    load_weights(format, panel, lane, weights);
    for (std::uint32_t i = 0; i < kGroup; ++i) {
      const float scaled = affine.scale[i / 16] * static_cast<float>(weights[i] - static_cast<int>(format.zero));
      out[g * kGroup + i] = format.minimum ? scaled + affine.minimum : scaled;
    }
  }
}

float element_at(PanelType type, const std::uint8_t* p) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, p, type == PanelType::f32 ? 4 : 2);
  if (type == PanelType::f16) return f16_to_f32(static_cast<std::uint16_t>(bits));
  if (type == PanelType::bf16) return bf16_to_f32(static_cast<std::uint16_t>(bits));
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace

void pack_column(TensorType file_type, PanelType type, const std::uint8_t* row, std::uint32_t k, std::uint32_t lane,
                 std::uint8_t* panel) {
  if (!cpu::wants_int8(type)) return pack_elements(type, row, k, lane, panel);
  const PanelFormat format = cpu::panel_format(type);
  (format.super ? pack_super : pack_small)(format, row, block_bytes(file_type), k, lane, panel);
}

void unpack_column(PanelType type, const std::uint8_t* panel, std::uint32_t lane, std::span<float> out) {
  if (cpu::wants_int8(type)) return unpack_quantized(cpu::panel_format(type), panel, lane, out);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = element_at(type, panel + element_offset(type, i, lane));
}

}  // namespace kvasir
