#include <algorithm>

#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/unicode.h"
#include "engine/text/utf8.h"

// String methods that look for something: all take a part of the string as their last two parameters.
namespace kvasir::jinja {
namespace {

std::size_t offset_of(std::string_view text, std::int64_t characters) {
  std::size_t at = 0;
  for (; characters > 0 && at < text.size(); --characters) at += first_char(text.substr(at)).length;
  return at;
}

// What is searched: bytes from `begin` on; nothing where it begins behind its end.
struct Window {
  std::string_view bytes;
  std::int64_t begin;  // characters
};

std::optional<Window> window(Interpreter& in, const Val& self, const Params& params) {
  const std::string_view text = std::get<Str>(self)->bytes();
  const Text* part = as_text(*params[0]);
  if (!in.charge_bytes(text.size() + (part ? 4 * part->size() : 0))) return std::nullopt;
  if (!params.some(1) && !params.some(2)) return Window{text, 0};
  const auto characters = characters_in(in, *std::get<Str>(self));
  if (!characters) return std::nullopt;
  const std::int64_t size = *characters;
  const auto bound = [&](std::size_t i, std::int64_t otherwise) {
    if (!params.some(i)) return otherwise;
    const auto given = as_integer(*params[i]);
    if (!given) in.fail("the bounds of a search must be integers, not " + type_name(*params[i]));
    return *given < 0 ? std::max<std::int64_t>(*given + size, 0) : *given;
  };
  const std::int64_t begin = bound(1, 0), end = std::min(bound(2, size), size);
  if (in.failed() || begin > end) return std::nullopt;
  const std::size_t from = offset_of(text, begin);
  return Window{text.substr(from, offset_of(text.substr(from), end - begin)), begin};
}

const Text* part_of(Interpreter& in, const Params& params) {
  if (!params.ok()) return nullptr;
  const Text* part = as_text(*params[0]);
  if (!part) in.fail("a search needs a string, not " + type_name(*params[0]));
  return part;
}

// Characters before the first or last occurrence, or nothing.
std::optional<std::int64_t> position(Interpreter& in, const Val& self, CallArgs& args, bool last) {
  const Params params(in, "find()", args, {"sub", "start", "end"}, 1);
  const Text* part = part_of(in, params);
  const auto where = part ? window(in, self, params) : std::nullopt;
  if (!where) return std::nullopt;
  const std::size_t at = last ? rfind_bytes(where->bytes, part->bytes()) : find_bytes(where->bytes, part->bytes());
  if (at == std::string_view::npos) return std::nullopt;
  const auto before = characters_in(in, Text(std::string(where->bytes.substr(0, at)), true));
  return before ? std::optional(where->begin + *before) : std::nullopt;
}

template <bool last>
Val find(Interpreter& in, const Val& self, CallArgs& args) {
  return position(in, self, args, last).value_or(-1);
}

template <bool last>
Val index(Interpreter& in, const Val& self, CallArgs& args) {
  const auto at = position(in, self, args, last);
  return at ? Val(*at) : in.fail("index(): substring not found");
}

Val count(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "count()", args, {"sub", "start", "end"}, 1);
  const Text* part = part_of(in, params);
  const auto where = part ? window(in, self, params) : std::nullopt;
  if (!where) return std::int64_t{0};
  if (part->empty()) return static_cast<std::int64_t>(utf8_count(where->bytes)) + 1;
  std::int64_t n = 0;
  for (std::size_t at = 0; (at = find_bytes(where->bytes, part->bytes(), at)) != std::string_view::npos;
       at += part->size(), ++n)
    if (!in.charge()) break;
  return n;
}

// startswith and endswith: one string or a tuple of them.
template <bool at_end>
Val has_affix(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, at_end ? "endswith()" : "startswith()", args, {"affix", "start", "end"}, 1);
  const auto where = params.ok() ? window(in, self, params) : std::nullopt;
  const auto fits = [&](const Val& affix) {
    const Text* text = as_text(affix);
    if (!text) in.fail("startswith() and endswith() need a string or a tuple of them, not " + type_name(affix));
    return text && where && (at_end ? where->bytes.ends_with(text->bytes()) : where->bytes.starts_with(text->bytes()));
  };
  if (!params.ok()) return Undefined{};
  const List* list = as_list(*params[0]);
  if (!list || list->kind != List::Kind::tuple) return fits(*params[0]);
  return std::any_of(list->items.begin(), list->items.end(), fits);
}

struct Row {
  std::string_view name;
  Method method;
};

constexpr Row kRows[] = {
    {"count", count},
    {"endswith", has_affix<true>},
    {"find", find<false>},
    {"index", index<false>},
    {"rfind", find<true>},
    {"rindex", index<true>},
    {"startswith", has_affix<false>},
};

}  // namespace

Method find_string_search_method(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return row.method;
  return nullptr;
}

}  // namespace kvasir::jinja
