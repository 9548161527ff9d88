#include <algorithm>

#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/interpreter.h"

namespace kvasir::jinja {
namespace {

Val dict_get(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "get()", args, {"key", "default"}, 1);
  if (!params.ok()) return Undefined{};
  if (is_plain_list(*params[0]) || as_dict(*params[0]))
    return in.fail("get(): a " + type_name(*params[0]) + " is no key");
  if (const Val* value = as_dict(self)->find(*params[0])) return *value;
  return params[1] ? *params[1] : None{};
}

template <class Make>
Val view(Interpreter& in, const Val& self, CallArgs& args, Make make) {
  const Params params(in, "dict method", args, {});
  if (!params.ok()) return Undefined{};
  std::vector<Val> items;
  for (const auto& [key, value] : as_dict(self)->entries) items.push_back(make(key, value));
  return in.list(std::move(items), List::Kind::view);
}

Val dict_items(Interpreter& in, const Val& self, CallArgs& args) {
  return view(in, self, args, [&](const Val& k, const Val& v) { return in.list({k, v}, List::Kind::tuple); });
}
Val dict_keys(Interpreter& in, const Val& self, CallArgs& args) {
  return view(in, self, args, [](const Val& k, const Val&) { return k; });
}
Val dict_values(Interpreter& in, const Val& self, CallArgs& args) {
  return view(in, self, args, [](const Val&, const Val& v) { return v; });
}

Val copy(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "copy()", args, {});
  return params.ok() ? self : Undefined{};
}

Val list_index(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "index()", args, {"value"}, 1);
  if (!params.ok()) return Undefined{};
  const auto& items = as_list(self)->items;
  if (!in.charge(items.size())) return Undefined{};
  const auto found = std::find_if(items.begin(), items.end(), [&](const Val& v) { return equal(v, *params[0]); });
  return found == items.end() ? in.fail("index(): not in the list") : Val(std::int64_t{found - items.begin()});
}

Val list_count(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "count()", args, {"value"}, 1);
  const auto& items = as_list(self)->items;
  if (!params.ok() || !in.charge(items.size())) return Undefined{};
  return std::int64_t{std::count_if(items.begin(), items.end(), [&](const Val& v) { return equal(v, *params[0]); })};
}

Val unsafe(Interpreter& in, const Val& self, CallArgs&) {
  return in.fail("a method that changes a " + type_name(self) + " is not allowed in templates");
}

struct Row {
  std::string_view name;
  Method method;
};

constexpr Row kDictRows[] = {
    {"get", dict_get}, {"items", dict_items}, {"keys", dict_keys}, {"values", dict_values}, {"copy", copy},
    {"clear", unsafe}, {"pop", unsafe},       {"popitem", unsafe}, {"setdefault", unsafe},  {"update", unsafe},
};
constexpr Row kListRows[] = {
    {"index", list_index}, {"count", list_count}, {"copy", copy},     {"append", unsafe},
    {"clear", unsafe},     {"extend", unsafe},    {"insert", unsafe}, {"pop", unsafe},
    {"remove", unsafe},    {"reverse", unsafe},   {"sort", unsafe},
};

template <std::size_t n>
Method find_in(const Row (&rows)[n], std::string_view name) {
  for (const Row& row : rows)
    if (row.name == name) return row.method;
  return nullptr;
}

}  // namespace

std::optional<Val> find_method(const Val& self, std::string_view name) {
  Method method = nullptr;
  if (const List* list = as_list(self)) {
    if (list->kind == List::Kind::group && name == "grouper") return list->items[0];
    if (list->kind == List::Kind::group && name == "list") return list->items[1];
    const bool whole = list->kind == List::Kind::list;
    if (whole || ((name == "index" || name == "count") && list->kind != List::Kind::generator))
      method = find_in(kListRows, name);
  } else if (as_dict(self)) {
    method = find_in(kDictRows, name);
  } else if (as_text(self)) {
    method = find_string_method(name);
  }
  if (!method) return std::nullopt;
  return ObjectPtr(std::make_shared<BoundMethod>(self, method));
}

}  // namespace kvasir::jinja
