#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "engine/text/value.h"

namespace kvasir {

// What a tool's schema says of a parameter's value, as far as it decides how text becomes JSON.
enum class ValueType : std::uint8_t {
  unknown,   // no schema: JSON if the text is JSON, else a string
  text,      // a string
  nullable,  // a string or null
  data,      // no string
};

// The tools offered in one request. Immutable.
class ToolSchemas {
 public:
  // As in the OpenAI API: [{"type": "function", "function": {"name", "parameters"}}].
  explicit ToolSchemas(const Value::Array& tools);

  bool empty() const { return tools_.empty(); }
  bool offers(std::string_view name) const { return tools_.find(name) != tools_.end(); }
  ValueType type(std::string_view tool, std::string_view parameter) const;
  // The first of these tool names that is offered.
  std::optional<std::string> first_of(std::initializer_list<std::string_view> names) const;

 private:
  std::map<std::string, std::map<std::string, ValueType, std::less<>>, std::less<>> tools_;
};

}  // namespace kvasir
