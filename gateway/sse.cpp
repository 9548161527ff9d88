#include "gateway/sse.h"

#include "storage/base/assert.h"

namespace kvasir {

void append_sse(std::string& out, std::string_view data) {
  KVASIR_ASSERT(data.find_first_of("\r\n") == std::string_view::npos);
  out += "data: ";
  out += data;
  out += "\n\n";
}

}  // namespace kvasir
