#include "engine/cpu/packed_matrix.h"

#include <cstring>
#include <new>

#include <sys/mman.h>

#include "engine/model/dequantize.h"
#include "storage/base/assert.h"

namespace kvasir {
namespace {

using cpu::kGroup;
using cpu::kPanelColumns;
using cpu::PanelType;

PanelType panel_type(std::uint32_t tensor_type) {
  switch (static_cast<TensorType>(tensor_type)) {
    case TensorType::q4_1:
      return PanelType::q4_1;
    case TensorType::q8_0:
      return PanelType::q8_0;
    case TensorType::f16:
      return PanelType::f16;
    case TensorType::bf16:
      return PanelType::bf16;
    case TensorType::f32:
      return PanelType::f32;
    default:
      break;
  }
  KVASIR_ASSERT(!"a tensor type without panels");
  return PanelType::f32;
}

std::size_t panel_bytes_of(PanelType type, std::size_t k) {
  switch (type) {
    case PanelType::q4_1:
      return k / kGroup * cpu::kQ41GroupBytes;
    case PanelType::q8_0:
      return k / kGroup * cpu::kQ80GroupBytes;
    case PanelType::f16:
    case PanelType::bf16:
      return k * kPanelColumns * 2;
    case PanelType::f32:
      return k * kPanelColumns * 4;
  }
  return 0;
}

// `lane` is the column in its panel; `row` the column's bytes in the file: {f16 scale, f16 minimum, 16 bytes} a group.
void pack_q4_1(const std::uint8_t* row, std::uint32_t k, std::uint32_t lane, std::uint8_t* panel) {
  constexpr std::uint32_t kWeights = kPanelColumns * kGroup / 2;
  for (std::uint32_t g = 0; g < k / kGroup; ++g, row += 20, panel += cpu::kQ41GroupBytes) {
    for (std::uint32_t i = 0; i < 4; ++i) std::memcpy(panel + (i * kPanelColumns + lane) * 4, row + 4 + i * 4, 4);
    std::memcpy(panel + kWeights + lane * 2, row, 2);
    std::memcpy(panel + kWeights + (kPanelColumns + lane) * 2, row + 2, 2);
  }
}

void pack_q8_0(const std::uint8_t* row, std::uint32_t k, std::uint32_t lane, std::uint8_t* panel) {
  for (std::uint32_t g = 0; g < k / kGroup; ++g, row += 34, panel += cpu::kQ80GroupBytes) {
    for (std::uint32_t j = 0; j < kGroup; ++j)
      panel[(j / 4 * kPanelColumns + lane) * 4 + j % 4] = static_cast<std::uint8_t>(row[2 + j] ^ 0x80);
    std::memcpy(panel + kPanelColumns * kGroup + lane * 2, row, 2);
  }
}

void pack_elements(const std::uint8_t* row, std::uint32_t k, std::uint32_t lane, std::uint32_t element,
                   std::uint8_t* panel) {
  for (std::uint32_t i = 0; i < k; ++i)
    std::memcpy(panel + (i * kPanelColumns + lane) * element, row + i * element, element);
}

float half_at(const std::uint8_t* p) {
  std::uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return f16_to_f32(bits);
}

void unpack_q4_1(const std::uint8_t* panel, std::uint32_t lane, std::span<float> out) {
  constexpr std::uint32_t kWeights = kPanelColumns * kGroup / 2;
  for (std::size_t g = 0; g < out.size() / kGroup; ++g, panel += cpu::kQ41GroupBytes) {
    const float scale = half_at(panel + kWeights + lane * 2);
    const float minimum = half_at(panel + kWeights + (kPanelColumns + lane) * 2);
    for (std::uint32_t j = 0; j < kGroup / 2; ++j) {
      const std::uint8_t byte = panel[(j / 4 * kPanelColumns + lane) * 4 + j % 4];
      out[g * kGroup + j] = scale * static_cast<float>(byte & 15) + minimum;
      out[g * kGroup + 16 + j] = scale * static_cast<float>(byte >> 4) + minimum;
    }
  }
}

void unpack_q8_0(const std::uint8_t* panel, std::uint32_t lane, std::span<float> out) {
  for (std::size_t g = 0; g < out.size() / kGroup; ++g, panel += cpu::kQ80GroupBytes) {
    const float scale = half_at(panel + kPanelColumns * kGroup + lane * 2);
    for (std::uint32_t j = 0; j < kGroup; ++j)
      out[g * kGroup + j] = scale * static_cast<float>(panel[(j / 4 * kPanelColumns + lane) * 4 + j % 4] - 128);
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

WeightMemory::WeightMemory(std::size_t bytes) {
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  madvise(mapping, bytes, MADV_HUGEPAGE);  // a wish; small pages are only slower
  bytes_ = {static_cast<std::uint8_t*>(mapping), bytes};
}

WeightMemory::~WeightMemory() { munmap(bytes_.data(), bytes_.size()); }

std::size_t PackedMatrix::packed_bytes(const GgufTensor& tensor) {
  const std::size_t panels = (tensor.dims[1] + kPanelColumns - 1) / kPanelColumns;
  return (panels * panel_bytes_of(panel_type(tensor.type), tensor.dims[0]) + 63) / 64 * 64;
}

PackedMatrix PackedMatrix::pack(const GgufTensor& tensor, std::span<std::uint8_t> memory) {
  KVASIR_ASSERT(memory.size() == packed_bytes(tensor));
  PackedMatrix matrix;
  matrix.type_ = panel_type(tensor.type);
  matrix.k_ = static_cast<std::uint32_t>(tensor.dims[0]);
  matrix.columns_ = static_cast<std::uint32_t>(tensor.dims[1]);
  matrix.panel_bytes_ = panel_bytes_of(matrix.type_, matrix.k_);
  matrix.data_ = memory.data();
  const auto* source = reinterpret_cast<const std::uint8_t*>(tensor.data.data());
  const std::size_t source_row = row_bytes(static_cast<TensorType>(tensor.type), matrix.k_);
  for (std::uint32_t c = 0; c < matrix.columns_; ++c, source += source_row) {
    std::uint8_t* panel = memory.data() + c / kPanelColumns * matrix.panel_bytes_;
    const std::uint32_t lane = c % kPanelColumns;
    switch (matrix.type_) {
      case PanelType::q4_1:
        pack_q4_1(source, matrix.k_, lane, panel);
        break;
      case PanelType::q8_0:
        pack_q8_0(source, matrix.k_, lane, panel);
        break;
      case PanelType::f16:
      case PanelType::bf16:
        pack_elements(source, matrix.k_, lane, 2, panel);
        break;
      case PanelType::f32:
        pack_elements(source, matrix.k_, lane, 4, panel);
        break;
    }
  }
  return matrix;
}

void PackedMatrix::unpack_column(std::uint32_t column, std::span<float> out) const {
  KVASIR_ASSERT(column < columns_ && out.size() == k_);
  const std::uint8_t* data = panel(column / kPanelColumns);
  const std::uint32_t lane = column % kPanelColumns;
  if (type_ == PanelType::q4_1) return unpack_q4_1(data, lane, out);
  if (type_ == PanelType::q8_0) return unpack_q8_0(data, lane, out);
  const std::uint32_t element = type_ == PanelType::f32 ? 4 : 2;
  for (std::uint32_t i = 0; i < k_; ++i) out[i] = element_at(type_, data + (i * kPanelColumns + lane) * element);
}

}  // namespace kvasir
