#include <algorithm>

#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/string_ops.h"
#include "engine/text/utf8.h"

namespace kvasir::jinja {
namespace {

Val length(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'length'", args, {});
  if (!params.ok()) return Undefined{};
  if (is_undefined(subject)) return std::int64_t{0};
  if (const Text* text = as_text(subject)) {
    const auto characters = characters_in(in, *text);
    return characters ? Val(*characters) : Undefined{};
  }
  if (const List* list = as_list(subject); list && list->kind != List::Kind::generator)
    return static_cast<std::int64_t>(list->items.size());
  if (const Dict* dict = as_dict(subject)) return static_cast<std::int64_t>(dict->entries.size());
  return in.fail("object of type '" + type_name(subject) + "' has no length");
}

Val first(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'first'", args, {});
  const ListPtr items = params.ok() ? in.items_of(subject) : nullptr;
  if (!items) return Undefined{};
  return items->items.empty() ? undefined_val("no first item, sequence was empty") : items->items.front();
}

Val last(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'last'", args, {});
  const List* list = as_list(subject);
  if (list && list->kind == List::Kind::generator) return in.fail("a generator has no last item: it is not reversible");
  const ListPtr items = params.ok() ? in.items_of(subject) : nullptr;
  if (!items) return Undefined{};
  return items->items.empty() ? undefined_val("no last item, sequence was empty") : items->items.back();
}

Val list_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'list'", args, {});
  const ListPtr items = params.ok() ? in.items_of(subject) : nullptr;
  return items ? in.list(items->items) : Undefined{};
}

Val items_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'items'", args, {});
  if (!params.ok()) return Undefined{};
  if (is_undefined(subject)) return in.list({}, List::Kind::generator);
  const Dict* dict = as_dict(subject);
  if (!dict) return in.fail("can only get item pairs from a mapping, not from " + type_name(subject));
  std::vector<Val> pairs;
  for (const auto& [key, value] : dict->entries) pairs.push_back(in.list({key, value}, List::Kind::tuple));
  return in.list(std::move(pairs), List::Kind::generator);
}

Val reverse(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'reverse'", args, {});
  const ListPtr items = params.ok() ? in.items_of(subject) : nullptr;
  if (!items) return Undefined{};
  std::vector<Val> reversed(items->items.rbegin(), items->items.rend());
  if (as_text(subject)) return in.text(join(in, Text(), reversed, true));
  return in.list(std::move(reversed), List::Kind::generator);
}

// ---- ordering ----

// What values are compared by: strings without case unless it counts.
Val sort_key(const Val& value, bool case_sensitive) {
  const Text* text = as_text(value);
  return text && !case_sensitive ? string_val(lower(*text)) : value;
}

struct Keyed {
  Val item;
  std::vector<Val> keys;
};

// -1, 0, 1; fails for what has no order.
int order(Interpreter& in, const std::vector<Val>& a, const std::vector<Val>& b) {
  for (std::size_t i = 0; i < a.size() && !in.failed(); ++i) {
    if (in.equal(a[i], b[i])) continue;
    if (const auto result = in.compare(a[i], b[i])) return *result;
    in.fail("'" + type_name(a[i]) + "' and '" + type_name(b[i]) + "' cannot be ordered");
  }
  return 0;
}

// Merge sort: std::stable_sort may not be given a comparison that fails half-way.
void sort_keyed(Interpreter& in, std::vector<Keyed>& items, bool backwards) {
  std::vector<Keyed> merged(items.size());
  for (std::size_t width = 1; width < items.size(); width *= 2) {
    for (std::size_t begin = 0; begin < items.size(); begin += 2 * width) {
      const std::size_t middle = std::min(begin + width, items.size()), end = std::min(middle + width, items.size());
      for (std::size_t a = begin, b = middle, out = begin; out < end; ++out) {
        in.charge();
        const bool take_b = a == middle || (b < end && (backwards ? order(in, items[b].keys, items[a].keys) > 0
                                                                  : order(in, items[b].keys, items[a].keys) < 0));
        merged[out] = std::move(items[take_b ? b++ : a++]);
      }
    }
    items.swap(merged);
  }
}

// Without a list around it, Python compares no undefined key.
bool have_keys(Interpreter& in, const std::vector<Keyed>& items) {
  for (const Keyed& entry : items)
    if (const auto* missing = std::get_if<Undefined>(&entry.keys.front()); missing && items.size() > 1)
      in.fail(message_of(*missing));
  return !in.failed();
}

// The parts of "a.b,c" that sort() goes by; none: the item itself.
std::vector<Val> sort_paths(Interpreter& in, const Val* attribute) {
  if (!attribute) return {};
  if (!as_text(*attribute)) return {*attribute};
  std::vector<Val> paths;
  const Text& text = *as_text(*attribute);
  std::size_t begin = 0;
  for (std::size_t comma; (comma = text.bytes().find(',', begin)) != std::string::npos; begin = comma + 1)
    paths.push_back(in.text(text.slice(begin, comma)));
  paths.push_back(in.text(text.slice(begin, text.size())));
  return paths;
}

std::vector<Keyed> with_keys(Interpreter& in, const List& list, const Val* attribute, bool case_sensitive) {
  const std::vector<Val> paths = sort_paths(in, attribute);
  std::vector<Keyed> keyed;
  for (const Val& item : list.items) {
    Keyed entry{item, {}};
    if (paths.empty()) entry.keys.push_back(sort_key(item, case_sensitive));
    for (const Val& path : paths) entry.keys.push_back(sort_key(attribute_path(in, item, path), case_sensitive));
    keyed.push_back(std::move(entry));
    if (!in.charge()) break;
  }
  return keyed;
}

std::vector<Val> items_of_keyed(std::vector<Keyed>& keyed) {
  std::vector<Val> items;
  for (Keyed& entry : keyed) items.push_back(std::move(entry.item));
  return items;
}

Val sort_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'sort'", args, {"reverse", "case_sensitive", "attribute"});
  const ListPtr list = params.ok() ? in.items_of(subject) : nullptr;
  if (!list) return Undefined{};
  auto keyed = with_keys(in, *list, params.some(2), params.flag(1));
  sort_keyed(in, keyed, params.flag(0));
  return in.list(items_of_keyed(keyed));
}

Val dictsort(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'dictsort'", args, {"case_sensitive", "by", "reverse"});
  const Dict* dict = as_dict(subject);
  if (!params.ok()) return Undefined{};
  if (!dict) return in.fail("filter 'dictsort' needs a dict, not " + type_name(subject));
  const std::string by = params[1] ? to_text(in, *params[1]).bytes() : "key";
  if (by != "key" && by != "value") return in.fail("filter 'dictsort': by must be 'key' or 'value'");
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : dict->entries)
    keyed.push_back({in.list({key, value}, List::Kind::tuple), {sort_key(by == "key" ? key : value, params.flag(0))}});
  sort_keyed(in, keyed, params.flag(2));
  return in.list(items_of_keyed(keyed));
}

template <bool largest>
Val extreme(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, largest ? "filter 'max'" : "filter 'min'", args, {"case_sensitive", "attribute"});
  const ListPtr list = params.ok() ? in.items_of(subject) : nullptr;
  if (!list) return Undefined{};
  if (list->items.empty()) return undefined_val("no aggregated item, sequence was empty");
  const auto keyed = with_keys(in, *list, params.some(1), params.flag(0));
  if (in.failed() || !have_keys(in, keyed)) return Undefined{};
  const Keyed* best = &keyed.front();
  for (const Keyed& entry : keyed) {
    const int sign = order(in, entry.keys, best->keys);
    if (largest ? sign > 0 : sign < 0) best = &entry;
  }
  return best->item;
}

Val unique(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'unique'", args, {"case_sensitive", "attribute"});
  const ListPtr list = params.ok() ? in.items_of(subject) : nullptr;
  if (!list) return Undefined{};
  std::vector<Keyed> kept;
  for (Keyed& entry : with_keys(in, *list, params.some(1), params.flag(0))) {
    if (in.failed()) return Undefined{};
    const Val& key = entry.keys.front();
    if (is_plain_list(key) || as_dict(key)) return in.fail("filter 'unique' cannot compare a " + type_name(key));
    const auto same = [&](const Keyed& other) { return in.equal(other.keys.front(), entry.keys.front()); };
    if (std::none_of(kept.begin(), kept.end(), same)) kept.push_back(std::move(entry));
  }
  return in.list(items_of_keyed(kept), List::Kind::generator);
}

Val groupby(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'groupby'", args, {"attribute", "default", "case_sensitive"}, 1);
  const ListPtr list = params.ok() ? in.items_of(subject) : nullptr;
  if (!list) return Undefined{};
  std::vector<Keyed> keyed;
  for (const Val& item : list->items) {
    Val key = attribute_path(in, item, *params[0]);
    if (is_undefined(key) && params.some(1)) key = *params[1];
    keyed.push_back({item, {sort_key(key, params.flag(2)), std::move(key)}});
  }
  if (!have_keys(in, keyed)) return Undefined{};
  std::vector<Keyed> by_key = keyed;
  for (Keyed& entry : by_key) entry.keys.resize(1);
  for (std::size_t i = 0; i < keyed.size(); ++i) by_key[i].item = in.list({keyed[i].keys[1], keyed[i].item});
  sort_keyed(in, by_key, false);
  std::vector<Val> groups;
  for (std::size_t i = 0; i < by_key.size() && !in.failed();) {
    std::vector<Val> members;
    const std::size_t begin = i;
    for (; i < by_key.size() && in.equal(by_key[i].keys[0], by_key[begin].keys[0]); ++i)
      members.push_back(as_list(by_key[i].item)->items[1]);
    groups.push_back(in.list({as_list(by_key[begin].item)->items[0], in.list(std::move(members))}, List::Kind::group));
  }
  return in.list(std::move(groups));
}

// ---- map, select and the like ----

// What map(), select() and their like go over: anything false is nothing.
ListPtr items_or_none(Interpreter& in, const Val& subject) {
  return in.items_of(truthy(subject) ? subject : undefined_val(""));
}

Val map_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  const ListPtr list = items_or_none(in, subject);
  if (!list) return Undefined{};
  std::vector<Val> out;
  if (args.positional.empty()) {
    const Params params(in, "filter 'map'", args, {"attribute", "default"}, 1);
    if (!params.ok()) return Undefined{};
    for (const Val& item : list->items) {
      Val value = attribute_path(in, item, *params[0]);
      out.push_back(is_undefined(value) && params.some(1) ? *params[1] : std::move(value));
      if (!in.charge()) return Undefined{};
    }
    return in.list(std::move(out), List::Kind::generator);
  }
  const std::string name = to_text(in, args.positional.front()).bytes();
  const FilterFunction function = find_filter(name);
  if (!function) return in.fail("no filter named '" + name + "'");
  args.positional.erase(args.positional.begin());
  for (const Val& item : list->items) {
    CallArgs each = args;
    out.push_back(function(in, item, each));
    if (!in.charge()) return Undefined{};
  }
  return in.list(std::move(out), List::Kind::generator);
}

// select, reject, selectattr, rejectattr.
template <bool keeps, bool by_attribute>
Val select(Interpreter& in, const Val& subject, CallArgs& args) {
  const ListPtr list = items_or_none(in, subject);
  if (!list) return Undefined{};
  auto& given = args.positional;
  Val path;
  if (by_attribute) {
    if (given.empty()) return in.fail("filters 'selectattr' and 'rejectattr' need an attribute");
    path = std::move(given.front());
    given.erase(given.begin());
  }
  TestFunction test = nullptr;
  if (!given.empty()) {
    const std::string name = to_text(in, given.front()).bytes();
    test = find_test(name);
    if (!test) return in.fail("no test named '" + name + "'");
    given.erase(given.begin());
  }
  std::vector<Val> out;
  for (const Val& item : list->items) {
    const Val value = by_attribute ? attribute_path(in, item, path) : item;
    CallArgs each = args;
    const bool passes = test ? test(in, value, each) : truthy(value);
    if (!in.charge()) return Undefined{};
    if (passes == keeps) out.push_back(item);
  }
  return in.list(std::move(out), List::Kind::generator);
}

Val sum(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'sum'", args, {"attribute", "start"});
  const ListPtr list = params.ok() ? in.items_of(subject) : nullptr;
  if (!list) return Undefined{};
  Val total = params[1] ? *params[1] : Val(std::int64_t{0});
  if (as_text(total)) return in.fail("filter 'sum' cannot sum strings");
  for (const Val& item : list->items) {
    total = binary(in, BinaryOp::add, total, params.some(0) ? attribute_path(in, item, *params[0]) : item);
    if (!in.charge()) return Undefined{};
  }
  return total;
}

Val batch(Interpreter& in, const Val& subject, CallArgs& args) {
  Params params(in, "filter 'batch'", args, {"linecount", "fill_with"}, 1);
  const std::int64_t size = params.integer(0, 1);
  const ListPtr list = params.ok() ? in.items_of(subject) : nullptr;
  if (!list || size < 1) return in.fail("filter 'batch' needs a positive number");
  std::vector<Val> batches, current;
  for (const Val& item : list->items) {
    current.push_back(item);
    if (static_cast<std::int64_t>(current.size()) == size) batches.push_back(in.list(std::exchange(current, {})));
  }
  if (!current.empty()) {
    const auto missing = static_cast<std::uint64_t>(size) - current.size();
    if (params.some(1) && in.charge(missing)) current.resize(static_cast<std::size_t>(size), *params[1]);
    batches.push_back(in.list(std::move(current)));
  }
  return in.list(std::move(batches), List::Kind::generator);
}

Val slice_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  Params params(in, "filter 'slice'", args, {"slices", "fill_with"}, 1);
  const std::int64_t slices = params.integer(0, 1);
  const ListPtr list = params.ok() ? in.items_of(subject) : nullptr;
  if (!list || slices < 1 || !in.charge(static_cast<std::uint64_t>(slices)))
    return in.fail("filter 'slice' needs a positive number");
  const std::size_t n = static_cast<std::size_t>(slices), each = list->items.size() / n,
                    larger = list->items.size() % n;
  std::vector<Val> out;
  std::size_t at = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t end = at + each + (i < larger);
    std::vector<Val> part(list->items.begin() + static_cast<std::ptrdiff_t>(at),
                          list->items.begin() + static_cast<std::ptrdiff_t>(end));
    if (params.some(1) && i >= larger) part.push_back(*params[1]);
    out.push_back(in.list(std::move(part)));
    at = end;
  }
  return in.list(std::move(out), List::Kind::generator);
}

constexpr FilterRow kRows[] = {
    {"batch", batch},
    {"count", length},
    {"dictsort", dictsort},
    {"first", first},
    {"groupby", groupby},
    {"items", items_filter},
    {"last", last},
    {"length", length},
    {"list", list_filter},
    {"map", map_filter},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"reverse", reverse},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
    {"slice", slice_filter},
    {"sort", sort_filter},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

Val attribute_path(Interpreter& in, const Val& item, const Val& path) {
  const Text* text = as_text(path);
  if (!text) return in.item_of(item, path);
  Val value = item;
  const std::string& bytes = text->bytes();
  for (std::size_t begin = 0; begin <= bytes.size() && !in.failed();) {
    const std::size_t end = std::min(bytes.find('.', begin), bytes.size());
    const std::string part = bytes.substr(begin, end - begin);
    const bool number = !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string::npos;
    value = in.item_of(value, number ? Val(std::int64_t{std::stoi(part)}) : string_val(part));
    begin = end + 1;
  }
  return value;
}

FilterFunction find_sequence_filter(std::string_view name) {
  for (const FilterRow& row : kRows)
    if (row.name == name) return row.function;
  return nullptr;
}

FilterFunction find_filter(std::string_view name) {
  if (const auto filter = find_string_filter(name)) return filter;
  if (const auto filter = find_sequence_filter(name)) return filter;
  return find_value_filter(name);
}

}  // namespace kvasir::jinja
