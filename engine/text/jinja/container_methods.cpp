#include <algorithm>

#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/interpreter.h"

namespace kvasir::jinja {
namespace {

Val dict_get(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "get()", args, {"key", "default"}, 1);
  if (!params.ok()) return Undefined{};
  if (const Val* value = in.find(*as_dict(self), *params[0])) return *value;
  if (in.failed()) return Undefined{};
  return params[1] ? *params[1] : None{};
}

template <class Make>
Val view(Interpreter& in, const Val& self, CallArgs& args, List::Kind kind, Make make) {
  const Params params(in, "dict method", args, {});
  if (!params.ok()) return Undefined{};
  std::vector<Val> items;
  for (const auto& [key, value] : as_dict(self)->entries) items.push_back(make(key, value));
  return in.list(std::move(items), kind);
}

Val dict_items(Interpreter& in, const Val& self, CallArgs& args) {
  return view(in, self, args, List::Kind::items, [&](const Val& k, const Val& v) {
    return in.list({k, v}, List::Kind::tuple);
  });
}
Val dict_keys(Interpreter& in, const Val& self, CallArgs& args) {
  return view(in, self, args, List::Kind::keys, [](const Val& k, const Val&) { return k; });
}
Val dict_values(Interpreter& in, const Val& self, CallArgs& args) {
  return view(in, self, args, List::Kind::values, [](const Val&, const Val& v) { return v; });
}

Val list_copy(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "copy()", args, {});
  return params.ok() ? in.list(as_list(self)->items) : Undefined{};
}

Val dict_copy(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "copy()", args, {});
  if (!params.ok()) return Undefined{};
  Dict dict = *as_dict(self);
  dict.source = nullptr;
  return in.dict(std::move(dict));
}

Val list_index(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "index()", args, {"value"}, 1);
  if (!params.ok()) return Undefined{};
  const auto& items = as_list(self)->items;
  if (!in.charge(items.size())) return Undefined{};
  const auto found = std::find_if(items.begin(), items.end(), [&](const Val& v) { return in.equal(v, *params[0]); });
  return found == items.end() ? in.fail("index(): not in the list") : Val(std::int64_t{found - items.begin()});
}

Val list_count(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "count()", args, {"value"}, 1);
  const auto& items = as_list(self)->items;
  if (!params.ok() || !in.charge(items.size())) return Undefined{};
  return std::int64_t{std::count_if(items.begin(), items.end(), [&](const Val& v) { return in.equal(v, *params[0]); })};
}

struct Row {
  std::string_view name;
  Method method;
};

constexpr Row kDictRows[] = {
    {"get", dict_get}, {"items", dict_items}, {"keys", dict_keys}, {"values", dict_values}, {"copy", dict_copy},
};
constexpr Row kListRows[] = {{"index", list_index}, {"count", list_count}, {"copy", list_copy}};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kListChanges[] = {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};

template <std::size_t n>
bool is_among(const std::string_view (&names)[n], std::string_view name) {
  return std::find(names, names + n, name) != names + n;
}

bool would_change(const Val& self, std::string_view name) {
  return as_dict(self) ? is_among(kDictChanges, name) : is_plain_list(self) && is_among(kListChanges, name);
}

template <std::size_t n>
Method find_in(const Row (&rows)[n], std::string_view name) {
  for (const Row& row : rows)
    if (row.name == name) return row.method;
  return nullptr;
}

}  // namespace

std::optional<Val> find_method(const Val& self, std::string_view name) {
  if (would_change(self, name))
    return undefined_val("'" + std::string(name) + "' of a " + type_name(self) +
                         " is not allowed in templates: it would change it");
  Method method = nullptr;
  if (const List* list = as_list(self)) {
    if (list->kind == List::Kind::group && name == "grouper") return list->items[0];
    if (list->kind == List::Kind::group && name == "list") return list->items[1];
    const bool whole = list->kind == List::Kind::list;
    if (whole || ((name == "index" || name == "count") && !is_unordered(*list))) method = find_in(kListRows, name);
  } else if (as_dict(self)) {
    method = find_in(kDictRows, name);
  } else if (as_text(self)) {
    method = find_string_method(name);
  }
  if (!method) return std::nullopt;
  return ObjectPtr(std::make_shared<BoundMethod>(self, method));
}

}  // namespace kvasir::jinja
