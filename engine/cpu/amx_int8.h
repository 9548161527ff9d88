#pragma once

#include "engine/cpu/kernels.h"

namespace kvasir::cpu {

// Gives a table the products of quantized panels in AMX tile registers, for eight rows and more; fewer are
// avx512_vnni's. Bits as everywhere. REQUIRES to run them: AVX-512, AMX int8, and request_amx() was true.
void use_amx_int8(KernelTable& table);

// Whether the processor has AMX int8 and the operating system lets this process (every thread of it, also later ones)
// use its registers. Asks for the permission, which is for good. Baseline code.
bool request_amx();

}  // namespace kvasir::cpu
