#pragma once

#include "engine/cpu/kernels.h"

namespace kvasir {

// Checks of kernels against plain C, on a few fixed products (well under a millisecond): made once, before a class is
// offered that few machines could be tested with. What does not give the expected bits is then not run at all.

// Quantized products of this class against the scalar class, each type, with a full tile of rows and a part of one.
bool quantized_products_agree(const cpu::KernelTable& kernels);

// Products of bf16 (bf16_dots.h) against their model in plain C. REQUIRES: the class has round_row.
bool bf16_products_agree(const cpu::KernelTable& kernels);

}  // namespace kvasir
