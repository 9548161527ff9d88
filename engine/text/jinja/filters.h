#pragma once

#include <string_view>

#include "engine/text/jinja/ast.h"

// The built-in filters, tests, functions and methods by name; null where there is none.
namespace kvasir::jinja {

FilterFunction find_filter(std::string_view name);
TestFunction find_test(std::string_view name);
ObjectPtr make_function(std::string_view name);

// Tables that find_filter() looks through, by subject.
struct FilterRow {
  std::string_view name;
  FilterFunction function;
};
FilterFunction find_string_filter(std::string_view name);
FilterFunction find_sequence_filter(std::string_view name);
FilterFunction find_value_filter(std::string_view name);

// item.a.b or item.0: a path as sort(), map() and others take it; undefined where a part is missing.
Val attribute_path(Interpreter& in, const Val& item, const Val& path);

// A method of a string, list or dict as a callable, or nothing. Methods that would change a list or dict are undefined
// values that say so: the sandbox is immutable.
std::optional<Val> find_method(const Val& self, std::string_view name);
Method find_string_method(std::string_view name);
Method find_string_search_method(std::string_view name);  // what find_string_method() looks through

}  // namespace kvasir::jinja
