#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/value.h"
#include "storage/base/result.h"

namespace kvasir {

// Reads the members of a request body with their types and ranges. null counts as absent. The first problem is kept
// and names the member and what is allowed; later reads give nothing. `object` outlives the reader.
class FieldReader {
 public:
  explicit FieldReader(const Value::Object& object, std::string prefix = {})
      : object_(object), prefix_(std::move(prefix)) {}

  std::optional<double> number(std::string_view name, double min, double max);
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t min, std::int64_t max);
  std::optional<bool> boolean(std::string_view name);
  std::optional<std::string> string(std::string_view name);
  const Value::Array* array(std::string_view name);
  const Value::Object* object(std::string_view name);
  const Value* any(std::string_view name);  // null when absent or JSON null; its type is the caller's business

  void fail(std::string_view name, std::string problem);  // "'NAME' problem"
  void adopt(const Error& error);                         // the problem of a reader of something inside
  bool ok() const { return !error_; }
  const Error& error() const { return *error_; }
  std::string path(std::string_view name) const { return prefix_ + std::string(name); }

  // Members that no read asked for.
  std::vector<std::string> unknown() const;

 private:
  const Value::Object& object_;
  std::string prefix_;
  std::optional<Error> error_;
  std::set<std::string, std::less<>> asked_;
};

// A JSON number as an integer when it is one ("16", "16.0", "1e2").
std::optional<std::int64_t> integer_of(const Value& value);
std::optional<double> double_of(const Value& value);
std::string_view json_type_name(const Value& value);  // "string", "array", ... for messages

}  // namespace kvasir
