#include "gateway/api/field_reader.h"

#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace kvasir {

std::optional<double> double_of(const Value& value) {
  const Value::Number* n = value.as_number();
  if (!n) return std::nullopt;
  double x = 0;
  const char* end = n->text.data() + n->text.size();
  const auto [stop, ec] = std::from_chars(n->text.data(), end, x);
  if (ec != std::errc() || stop != end || !std::isfinite(x)) return std::nullopt;
  return x;
}

std::optional<std::int64_t> integer_of(const Value& value) {
  const Value::Number* n = value.as_number();
  if (!n) return std::nullopt;
  std::int64_t exact = 0;
  const char* end = n->text.data() + n->text.size();
  const auto [stop, ec] = std::from_chars(n->text.data(), end, exact);
  if (ec == std::errc() && stop == end) return exact;
  const std::optional<double> x = double_of(value);
  constexpr double exact_max = 9007199254740992.0;  // 2^53: past it a double names no single integer
  if (!x || std::trunc(*x) != *x || std::abs(*x) > exact_max) return std::nullopt;
  return static_cast<std::int64_t>(*x);
}

std::string_view json_type_name(const Value& value) {
  if (value.is_null()) return "null";
  if (value.as_bool()) return "boolean";
  if (value.as_string()) return "string";
  if (value.as_number()) return "number";
  return value.as_array() ? "array" : "object";
}

const Value* FieldReader::any(std::string_view name) {
  asked_.emplace(name);
  if (error_) return nullptr;
  const Value* value = object_.find(name);
  return value && !value->is_null() ? value : nullptr;
}

void FieldReader::fail(std::string_view name, std::string problem) {
  if (error_) return;
  const std::string param = path(name);
  error_ = kvasir::error(ErrorCode::invalid_argument, fmt::format("'{}' {}", param, problem), param);
}

void FieldReader::adopt(const Error& error) {
  if (!error_) error_ = error;
}

std::optional<double> FieldReader::number(std::string_view name, double min, double max) {
  const Value* value = any(name);
  if (!value) return std::nullopt;
  const std::optional<double> x = double_of(*value);
  if (x && *x >= min && *x <= max) return x;
  fail(name, fmt::format("must be a number from {} to {}", min, max));
  return std::nullopt;
}

std::optional<std::int64_t> FieldReader::integer(std::string_view name, std::int64_t min, std::int64_t max) {
  const Value* value = any(name);
  if (!value) return std::nullopt;
  const std::optional<std::int64_t> n = integer_of(*value);
  if (n && *n >= min && *n <= max) return n;
  fail(name, fmt::format("must be an integer from {} to {}", min, max));
  return std::nullopt;
}

std::optional<bool> FieldReader::boolean(std::string_view name) {
  const Value* value = any(name);
  if (!value) return std::nullopt;
  if (const bool* b = value->as_bool()) return *b;
  fail(name, fmt::format("must be true or false, not a {}", json_type_name(*value)));
  return std::nullopt;
}

std::optional<std::string> FieldReader::string(std::string_view name) {
  const Value* value = any(name);
  if (!value) return std::nullopt;
  if (const std::string* s = value->as_string()) return *s;
  fail(name, fmt::format("must be a string, not a {}", json_type_name(*value)));
  return std::nullopt;
}

const Value::Array* FieldReader::array(std::string_view name) {
  const Value* value = any(name);
  if (!value) return nullptr;
  if (const Value::Array* a = value->as_array()) return a;
  fail(name, fmt::format("must be an array, not a {}", json_type_name(*value)));
  return nullptr;
}

const Value::Object* FieldReader::object(std::string_view name) {
  const Value* value = any(name);
  if (!value) return nullptr;
  if (const Value::Object* o = value->as_object()) return o;
  fail(name, fmt::format("must be an object, not a {}", json_type_name(*value)));
  return nullptr;
}

std::vector<std::string> FieldReader::unknown() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : object_.members)
    if (!asked_.contains(name)) names.push_back(name);
  return names;
}

}  // namespace kvasir
