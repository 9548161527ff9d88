#include "engine/text/jinja/value.h"

#include <algorithm>

#include "engine/text/jinja/object.h"

namespace kvasir::jinja {
namespace {

constexpr std::size_t kIndexedFrom = 9;  // entries

std::uint64_t saturating_sum(std::uint64_t a, std::uint64_t b) { return a + b < a ? ~std::uint64_t{0} : a + b; }
std::uint64_t saturating_product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? ~std::uint64_t{0} : product;
}

int sign_of(auto a, auto b) { return a < b ? -1 : b < a ? 1 : 0; }

int compare_numbers(const Numeric& a, const Numeric& b) {
  return a.is_integer && b.is_integer ? sign_of(a.integer, b.integer) : sign_of(a.real, b.real);
}

bool equal_lists(const List& a, const List& b) {
  const auto python_type = [](const List& l) { return l.kind == List::Kind::group ? List::Kind::tuple : l.kind; };
  if (python_type(a) != python_type(b) || a.kind == List::Kind::generator) return &a == &b;
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), equal);
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  return std::all_of(a.entries.begin(), a.entries.end(), [&](const auto& entry) {
    const Val* other = b.find(entry.first);
    return other && equal(entry.second, *other);
  });
}

std::optional<int> compare_lists(const List& a, const List& b) {
  for (std::size_t i = 0; i < a.items.size() && i < b.items.size(); ++i)
    if (!equal(a.items[i], b.items[i])) return compare(a.items[i], b.items[i]);
  return sign_of(a.items.size(), b.items.size());
}

}  // namespace

std::optional<std::size_t> Dict::place_among_all(const Val& key) const {
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (equal(entries[i].first, key)) return i;
  return std::nullopt;
}

std::optional<std::size_t> Dict::place_of(const Val& key) const {
  if (!indexed_) return place_among_all(key);
  if (const Text* text = as_text(key)) {
    const auto it = places_.find(std::string_view(text->bytes()));
    return it == places_.end() ? std::nullopt : std::optional(it->second);
  }
  const auto number = as_numeric(key);
  if (!number) return others_ != 0 ? place_among_all(key) : std::nullopt;
  for (auto [it, end] = number_places_.equal_range(number->real); it != end; ++it)
    if (equal(entries[it->second].first, key)) return it->second;
  return std::nullopt;
}

std::uint64_t Dict::cost_to_find(const Val& key) const {
  if (indexed_ && (as_text(key) || as_numeric(key) || others_ == 0)) return cost_of(key);
  return saturating_product(cost_of(key), entries.size() + 1);
}

const Val* Dict::find(const Val& key) const {
  const auto place = place_of(key);
  return place ? &entries[*place].second : nullptr;
}

const Val* Dict::find(std::string_view key) const {
  if (indexed_) {
    const auto it = places_.find(key);
    return it == places_.end() ? nullptr : &entries[it->second].second;
  }
  for (const auto& [name, value] : entries)
    if (const Text* text = as_text(name); text && text->bytes() == key) return &value;
  return nullptr;
}

void Dict::set(Val key, Val value) {
  source = nullptr;
  depth = std::max({depth, 1 + depth_of(key), 1 + depth_of(value)});
  cost = saturating_sum(cost, saturating_sum(cost_of(key), cost_of(value)));
  if (const auto place = place_of(key)) {
    entries[*place].second = std::move(value);
    return;
  }
  entries.emplace_back(std::move(key), std::move(value));
  if (entries.size() < kIndexedFrom) return;
  for (std::size_t i = indexed_ ? entries.size() - 1 : 0; i < entries.size(); ++i) {
    const Val& name = entries[i].first;
    if (const Text* text = as_text(name))
      places_.emplace(text->bytes(), i);
    else if (const auto number = as_numeric(name))
      number_places_.emplace(number->real, i);
    else
      ++others_;
  }
  indexed_ = true;
}

std::uint64_t cost_of(const Val& v) {
  constexpr std::size_t kBytesPerStep = 64;
  if (const Text* text = as_text(v)) return 1 + text->size() / kBytesPerStep;
  if (const List* list = as_list(v)) return list->cost;
  if (const Dict* dict = as_dict(v)) return dict->cost;
  return 1;
}

std::uint32_t depth_of(const Val& v) {
  if (const List* list = as_list(v)) return list->depth;
  if (const Dict* dict = as_dict(v)) return dict->depth;
  if (const Object* object = as_object(v)) return object->depth();
  return 0;
}

std::string name_of(List::Kind kind) {
  switch (kind) {
    case List::Kind::list:
      return "list";
    case List::Kind::tuple:
    case List::Kind::group:
      return "tuple";
    case List::Kind::generator:
      return "generator";
    case List::Kind::keys:
      return "dict_keys";
    case List::Kind::values:
      return "dict_values";
    case List::Kind::items:
      return "dict_items";
  }
  return {};
}

std::string type_name(const Val& v) {
  struct Namer {
    std::string operator()(const Undefined&) const { return "Undefined"; }
    std::string operator()(const None&) const { return "NoneType"; }
    std::string operator()(bool) const { return "bool"; }
    std::string operator()(std::int64_t) const { return "int"; }
    std::string operator()(double) const { return "float"; }
    std::string operator()(const WrittenPtr& n) const { return n->is_integer ? "int" : "float"; }
    std::string operator()(const Str&) const { return "str"; }
    std::string operator()(const ListPtr& list) const { return name_of(list->kind); }
    std::string operator()(const DictPtr&) const { return "dict"; }
    std::string operator()(const ObjectPtr& object) const { return object->type_name(); }
  };
  return std::visit(Namer(), v);
}

bool truthy(const Val& v) {
  struct Judge {
    bool operator()(const Undefined&) const { return false; }
    bool operator()(const None&) const { return false; }
    bool operator()(bool b) const { return b; }
    bool operator()(std::int64_t i) const { return i != 0; }
    bool operator()(double d) const { return d != 0; }
    bool operator()(const WrittenPtr& n) const { return n->value != 0; }
    bool operator()(const Str& s) const { return !s->empty(); }
    bool operator()(const ListPtr& l) const { return l->kind == List::Kind::generator || !l->items.empty(); }
    bool operator()(const DictPtr& d) const { return !d->entries.empty(); }
    bool operator()(const ObjectPtr&) const { return true; }
  };
  return std::visit(Judge(), v);
}

std::optional<Numeric> as_numeric(const Val& v) {
  if (const auto* b = std::get_if<bool>(&v)) return Numeric{true, *b, *b ? 1.0 : 0.0};
  if (const auto* i = std::get_if<std::int64_t>(&v)) return Numeric{true, *i, static_cast<double>(*i)};
  if (const auto* d = std::get_if<double>(&v)) return Numeric{false, 0, *d};
  if (const auto* n = std::get_if<WrittenPtr>(&v)) return Numeric{false, 0, (*n)->value};
  return std::nullopt;
}

std::optional<std::int64_t> as_integer(const Val& v) {
  const auto number = as_numeric(v);
  return number && number->is_integer ? std::optional(number->integer) : std::nullopt;
}

bool equal(const Val& a, const Val& b) {
  if (const auto* x = std::get_if<WrittenPtr>(&a), *y = std::get_if<WrittenPtr>(&b); x && y && (*x)->text == (*y)->text)
    return true;
  if (const auto x = as_numeric(a), y = as_numeric(b); x && y)
    return compare_numbers(*x, *y) == 0 && x->real == y->real;
  if (a.index() != b.index()) return false;
  if (const Text* text = as_text(a)) return text == as_text(b) || text->bytes() == as_text(b)->bytes();
  if (const List* list = as_list(a)) return list == as_list(b) || equal_lists(*list, *as_list(b));
  if (const Dict* dict = as_dict(a)) return dict == as_dict(b) || equal_dicts(*dict, *as_dict(b));
  if (const Object* object = as_object(a)) return object == as_object(b);
  return true;  // none or undefined
}

std::optional<int> compare(const Val& a, const Val& b) {
  if (const auto x = as_numeric(a), y = as_numeric(b); x && y) return compare_numbers(*x, *y);
  if (const Text* x = as_text(a), *y = as_text(b); x && y) return sign_of(x->bytes().compare(y->bytes()), 0);
  if (const List* x = as_list(a), *y = as_list(b); x && y && x->kind == y->kind) return compare_lists(*x, *y);
  return std::nullopt;
}

}  // namespace kvasir::jinja
