// Kernel class scalar: plain C, one lane after the other. The oracle of the vector classes and the fallback of
// processors without AVX2.
#include <stddef.h>
#include <stdint.h>

#include "engine/cpu/kernels.h"

namespace kvasir::cpu {
namespace {

#include "engine/cpu/scalar_lanes.inc"

static_assert(V::kLanes == kPanelColumns);

#include "engine/cpu/kernel_body.inc"

}  // namespace

constinit const KernelTable kScalarKernels = make_table("scalar");

}  // namespace kvasir::cpu
