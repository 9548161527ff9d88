#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/string_ops.h"

namespace kvasir::jinja {
namespace {

Val default_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'default'", args, {"default_value", "boolean"});
  if (!params.ok()) return Undefined{};
  const bool absent = is_undefined(subject) || (params.flag(1) && !truthy(subject));
  if (!absent) return subject;
  return params[0] ? *params[0] : string_val("");
}

// Python's int() of a text: digits with single underscores, a sign, white space around.
std::optional<std::int64_t> parse_integer(const Text& text, int base) {
  std::string digits = strip(text, nullptr, Side::both).bytes();
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.erase(0, 1);
  if (digits.empty() || digits.front() == '_' || digits.back() == '_' || digits.find("__") != std::string::npos)
    return std::nullopt;
  std::erase(digits, '_');
  if (digits.size() > 2 && digits[0] == '0') {
    const char prefix = static_cast<char>(digits[1] | 0x20);
    if ((base == 16 && prefix == 'x') || (base == 8 && prefix == 'o') || (base == 2 && prefix == 'b'))
      digits.erase(0, 2);
  }
  if (negative) digits.insert(0, "-");
  std::int64_t value = 0;
  const auto [stop, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  return ec == std::errc() && stop == digits.data() + digits.size() ? std::optional(value) : std::nullopt;
}

std::optional<double> parse_real(const Text& text) {
  const std::string bytes = strip(text, nullptr, Side::both).bytes();
  if (bytes.empty() || bytes.find_first_of("xXpP(") != std::string::npos) return std::nullopt;
  char* stop = nullptr;
  const double value = std::strtod(bytes.c_str(), &stop);
  return stop == bytes.c_str() + bytes.size() ? std::optional(value) : std::nullopt;
}

std::optional<std::int64_t> truncated(double value) {
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  if (!(value > -kLimit && value < kLimit)) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

Val int_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  Params params(in, "filter 'int'", args, {"default", "base"});
  const std::int64_t base = params.integer(1, 10);
  if (in.failed()) return Undefined{};
  if (base < 2 || base > 36) return in.fail("filter 'int': the base must be 2 to 36");
  if (const auto* missing = std::get_if<Undefined>(&subject)) return in.fail(message_of(*missing));
  if (const auto* written = std::get_if<WrittenPtr>(&subject); written && (*written)->is_integer) return subject;
  std::optional<std::int64_t> value;
  if (const Text* text = as_text(subject)) {
    value = parse_integer(*text, static_cast<int>(base));
    if (const auto real = parse_real(*text); !value && real) value = truncated(*real);
  } else if (const auto number = as_numeric(subject)) {
    value = number->is_integer ? number->integer : truncated(number->real);
  }
  if (value) return *value;
  return params[0] ? *params[0] : Val(std::int64_t{0});
}

Val float_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'float'", args, {"default"});
  if (!params.ok()) return Undefined{};
  if (const auto* missing = std::get_if<Undefined>(&subject)) return in.fail(message_of(*missing));
  std::optional<double> value;
  if (const Text* text = as_text(subject)) value = parse_real(*text);
  if (const auto number = as_numeric(subject)) value = number->real;
  if (value) return *value;
  return params[0] ? *params[0] : Val(0.0);
}

Val abs_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'abs'", args, {});
  const auto number = as_numeric(subject);
  if (!params.ok()) return Undefined{};
  if (!number) return in.fail("filter 'abs' needs a number, not " + type_name(subject));
  if (!number->is_integer) return std::fabs(number->real);
  return number->integer < 0 ? binary(in, BinaryOp::subtract, std::int64_t{0}, number->integer) : Val(number->integer);
}

// Half to even, as Python rounds.
double round_to(double value, std::int64_t digits, const std::string& method) {
  const double scale = std::pow(10.0, static_cast<double>(digits));
  if (method == "ceil") return std::ceil(value * scale) / scale;
  if (method == "floor") return std::floor(value * scale) / scale;
  if (digits < 0) return std::nearbyint(value * scale) / scale;
  char buffer[400];  // exact decimal digits round correctly where scaling does not
  const auto precision = static_cast<int>(std::min<std::int64_t>(digits, 17));
  const auto written = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, precision);
  return written.ec == std::errc() ? std::strtod(std::string(buffer, written.ptr).c_str(), nullptr) : value;
}

Val round_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  Params params(in, "filter 'round'", args, {"precision", "method"});
  const std::int64_t digits = params.integer(0, 0);
  const auto number = as_numeric(subject);
  if (in.failed()) return Undefined{};
  if (!number) return in.fail("filter 'round' needs a number, not " + type_name(subject));
  const std::string method = params[1] ? to_text(in, *params[1]).bytes() : "common";
  if (method != "common" && method != "ceil" && method != "floor")
    return in.fail("filter 'round': the method must be common, ceil or floor");
  if (digits < -300 || digits > 300) return in.fail("filter 'round': precision out of range");
  if (number->is_integer && method == "common" && digits >= 0) return number->integer;
  if (number->is_integer && method == "common")
    return static_cast<std::int64_t>(std::clamp(round_to(number->real, digits, method), -9e18, 9e18));
  return std::isfinite(number->real) ? round_to(number->real, digits, method) : number->real;
}

Val attr_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'attr'", args, {"name"}, 1);
  if (!params.ok()) return Undefined{};
  const Text* name = as_text(*params[0]);
  if (!name) return in.fail("filter 'attr' needs a name");
  // Unlike a dot, it never looks for a key.
  if (as_dict(subject)) {
    const auto method = find_method(subject, name->bytes());
    return method ? *method : undefined_val("'dict object' has no attribute '" + name->bytes() + "'");
  }
  return in.attribute_of(subject, name->bytes());
}

bool read_separators(Interpreter& in, const Val& value, JsonStyle& style) {
  const List* pair = as_list(value);
  const bool good = pair && pair->items.size() == 2 && as_text(pair->items[0]) && as_text(pair->items[1]);
  if (!good) return in.fail("filter 'tojson': separators must be two strings"), false;
  style.item_separator = as_text(pair->items[0])->bytes();
  style.key_separator = as_text(pair->items[1])->bytes();
  return true;
}

bool read_indent(Interpreter& in, const Val& value, JsonStyle& style) {
  constexpr std::int64_t kMost = 1000;
  if (const Text* text = as_text(value); text && text->size() <= kMost) {
    style.indent = text->bytes();
  } else if (const auto spaces = as_integer(value); spaces && *spaces <= kMost) {
    style.indent = std::string(static_cast<std::size_t>(std::max<std::int64_t>(*spaces, 0)), ' ');
  } else {
    return in.fail("filter 'tojson': the indent must be a short string or at most 1000"), false;
  }
  style.item_separator = ",";
  return true;
}

Val tojson(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'tojson'", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  if (!params.ok()) return Undefined{};
  JsonStyle style;
  style.ascii = params.flag(0);
  style.sort_keys = params.flag(3);
  if (params.some(1) && !read_indent(in, *params[1], style)) return Undefined{};
  if (params.some(2) && !read_separators(in, *params[2], style)) return Undefined{};
  TextBuilder out;
  append_json(in, out, subject, style);
  return in.text(out.take());
}

constexpr FilterRow kRows[] = {
    {"abs", abs_filter},     {"attr", attr_filter}, {"d", default_filter},   {"default", default_filter},
    {"float", float_filter}, {"int", int_filter},   {"round", round_filter}, {"tojson", tojson},
};

}  // namespace

FilterFunction find_value_filter(std::string_view name) {
  for (const FilterRow& row : kRows)
    if (row.name == name) return row.function;
  return nullptr;
}

}  // namespace kvasir::jinja
