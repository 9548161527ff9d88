#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "engine/text/jinja/text.h"

// Values of a running template, with the behaviour of Python's. All but objects are immutable and shared.
namespace kvasir::jinja {

struct List;
struct Dict;
class Object;

// The value of what does not exist: prints as nothing, is false and empty; anything else with it is `message`.
struct Undefined {
  std::shared_ptr<const std::string> message;
};
struct None {};
// A number whose text in the data is not what Python would print ("1e5", "1.50"), or that fits no machine type.
struct WrittenNumber {
  std::string text;
  double value;
  bool is_integer;
};

using ListPtr = std::shared_ptr<const List>;
using DictPtr = std::shared_ptr<const Dict>;
using ObjectPtr = std::shared_ptr<Object>;
using WrittenPtr = std::shared_ptr<const WrittenNumber>;

using Val = std::variant<Undefined, None, bool, std::int64_t, double, WrittenPtr, Str, ListPtr, DictPtr, ObjectPtr>;

struct List {
  // Python's list, tuple, what map() and the like give, views of a dict, and the pairs of groupby.
  enum class Kind : std::uint8_t { list, tuple, generator, keys, values, items, group };
  std::vector<Val> items;
  Kind kind = Kind::list;
  std::uint32_t depth = 1;  // containers in each other, this one included
  std::uint64_t cost = 1;   // as cost_of()
};

// Insertion order; a repeated key keeps its place and takes the new value.
struct Dict {
  std::vector<std::pair<Val, Val>> entries;
  std::uint32_t depth = 1;
  std::uint64_t cost = 1;  // as cost_of()
  Str source;              // as Value::Object::source; null: none

  const Val* find(const Val& key) const;
  const Val* find(std::string_view key) const;
  void set(Val key, Val value);
  std::uint64_t cost_to_find(const Val& key) const;  // steps at most

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::optional<std::size_t> place_of(const Val& key) const;
  std::optional<std::size_t> place_among_all(const Val& key) const;
  // Of string keys and of numbers by their value, once there are many entries.
  std::unordered_map<std::string, std::size_t, Hash, std::equal_to<>> places_;
  std::unordered_multimap<double, std::size_t> number_places_;
  std::size_t others_ = 0;  // keys that are in neither
  bool indexed_ = false;
};

inline Val string_val(Text text) { return std::make_shared<const Text>(std::move(text)); }
// Text of the template or of the interpreter itself.
inline Val string_val(std::string_view text) { return string_val(Text(std::string(text), true)); }
inline Val undefined_val(std::string message) {
  return Undefined{std::make_shared<const std::string>(std::move(message))};
}

// What to say when it is used.
inline std::string message_of(const Undefined& u) { return u.message ? *u.message : "an undefined value"; }

inline bool is_undefined(const Val& v) { return std::holds_alternative<Undefined>(v); }
inline bool is_none(const Val& v) { return std::holds_alternative<None>(v); }
inline const Text* as_text(const Val& v) {
  const Str* s = std::get_if<Str>(&v);
  return s ? s->get() : nullptr;
}
inline const List* as_list(const Val& v) {
  const ListPtr* l = std::get_if<ListPtr>(&v);
  return l ? l->get() : nullptr;
}
inline const Dict* as_dict(const Val& v) {
  const DictPtr* d = std::get_if<DictPtr>(&v);
  return d ? d->get() : nullptr;
}
inline bool is_view(List::Kind kind) {
  return kind == List::Kind::keys || kind == List::Kind::values || kind == List::Kind::items;
}
// Has no places: only goes from one item to the next.
inline bool is_unordered(const List& list) { return list.kind == List::Kind::generator || is_view(list.kind); }
inline bool is_plain_list(const Val& v) { return as_list(v) && as_list(v)->kind == List::Kind::list; }
inline Object* as_object(const Val& v) {
  const ObjectPtr* o = std::get_if<ObjectPtr>(&v);
  return o ? o->get() : nullptr;
}

// Steps that comparing the value with an equal one takes: what it holds, counted as often as it is reached.
std::uint64_t cost_of(const Val& v);

// Containers in each other below and with `v`; 0 for what holds nothing.
std::uint32_t depth_of(const Val& v);

std::string name_of(List::Kind kind);  // "list", "dict_keys", ...
// Python's name of the type: "str", "NoneType", ...
std::string type_name(const Val& v);

bool truthy(const Val& v);

// A number as its value: bools count as 0 and 1.
struct Numeric {
  bool is_integer;
  std::int64_t integer;  // when is_integer
  double real;           // always
};
std::optional<Numeric> as_numeric(const Val& v);  // integers beyond 64 bits as the nearest real
std::optional<std::int64_t> as_integer(const Val& v);

// Python's ==. Never fails.
bool equal(const Val& a, const Val& b);

// -1, 0, 1 where Python orders the two; else nothing.
std::optional<int> compare(const Val& a, const Val& b);

}  // namespace kvasir::jinja
