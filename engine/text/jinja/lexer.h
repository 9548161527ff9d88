#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/result.h"

namespace kvasir::jinja {

struct Token {
  enum class Kind : std::uint8_t {
    data,         // template text outside of tags, white space control done
    block_begin,  // {%
    block_end,    // %}
    print_begin,  // {{
    print_end,    // }}
    name,
    string,   // text: unescaped
    integer,  // text: digits in the base they were written in, without _
    real,
    op,   // text: the operator
    end,  // of the template
  };
  Kind kind;
  std::string text;
  std::uint32_t line;
};

// Jinja source to tokens, as jinja2 with trim_blocks and lstrip_blocks. The last token is `end`. Errors:
// invalid_argument with the line.
Result<std::vector<Token>> tokenize_template(std::string_view source);

// "template line N: what".
Error error_at(std::uint32_t line, std::string_view what);

}  // namespace kvasir::jinja
