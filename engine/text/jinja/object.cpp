#include "engine/text/jinja/object.h"

#include <algorithm>

#include "engine/text/jinja/interpreter.h"

namespace kvasir::jinja {

std::optional<Val> FunctionObject::attribute(Interpreter&, std::string_view name) {
  if (!attribute_ || name != attribute_name_) return std::nullopt;
  return ObjectPtr(std::make_shared<FunctionObject>(attribute_));
}

std::optional<Val> Namespace::attribute(Interpreter&, std::string_view name) {
  for (const auto& [key, value] : attributes_)
    if (key == name) return value;
  return std::nullopt;
}

void Namespace::set(std::string_view name, Val value) {
  for (auto& [key, old] : attributes_)
    if (key == name) {
      old = std::move(value);
      return;
    }
  attributes_.emplace_back(name, std::move(value));
}

Params::Params(Interpreter& in, std::string_view callee, CallArgs& args, std::initializer_list<std::string_view> names,
               std::size_t required)
    : in_(in), callee_(callee), values_(names.size()) {
  const auto refuse = [&](const std::string& what) {
    in.fail(std::string(callee) + ": " + what);
    ok_ = false;
  };
  if (args.positional.size() > names.size()) {
    refuse(std::to_string(args.positional.size()) + " arguments, at most " + std::to_string(names.size()));
    return;
  }
  std::move(args.positional.begin(), args.positional.end(), values_.begin());
  for (auto& [name, value] : args.named) {
    const auto place = static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
    if (place == names.size()) {
      refuse("no argument '" + name + "'");
    } else if (values_[place]) {
      refuse("two values for '" + name + "'");
    } else {
      values_[place] = std::move(value);
    }
  }
  for (std::size_t i = 0; i < required; ++i)
    if (!values_[i]) refuse("no value for '" + std::string(names.begin()[i]) + "'");
}

std::int64_t Params::integer(std::size_t i, std::int64_t otherwise) {
  if (!values_[i]) return otherwise;
  if (const auto value = as_integer(*values_[i])) return *value;
  in_.fail(std::string(callee_) + ": expected an integer, not " + type_name(*values_[i]));
  ok_ = false;
  return otherwise;
}

}  // namespace kvasir::jinja
