#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/jinja/value.h"

namespace kvasir::jinja {

class Interpreter;

struct CallArgs {
  std::vector<Val> positional;
  std::vector<std::pair<std::string, Val>> named;
};

// What has behaviour or changes: functions, macros, loops, namespaces. Lives within one rendering.
class Object : public std::enable_shared_from_this<Object> {
 public:
  virtual ~Object() = default;
  virtual std::string type_name() const = 0;
  virtual bool is_callable() const { return false; }
  virtual std::uint32_t depth() const { return 0; }  // as depth_of()
  // REQUIRES: is_callable().
  virtual Val call(Interpreter&, CallArgs) { return Undefined{}; }
  // The attribute, or nothing where there is none.
  virtual std::optional<Val> attribute(Interpreter&, std::string_view) { return std::nullopt; }
};

using Function = Val (*)(Interpreter& in, CallArgs& args);

// A global function; dict has a function of its own as an attribute.
class FunctionObject final : public Object {
 public:
  explicit FunctionObject(Function function, std::string_view attribute_name = {}, Function its_attribute = nullptr)
      : function_(function), attribute_name_(attribute_name), attribute_(its_attribute) {}
  std::string type_name() const override { return "function"; }
  bool is_callable() const override { return true; }
  Val call(Interpreter& in, CallArgs args) override { return function_(in, args); }
  std::optional<Val> attribute(Interpreter&, std::string_view name) override;

 private:
  Function function_;
  std::string_view attribute_name_;
  Function attribute_;
};

using Method = Val (*)(Interpreter& in, const Val& self, CallArgs& args);

// `self.name`, before it is called.
class BoundMethod final : public Object {
 public:
  BoundMethod(Val self, Method method) : self_(std::move(self)), method_(method) {}
  std::string type_name() const override { return "builtin_function_or_method"; }
  bool is_callable() const override { return true; }
  std::uint32_t depth() const override { return 1 + depth_of(self_); }
  Val call(Interpreter& in, CallArgs args) override { return method_(in, self_, args); }

 private:
  Val self_;
  Method method_;
};

// namespace(...): the one thing that a template may change.
class Namespace final : public Object {
 public:
  std::string type_name() const override { return "Namespace"; }
  std::optional<Val> attribute(Interpreter&, std::string_view name) override;
  void set(std::string_view name, Val value);
  void clear() { attributes_.clear(); }

 private:
  std::vector<std::pair<std::string, Val>> attributes_;
};

// Arguments of a call by parameter: named ones go to their place. Fails the rendering on unknown, repeated, missing or
// surplus arguments.
class Params {
 public:
  Params(Interpreter& in, std::string_view callee, CallArgs& args, std::initializer_list<std::string_view> names,
         std::size_t required = 0);
  bool ok() const { return ok_; }
  const Val* operator[](std::size_t i) const { return values_[i] ? &*values_[i] : nullptr; }  // null: not given
  // Given and not none.
  const Val* some(std::size_t i) const { return values_[i] && !is_none(*values_[i]) ? &*values_[i] : nullptr; }
  bool flag(std::size_t i, bool otherwise = false) const { return values_[i] ? truthy(*values_[i]) : otherwise; }
  // Fails the rendering when it is not an integer.
  std::int64_t integer(std::size_t i, std::int64_t otherwise);

 private:
  Interpreter& in_;
  std::string_view callee_;
  std::vector<std::optional<Val>> values_;
  bool ok_ = true;
};

}  // namespace kvasir::jinja
