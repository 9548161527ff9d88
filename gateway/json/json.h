#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/text/value.h"
#include "storage/base/result.h"

namespace kvasir {

struct JsonLimits {
  std::uint32_t depth_max = 64;  // arrays and objects in each other; never more than 1,000
  std::size_t bytes_max = 64u << 20;
  std::size_t values_max = 1'000'000;  // a value takes far more memory than the two bytes it may have in the text
};

// JSON text to Value, on Boost.JSON's basic_parser with a handler of ours: number text and key order are kept, strings
// must be valid UTF-8 (lone surrogate escapes are an error). Errors: invalid_argument with byte offset and what is
// wrong; too_large when over bytes_max or values_max.
Result<Value> parse_json(std::string_view text, JsonLimits limits = {});

// Compact JSON on one line; numbers as their original text, non-ASCII as it is but for the line ends of Unicode.
// Invalid UTF-8 in strings is replaced by U+FFFD.
std::string to_json(const Value& value);

// Appends `text` as a JSON string with quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace kvasir
