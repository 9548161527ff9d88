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
// the order in which a kernel reads it. Float types: [k][16 columns], of bf16 [k / 2][16 columns][2]. Quantized types,
// for each group of 32 along K:
//   weights  8 slots [16 columns][4 bytes], byte b of slot i being element 4 i + b of the column, unsigned. Of 8 bits
//            all of them; of fewer 4 x 64 bytes, slot i in the low and slot i + 4 in the high nibbles
//   planes   the bits above the nibbles, [16 columns][4 bytes] as a slot: 5 bits one plane, slot i's in bit i; 6 bits
//            two, slot i's in bits 2 (i % 4) and up of plane i / 4
//   scales   f16 [16 columns], then f16 minima [16] of types that have them
// Types with super-blocks have before each 8 groups their f16 factors [16] (and of the minima [16]), and in the groups
// scales (u8, or of 16 elements each two rows of int8) and minima (u8) [16], to be multiplied by these. Every type is
// as long as in the file or a few percent longer; no bit of it is lost.
class PackedMatrix {
 public:
  static std::size_t packed_bytes(const GgufTensor& tensor);
  // Packs into `memory` (packed_bytes() long, aligned to 64, zeroed), which outlives the matrix.
  static PackedMatrix pack(const GgufTensor& tensor, std::span<std::uint8_t> memory);
  // The same in pieces, which threads may share: the matrix, then its panels [first, last).
  static PackedMatrix shape(const GgufTensor& tensor, std::span<std::uint8_t> memory);
  static void pack_panels(const GgufTensor& tensor, std::span<std::uint8_t> memory, std::uint32_t first,
                          std::uint32_t last);

  cpu::PanelType type() const { return type_; }
  std::uint32_t k() const { return k_; }              // elements of an input row
  std::uint32_t columns() const { return columns_; }  // outputs
  std::uint32_t panels() const { return (columns_ + cpu::kPanelColumns - 1) / cpu::kPanelColumns; }
  std::size_t panel_bytes() const { return panel_bytes_; }
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
