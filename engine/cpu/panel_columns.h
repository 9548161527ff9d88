#pragma once

#include <cstdint>
#include <span>

#include "engine/cpu/kernels.h"
#include "engine/model/gguf.h"

namespace kvasir {

// One column of a panel (packed_matrix.h has the bytes) from and to what a file and the engine know.

// `row` is the column's k elements as in the file, `lane` its place in the panel. REQUIRES: the panel was zeroed.
void pack_column(TensorType file_type, cpu::PanelType type, const std::uint8_t* row, std::uint32_t k,
                 std::uint32_t lane, std::uint8_t* panel);

// The column's elements, to the bit those of dequantize_row.
void unpack_column(cpu::PanelType type, const std::uint8_t* panel, std::uint32_t lane, std::span<float> out);

}  // namespace kvasir
