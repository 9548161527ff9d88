#pragma once

#include <string>

#include "engine/text/jinja/interpreter.h"

// Values as text.
namespace kvasir::jinja {

// Python's str(): strings as they are, True, None, repr of what containers hold.
Text to_text(Interpreter& in, const Val& value);
void append_text(Interpreter& in, TextBuilder& out, const Val& value);
// Python's repr().
void append_repr(Interpreter& in, TextBuilder& out, const Val& value);

std::string format_real(double value);  // 1.0, 1e+16, nan

struct JsonStyle {
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  std::optional<std::string> indent;
  bool sort_keys = false;
  bool ascii = false;
  bool operator==(const JsonStyle&) const = default;
};
// Python's json.dumps(). Fails for what JSON cannot say. In the default style a dict with a source is that text.
void append_json(Interpreter& in, TextBuilder& out, const Val& value, const JsonStyle& style);

// & < > ' " as HTML entities.
Text escape_html(const Text& text);

// Python's str.format() and the % operator.
Val format_braces(Interpreter& in, const Text& format, const CallArgs& args);
Val format_percent(Interpreter& in, const Text& format, const Val& args);

}  // namespace kvasir::jinja
