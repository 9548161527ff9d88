#include "engine/text/jinja/macro.h"

#include <algorithm>
#include <utility>

namespace kvasir::jinja {
namespace {

// Gives parameters their values in the current scope.
class Binder {
 public:
  Binder(Interpreter& in, const MacroDecl& macro, CallArgs args) : in_(in), macro_(macro), args_(std::move(args)) {}

  bool bind() {
    for (std::size_t i = 0; i < macro_.parameters.size() && !in_.failed(); ++i) bind_parameter(i);
    bind_rest();
    return !in_.failed();
  }

 private:
  void bind_parameter(std::size_t i) {
    const Symbol symbol = macro_.parameters[i];
    const std::string& name = in_.name_of(symbol);
    const auto named =
        std::find_if(args_.named.begin(), args_.named.end(), [&](const auto& a) { return a.first == name; });
    Val value;
    if (i < args_.positional.size()) {
      if (named != args_.named.end()) in_.fail("macro '" + macro_.name + "' got two values for '" + name + "'");
      value = args_.positional[i];
    } else if (named != args_.named.end()) {
      value = std::move(named->second);
      args_.named.erase(named);
    } else if (const std::size_t first = macro_.parameters.size() - macro_.defaults.size(); i >= first) {
      value = in_.eval(*macro_.defaults[i - first]);
    } else {
      value = undefined_val("parameter '" + name + "' was not provided");
    }
    in_.scope()->set(symbol, std::move(value));
  }

  void bind_rest() {
    const auto caller =
        std::find_if(args_.named.begin(), args_.named.end(), [](const auto& a) { return a.first == "caller"; });
    if (macro_.uses_caller) {
      in_.scope()->set(macro_.caller,
                       caller == args_.named.end() ? undefined_val("no caller defined") : caller->second);
      if (caller != args_.named.end()) args_.named.erase(caller);
    }
    if (macro_.uses_kwargs) {
      Dict kwargs;
      for (auto& [name, value] : args_.named) kwargs.set(string_val(name), value);
      in_.scope()->set(macro_.kwargs, in_.dict(std::move(kwargs)));
    } else if (!args_.named.empty()) {
      in_.fail("macro '" + macro_.name + "' takes no argument '" + args_.named.front().first + "'");
    }
    const std::size_t surplus = std::max(args_.positional.size(), macro_.parameters.size()) - macro_.parameters.size();
    if (macro_.uses_varargs) {
      std::vector<Val> rest(args_.positional.end() - static_cast<std::ptrdiff_t>(surplus), args_.positional.end());
      in_.scope()->set(macro_.varargs, in_.list(std::move(rest), List::Kind::tuple));
    } else if (surplus != 0) {
      in_.fail("macro '" + macro_.name + "' takes not more than " + std::to_string(macro_.parameters.size()) +
               " arguments");
    }
  }

  Interpreter& in_;
  const MacroDecl& macro_;
  CallArgs args_;
};

}  // namespace

Val Interpreter::call_macro(const MacroDecl& macro, Scope* defined_in, CallArgs args) {
  const Level level(*this);
  if (++calls_ > limits_.depth_max) fail("more than " + std::to_string(limits_.depth_max) + " macros in each other");
  Val printed;
  if (!failed())
    printed = capture([&] {
      in_scope(defined_in, [&] { return Binder(*this, macro, std::move(args)).bind() ? run(macro.body) : Flow::next; });
    });
  --calls_;
  return printed;
}

std::optional<Val> Macro::attribute(Interpreter& in, std::string_view name) {
  if (name == "name") return string_val(declaration_.name);
  if (name != "arguments") return std::nullopt;
  std::vector<Val> names;
  for (const Symbol symbol : declaration_.parameters) names.push_back(string_val(in.name_of(symbol)));
  return in.list(std::move(names), List::Kind::tuple);
}

}  // namespace kvasir::jinja
