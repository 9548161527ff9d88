#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/calls/tool_schemas.h"

namespace kvasir {

// Text that a model wrote as a parameter's value, as JSON text. JSON stays byte for byte as it is; Python's literals
// (True, None, 'text', (1, 2)) are converted; what is neither is a string.
std::string value_as_json(std::string_view text, ValueType type);

// A Python literal as JSON; nothing when it is none.
std::optional<std::string> python_as_json(std::string_view text);

// Name and JSON arguments of each call.
using Calls = std::vector<std::pair<std::string, std::string>>;

// `[name(key="text", n=3), ...]`, without the list too, and `name.call(key="text")`; nothing when it is none.
std::optional<Calls> python_calls(std::string_view text);

// `{key:<quote>text<quote>,list:[1,true]}` as JSON; nothing when it is malformed.
std::optional<std::string> gemma_as_json(std::string_view text, std::string_view quote);

// Elements within elements, each tag after `mark`: `<a><item>1</item></a>` is {"a": [1]}. Text without tags is a value
// by itself (value_as_json). Nothing when tags are not balanced.
std::optional<std::string> tree_as_json(std::string_view text, std::string_view mark, ValueType type);

}  // namespace kvasir
