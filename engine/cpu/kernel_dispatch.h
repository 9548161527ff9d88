#pragma once

#include <string_view>

#include "engine/cpu/kernels.h"
#include "storage/base/result.h"

namespace kvasir {

// The kernels of a class, or of the best class when `name` is empty. Errors: invalid_argument naming the classes that
// this processor (and operating system) can run.
Result<const cpu::KernelTable*> find_kernels(std::string_view name);

}  // namespace kvasir
