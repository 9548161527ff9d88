#pragma once

#include <cstdint>

namespace kvasir::detail {
// Prints the broken invariant with its place and aborts. Never returns.
[[noreturn]] void assertion_failed(const char* expression, const char* file, std::uint32_t line);
}  // namespace kvasir::detail

// An invariant. On in every build type: a wrong answer costs more than a branch.
#define KVASIR_ASSERT(condition) \
  (static_cast<bool>(condition) ? void(0) : ::kvasir::detail::assertion_failed(#condition, __FILE__, __LINE__))
