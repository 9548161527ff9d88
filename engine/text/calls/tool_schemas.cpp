#include "engine/text/calls/tool_schemas.h"

namespace kvasir {
namespace {

constexpr int kSchemaDepthMax = 8;

struct Kinds {
  bool text = false, null = false, data = false;
};

void add_type(Kinds& kinds, const std::string& type) {
  if (type == "string")
    kinds.text = true;
  else if (type == "null")
    kinds.null = true;
  else
    kinds.data = true;
}

void add_value(Kinds& kinds, const Value& value) {
  if (value.as_string())
    kinds.text = true;
  else if (value.is_null())
    kinds.null = true;
  else
    kinds.data = true;
}

void add_schema(Kinds& kinds, const Value& schema, int depth) {
  if (depth == 0) return;
  const Value* type = schema.find("type");
  if (type && type->as_string()) add_type(kinds, *type->as_string());
  if (type && type->as_array())
    for (const Value& one : *type->as_array())
      if (one.as_string()) add_type(kinds, *one.as_string());
  if (!type) {
    const Value* values = schema.find("enum");
    if (values && values->as_array())
      for (const Value& one : *values->as_array()) add_value(kinds, one);
    if (const Value* only = schema.find("const")) add_value(kinds, *only);
  }
  for (const std::string_view member : {"anyOf", "oneOf"}) {
    const Value* choices = schema.find(member);
    if (choices && choices->as_array())
      for (const Value& one : *choices->as_array()) add_schema(kinds, one, depth - 1);
  }
}

ValueType type_of(const Value& schema) {
  Kinds kinds;
  add_schema(kinds, schema, kSchemaDepthMax);
  if (kinds.text && kinds.data) return ValueType::unknown;
  if (kinds.text) return kinds.null ? ValueType::nullable : ValueType::text;
  return kinds.data || kinds.null ? ValueType::data : ValueType::unknown;
}

}  // namespace

ToolSchemas::ToolSchemas(const Value::Array& tools) {
  for (const Value& tool : tools) {
    const Value* function = tool.find("function");
    const Value* name = function ? function->find("name") : nullptr;
    if (!name || !name->as_string()) continue;
    auto& types = tools_[*name->as_string()];
    const Value* parameters = function->find("parameters");
    const Value* properties = parameters ? parameters->find("properties") : nullptr;
    if (!properties || !properties->as_object()) continue;
    for (const auto& [parameter, schema] : properties->as_object()->members) types[parameter] = type_of(schema);
  }
}

ValueType ToolSchemas::type(std::string_view tool, std::string_view parameter) const {
  const auto found = tools_.find(tool);
  if (found == tools_.end()) return ValueType::unknown;
  const auto type = found->second.find(parameter);
  return type == found->second.end() ? ValueType::unknown : type->second;
}

std::optional<std::string> ToolSchemas::first_of(std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names)
    if (offers(name)) return std::string(name);
  return std::nullopt;
}

}  // namespace kvasir
