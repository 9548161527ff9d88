#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/json/json.h"
#include "storage/base/assert.h"

// What the parser takes must survive the writer: the same value again, byte for byte.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto value = kvasir::parse_json(text);
  if (!value) {
    KVASIR_ASSERT(!value.error().message.empty());
    return 0;
  }
  const std::string written = kvasir::to_json(*value);
  const auto again = kvasir::parse_json(written);
  KVASIR_ASSERT(again.ok());
  KVASIR_ASSERT(kvasir::to_json(*again) == written);
  return 0;
}
