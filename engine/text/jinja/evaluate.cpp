#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/operators.h"

namespace kvasir::jinja {

Val ConstantExpr::evaluate(Interpreter&) const { return value; }

Val NameExpr::evaluate(Interpreter& in) const { return in.lookup(symbol); }

Val ListExpr::evaluate(Interpreter& in) const { return in.list(in.eval_all(items), kind); }

Val DictExpr::evaluate(Interpreter& in) const {
  Dict dict;
  for (const auto& [key, value] : entries) {
    Val name = in.eval(*key);
    in.set(dict, std::move(name), in.eval(*value));
  }
  return in.dict(std::move(dict));
}

Val AttributeExpr::evaluate(Interpreter& in) const { return in.attribute_of(in.eval(*subject), name); }

Val SubscriptExpr::evaluate(Interpreter& in) const {
  const Val value = in.eval(*subject);
  return in.item_of(value, in.eval(*key));
}

Val SliceExpr::evaluate(Interpreter& in) const {
  const Val value = in.eval(*subject);
  const Val bounds[] = {from ? in.eval(*from) : None{}, to ? in.eval(*to) : None{}, step ? in.eval(*step) : None{}};
  return slice(in, value, bounds[0], bounds[1], bounds[2]);
}

Val CallExpr::evaluate(Interpreter& in) const {
  const Val value = in.eval(*callee);
  if (const auto* missing = std::get_if<Undefined>(&value); missing) return in.fail(message_of(*missing));
  return in.call(value, in.eval_arguments(arguments));
}

Val FilterExpr::evaluate(Interpreter& in) const { return apply(in, in.eval(*subject)); }

Val FilterExpr::apply(Interpreter& in, const Val& value) const {
  if (in.failed()) return Undefined{};
  if (!function) return in.fail("no filter named '" + name + "'");
  CallArgs args = in.eval_arguments(arguments);
  return in.failed() ? Val() : function(in, value, args);
}

Val TestExpr::evaluate(Interpreter& in) const {
  const Val value = in.eval(*subject);
  if (in.failed()) return Undefined{};
  if (!function) return in.fail("no test named '" + name + "'");
  CallArgs args = in.eval_arguments(arguments);
  return in.failed() ? Val() : Val(function(in, value, args));
}

Val BinaryExpr::evaluate(Interpreter& in) const {
  const Val a = in.eval(*left);
  return binary(in, op, a, in.eval(*right));
}

Val ConcatExpr::evaluate(Interpreter& in) const {
  TextBuilder out;
  for (const ExprPtr& part : parts) {
    const Val value = in.eval(*part);
    if (in.failed()) return Undefined{};
    append_text(in, out, value);
    if (!in.charge_bytes(out.size())) return Undefined{};
  }
  return string_val(out.take());
}

Val UnaryExpr::evaluate(Interpreter& in) const {
  const Val value = in.eval(*operand);
  if (in.failed()) return Undefined{};
  if (op == Op::invert) return !truthy(value);
  if (const auto* missing = std::get_if<Undefined>(&value)) return in.fail(message_of(*missing));
  const auto number = as_numeric(value);
  if (!number) return in.fail("bad operand type for a sign: '" + type_name(value) + "'");
  if (std::holds_alternative<double>(value)) return op == Op::negate ? -number->real : number->real;
  return binary(in, op == Op::negate ? BinaryOp::subtract : BinaryOp::add, std::int64_t{0}, value);
}

Val LogicExpr::evaluate(Interpreter& in) const {
  Val value = in.eval(*left);
  return truthy(value) == is_and ? in.eval(*right) : value;
}

Val CompareExpr::evaluate(Interpreter& in) const {
  Val left = in.eval(*first);
  for (const auto& [op, expr] : rest) {
    Val right = in.eval(*expr);
    if (in.failed()) return Undefined{};
    if (!compare_with(in, op, left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Val ConditionalExpr::evaluate(Interpreter& in) const {
  if (truthy(in.eval(*condition))) return in.eval(*then);
  if (otherwise) return in.eval(*otherwise);
  return undefined_val("the inline if-expression evaluated to false and no else section was defined");
}

}  // namespace kvasir::jinja
