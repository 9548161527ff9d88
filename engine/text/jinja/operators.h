#pragma once

#include "engine/text/jinja/ast.h"

// Python's operators on template values. They fail the rendering where Python raises.
namespace kvasir::jinja {

Val binary(Interpreter& in, BinaryOp op, const Val& left, const Val& right);
Val add(Interpreter& in, const Val& left, const Val& right);
bool contains(Interpreter& in, const Val& container, const Val& item);
bool compare_with(Interpreter& in, CompareOp op, const Val& left, const Val& right);
// subject[from:to:step]; none stands for an absent part.
Val slice(Interpreter& in, const Val& subject, const Val& from, const Val& to, const Val& step);
// How many characters; nothing after a failure.
std::optional<std::int64_t> characters_in(Interpreter& in, const Text& text);
Val character_at(Interpreter& in, const Text& text, std::int64_t index);
std::vector<Val> characters_of(Interpreter& in, const Text& text);

// A number of JSON text: a machine number where that prints the same, else it keeps its text.
Val number_from_text(const std::string& text);

// Byte offset of `needle` in `text` from `from` on, in linear time; npos where there is none.
std::size_t find_bytes(std::string_view text, std::string_view needle, std::size_t from = 0);

// Of its last occurrence.
std::size_t rfind_bytes(std::string_view text, std::string_view needle);

}  // namespace kvasir::jinja
