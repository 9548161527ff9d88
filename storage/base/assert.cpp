#include "storage/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace kvasir::detail {

void assertion_failed(const char* expression, const char* file, std::uint32_t line) {
  std::fprintf(stderr, "kvasir: invariant broken: %s at %s:%u\n", expression, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace kvasir::detail
