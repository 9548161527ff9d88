#include "engine/cpu/packed_matrix.h"

#include <algorithm>
#include <new>

#include <sys/mman.h>

#include "engine/cpu/panel_columns.h"
#include "engine/model/dequantize.h"
#include "storage/base/assert.h"

namespace kvasir {
namespace {

using cpu::kPanelColumns;
using cpu::PanelType;

PanelType panel_type(std::uint32_t tensor_type) {
  switch (static_cast<TensorType>(tensor_type)) {
    case TensorType::q4_0:
      return PanelType::q4_0;
    case TensorType::q4_1:
      return PanelType::q4_1;
    case TensorType::q5_0:
      return PanelType::q5_0;
    case TensorType::q5_1:
      return PanelType::q5_1;
    case TensorType::q8_0:
      return PanelType::q8_0;
    case TensorType::q4_k:
      return PanelType::q4_k;
    case TensorType::q5_k:
      return PanelType::q5_k;
    case TensorType::q6_k:
      return PanelType::q6_k;
    case TensorType::f16:
      return PanelType::f16;
    case TensorType::bf16:
      return PanelType::bf16;
    case TensorType::f32:
      return PanelType::f32;
  }
  KVASIR_ASSERT(!"a tensor type without panels");
  return PanelType::f32;
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
  return (panels * cpu::panel_bytes(panel_type(tensor.type), tensor.dims[0]) + 63) / 64 * 64;
}

PackedMatrix PackedMatrix::pack(const GgufTensor& tensor, std::span<std::uint8_t> memory) {
  const PackedMatrix matrix = shape(tensor, memory);
  pack_panels(tensor, memory, 0, matrix.panels());
  return matrix;
}

PackedMatrix PackedMatrix::shape(const GgufTensor& tensor, std::span<std::uint8_t> memory) {
  KVASIR_ASSERT(memory.size() == packed_bytes(tensor));
  PackedMatrix matrix;
  matrix.type_ = panel_type(tensor.type);
  matrix.k_ = static_cast<std::uint32_t>(tensor.dims[0]);
  matrix.columns_ = static_cast<std::uint32_t>(tensor.dims[1]);
  matrix.panel_bytes_ = cpu::panel_bytes(matrix.type_, matrix.k_);
  matrix.data_ = memory.data();
  return matrix;
}

void PackedMatrix::pack_panels(const GgufTensor& tensor, std::span<std::uint8_t> memory, std::uint32_t first,
                               std::uint32_t last) {
  const PackedMatrix matrix = shape(tensor, memory);
  KVASIR_ASSERT(last <= matrix.panels());
  const auto type = static_cast<TensorType>(tensor.type);
  const std::size_t source_row = row_bytes(type, matrix.k_);
  const auto* source = reinterpret_cast<const std::uint8_t*>(tensor.data.data());
  const std::uint32_t end = std::min(last * kPanelColumns, matrix.columns_);
  for (std::uint32_t c = first * kPanelColumns; c < end; ++c)
    pack_column(type, matrix.type_, source + c * source_row, matrix.k_, c % kPanelColumns,
                memory.data() + c / kPanelColumns * matrix.panel_bytes_);
}

void PackedMatrix::unpack_column(std::uint32_t column, std::span<float> out) const {
  KVASIR_ASSERT(column < columns_ && out.size() == k_);
  kvasir::unpack_column(type_, panel(column / kPanelColumns), column % kPanelColumns, out);
}

}  // namespace kvasir
