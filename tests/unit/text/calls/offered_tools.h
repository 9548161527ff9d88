#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/text/calls/tool_schemas.h"

namespace kvasir::testing {

inline Value tool(const std::string& name, const std::vector<std::pair<std::string, Value>>& types) {
  Value::Object properties;
  for (const auto& [parameter, type] : types) {
    Value::Object schema;
    schema.set("type", type);
    properties.set(parameter, schema);
  }
  Value::Object parameters, function, offered;
  parameters.set("type", "object");
  parameters.set("properties", properties);
  function.set("name", name);
  function.set("parameters", parameters);
  offered.set("type", "function");
  offered.set("function", function);
  return offered;
}

// get_weather(city: string, days: integer, code: string, note: string or null) and add(n: integer, of: array, any).
inline std::shared_ptr<const ToolSchemas> offered_tools() {
  const Value nullable = Value::Array{Value("string"), Value("null")};
  return std::make_shared<const ToolSchemas>(Value::Array{
      tool("get_weather", {{"city", "string"}, {"days", "integer"}, {"code", "string"}, {"note", nullable}}),
      tool("add", {{"n", "integer"}, {"of", "array"}})});
}

}  // namespace kvasir::testing
