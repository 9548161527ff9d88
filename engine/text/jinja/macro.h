#pragma once

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/interpreter.h"

namespace kvasir::jinja {

// A macro as a value, or the body of a {% call %} block. `defined_in` lives as long as the rendering.
class Macro final : public Object {
 public:
  Macro(const MacroDecl& declaration, Scope* defined_in) : declaration_(declaration), defined_in_(defined_in) {}
  std::string type_name() const override { return "Macro"; }
  bool is_callable() const override { return true; }
  Val call(Interpreter& in, CallArgs args) override {
    return in.call_macro(declaration_, defined_in_, std::move(args));
  }
  std::optional<Val> attribute(Interpreter& in, std::string_view name) override;

 private:
  const MacroDecl& declaration_;
  Scope* defined_in_;
};

}  // namespace kvasir::jinja
