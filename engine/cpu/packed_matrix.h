#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/cpu/kernels.h"
#include "engine/model/gguf.h"

namespace kvasir {

// Anonymous memory, zeroed, in huge pages where the system gives them (weights are read front to back every step).
class WeightMemory {
 public:
  explicit WeightMemory(std::size_t bytes);  // throws std::bad_alloc
  ~WeightMemory();
  WeightMemory(const WeightMemory&) = delete;
  WeightMemory& operator=(const WeightMemory&) = delete;
  std::span<std::uint8_t> bytes() const { return bytes_; }

 private:
  std::span<std::uint8_t> bytes_;
};

// A weight {in, out} repacked into panels of 16 output columns (the last one padded with zeros), each contiguous and in
// the order in which a kernel reads it. For each group of 32 along K:
//   q4_1  4 x [16 columns][4 bytes]: byte b of slot i has elements 4 i + b (low nibble) and 16 + 4 i + b (high); then
//   f16
//         scales [16], f16 minima [16]; 320 bytes
//   q8_0  8 x [16 columns][4 bytes]: byte b of slot i has element 4 i + b, plus 128; then f16 scales [16]; 544 bytes
// f16, bf16, f32: [k][16 columns].
class PackedMatrix {
 public:
  static std::size_t packed_bytes(const GgufTensor& tensor);
  // Packs into `memory` (packed_bytes() long, aligned to 64, zeroed), which outlives the matrix.
  static PackedMatrix pack(const GgufTensor& tensor, std::span<std::uint8_t> memory);

  cpu::PanelType type() const { return type_; }
  std::uint32_t k() const { return k_; }              // elements of an input row
  std::uint32_t columns() const { return columns_; }  // outputs
  std::uint32_t panels() const { return (columns_ + cpu::kPanelColumns - 1) / cpu::kPanelColumns; }
  const std::uint8_t* panel(std::uint32_t index) const { return data_ + index * panel_bytes_; }

  // Output column `column` as f32 (an embedding): (k).
  void unpack_column(std::uint32_t column, std::span<float> out) const;

 private:
  cpu::PanelType type_ = cpu::PanelType::f32;
  std::uint32_t k_ = 0, columns_ = 0;
  std::size_t panel_bytes_ = 0;
  const std::uint8_t* data_ = nullptr;
};

}  // namespace kvasir
