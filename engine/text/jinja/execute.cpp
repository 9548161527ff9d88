#include <algorithm>
#include <utility>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/loop.h"
#include "engine/text/jinja/macro.h"

namespace kvasir::jinja {

Flow TextStmt::execute(Interpreter& in) const {
  in.print(text);
  return Flow::next;
}

Flow PrintStmt::execute(Interpreter& in) const {
  in.print(in.eval(*value));
  return Flow::next;
}

Flow IfStmt::execute(Interpreter& in) const {
  for (const auto& [condition, body] : branches)
    if (truthy(in.eval(*condition))) return in.run(body);
  return in.failed() ? Flow::next : in.run(otherwise);
}

Flow ForStmt::execute(Interpreter& in) const {
  run_loop(in, *this, in.eval(*iterable), 0);
  return Flow::next;
}

Flow SetStmt::execute(Interpreter& in) const {
  in.assign(target, in.eval(*value));
  return Flow::next;
}

namespace {

// What a block prints, in a scope of its own, through filters.
Val filtered_block(Interpreter& in, const Block& body, const std::vector<std::unique_ptr<const FilterExpr>>& filters) {
  Val value = in.capture([&] { in.in_scope(in.scope(), [&] { return in.run(body); }); });
  for (const auto& filter : filters) value = filter->apply(in, value);
  return value;
}

}  // namespace

Flow SetBlockStmt::execute(Interpreter& in) const {
  in.assign(target, filtered_block(in, body, filters));
  return Flow::next;
}

Flow FilterBlockStmt::execute(Interpreter& in) const {
  const Val value = filtered_block(in, body, filters);
  if (!as_text(value)) in.fail("the filters of a {% filter %} must give text, not " + type_name(value));
  in.print(value);
  return Flow::next;
}

Flow WithStmt::execute(Interpreter& in) const {
  std::vector<Val> values;
  for (const auto& [target, value] : assignments) values.push_back(in.eval(*value));
  return in.in_scope(in.scope(), [&] {
    for (std::size_t i = 0; i < values.size(); ++i) in.assign(assignments[i].first, values[i]);
    return in.run(body);
  });
}

Flow MacroStmt::execute(Interpreter& in) const {
  in.capture_scope();
  in.scope()->set(symbol, ObjectPtr(std::make_shared<Macro>(macro, in.scope())));
  return Flow::next;
}

Flow CallBlockStmt::execute(Interpreter& in) const {
  in.capture_scope();
  const Val callee = in.eval(*call->callee);
  CallArgs args = in.eval_arguments(call->arguments);
  args.named.emplace_back("caller", ObjectPtr(std::make_shared<Macro>(caller, in.scope())));
  in.print(in.call(callee, std::move(args)));
  return Flow::next;
}

Flow BlockStmt::execute(Interpreter& in) const {
  return in.in_scope(scoped ? in.scope() : in.top_scope(), [&] { return in.run(body); });
}

Flow ScopeStmt::execute(Interpreter& in) const {
  return in.in_scope(in.scope(), [&] { return in.run(body); });
}

}  // namespace kvasir::jinja
