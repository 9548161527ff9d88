#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace kvasir {

// JSON-like data that reaches a prompt: objects keep key order, numbers keep their original text. The gateway parses
// request bodies into it (gateway/api/json.h) and the chat template reads it. Immutable once built; cheap to copy
// (containers are shared). Safe to read from several threads.
class Value {
 public:
  struct Null {};
  struct Number {
    std::string text;  // as the client wrote it: "1.0", "1e5", "12345678901234567890"
  };
  using Array = std::vector<Value>;
  // Key order as received; a repeated key keeps its first place and its last value, as Python's dict does.
  struct Object {
    std::vector<std::pair<std::string, Value>> members;
    // The JSON text of this object, where its spelling matters: the arguments of a tool call as the model wrote them,
    // so that the next turn's prompt holds the same bytes. Whoever parses such text sets it; REQUIRES: it is JSON text
    // of just these members. In a chat template, `tojson` without options prints it as it is, also inside of another
    // value; indent, separators, sort_keys and ensure_ascii print the members anew. Nothing else looks at it: find(),
    // iteration, equality and printing without tojson see the members; members and copies that a template makes are
    // without it. set() removes it; who changes `members` directly must reset it.
    std::shared_ptr<const std::string> source = nullptr;

    const Value* find(std::string_view key) const;
    void set(std::string key, Value value);
  };

  Value() : data_(Null{}) {}
  Value(bool b) : data_(b) {}                                               // NOLINT: implicit on purpose, all of these
  Value(std::string s) : data_(std::move(s)) {}                             // NOLINT
  Value(std::string_view s) : data_(std::string(s)) {}                      // NOLINT
  Value(const char* s) : data_(std::string(s)) {}                           // NOLINT
  Value(std::int64_t n) : data_(Number{std::to_string(n)}) {}               // NOLINT
  Value(Number n) : data_(std::move(n)) {}                                  // NOLINT
  Value(Array a) : data_(std::make_shared<const Array>(std::move(a))) {}    // NOLINT
  Value(Object o) : data_(std::make_shared<const Object>(std::move(o))) {}  // NOLINT

  bool is_null() const { return std::holds_alternative<Null>(data_); }
  const bool* as_bool() const { return std::get_if<bool>(&data_); }
  const std::string* as_string() const { return std::get_if<std::string>(&data_); }
  const Number* as_number() const { return std::get_if<Number>(&data_); }
  const Array* as_array() const {
    auto* p = std::get_if<std::shared_ptr<const Array>>(&data_);
    return p ? p->get() : nullptr;
  }
  const Object* as_object() const {
    auto* p = std::get_if<std::shared_ptr<const Object>>(&data_);
    return p ? p->get() : nullptr;
  }
  const Value* find(std::string_view key) const {  // member of an object; null when absent or not an object
    const Object* o = as_object();
    return o ? o->find(key) : nullptr;
  }

 private:
  std::variant<Null, bool, std::string, Number, std::shared_ptr<const Array>, std::shared_ptr<const Object>> data_;
};

inline const Value* Value::Object::find(std::string_view key) const {
  for (const auto& [name, value] : members)
    if (name == key) return &value;
  return nullptr;
}

inline void Value::Object::set(std::string key, Value value) {
  source.reset();
  for (auto& [name, old] : members)
    if (name == key) {
      old = std::move(value);
      return;
    }
  members.emplace_back(std::move(key), std::move(value));
}

}  // namespace kvasir
