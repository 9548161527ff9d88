#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/unicode.h"

namespace kvasir::jinja {
namespace {

template <bool (*is)(const Val&)>
bool plain(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "test", args, {});
  return params.ok() && is(subject);
}

bool is_defined(const Val& v) { return !is_undefined(v); }
bool is_boolean(const Val& v) { return std::holds_alternative<bool>(v); }
bool is_true(const Val& v) { return is_boolean(v) && std::get<bool>(v); }
bool is_false(const Val& v) { return is_boolean(v) && !std::get<bool>(v); }
bool is_written(const Val& v, bool integer) {
  const auto* number = std::get_if<WrittenPtr>(&v);
  return number && (*number)->is_integer == integer;
}
bool is_integer(const Val& v) { return std::holds_alternative<std::int64_t>(v) || is_written(v, true); }
bool is_float(const Val& v) { return std::holds_alternative<double>(v) || is_written(v, false); }
bool is_number(const Val& v) { return is_integer(v) || is_float(v) || is_boolean(v); }
bool is_string(const Val& v) { return as_text(v) != nullptr; }
bool is_mapping(const Val& v) { return as_dict(v) != nullptr; }
bool is_sequence(const Val& v) {
  return is_string(v) || is_mapping(v) || is_undefined(v) || (as_list(v) && !is_unordered(*as_list(v)));
}
bool is_iterable(const Val& v) { return is_string(v) || is_mapping(v) || is_undefined(v) || as_list(v); }
bool is_callable(const Val& v) { return (as_object(v) && as_object(v)->is_callable()) || is_undefined(v); }
bool is_escaped(const Val& v) { return is_string(v) && as_text(v)->is_markup(); }

template <bool (*is)(std::string_view)>
bool has_case(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "test", args, {});
  const Text text = to_text(in, subject);
  return params.ok() && in.charge_bytes(text.size()) && is(text.bytes());
}

template <CompareOp op>
bool comparison(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "test", args, {"other"}, 1);
  return params.ok() && compare_with(in, op, subject, *params[0]);
}

// The remainder of a division, or nothing after a failure.
std::optional<double> remainder(Interpreter& in, const Val& subject, std::int64_t by) {
  const auto number = as_numeric(binary(in, BinaryOp::modulo, subject, by));
  if (!number) in.fail("this test needs a number, not " + type_name(subject));
  return number ? std::optional(number->real) : std::nullopt;
}

template <std::int64_t wanted>
bool parity(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "test", args, {});
  return params.ok() && remainder(in, subject, 2) == double{wanted};
}

bool divisibleby(Interpreter& in, const Val& subject, CallArgs& args) {
  Params params(in, "test 'divisibleby'", args, {"num"}, 1);
  const std::int64_t by = params.integer(0, 1);
  return !in.failed() && remainder(in, subject, by) == 0.0;
}

// Python's `is`: one object, or small constants that are always one.
bool sameas(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "test 'sameas'", args, {"other"}, 1);
  if (!params.ok() || subject.index() != params[0]->index()) return false;
  if (const auto* list = std::get_if<ListPtr>(&subject)) return *list == std::get<ListPtr>(*params[0]);
  if (const auto* dict = std::get_if<DictPtr>(&subject)) return *dict == std::get<DictPtr>(*params[0]);
  return in.equal(subject, *params[0]);
}

bool is_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "test 'filter'", args, {});
  return params.ok() && as_text(subject) && find_filter(as_text(subject)->bytes());
}

bool is_test(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "test 'test'", args, {});
  return params.ok() && as_text(subject) && find_test(as_text(subject)->bytes());
}

struct Row {
  std::string_view name;
  TestFunction function;
};

constexpr Row kRows[] = {
    {"boolean", plain<is_boolean>},
    {"callable", plain<is_callable>},
    {"defined", plain<is_defined>},
    {"divisibleby", divisibleby},
    {"eq", comparison<CompareOp::equal>},
    {"equalto", comparison<CompareOp::equal>},
    {"==", comparison<CompareOp::equal>},
    {"escaped", plain<is_escaped>},
    {"even", parity<0>},
    {"false", plain<is_false>},
    {"filter", is_filter},
    {"float", plain<is_float>},
    {"ge", comparison<CompareOp::greater_equal>},
    {">=", comparison<CompareOp::greater_equal>},
    {"gt", comparison<CompareOp::greater>},
    {"greaterthan", comparison<CompareOp::greater>},
    {">", comparison<CompareOp::greater>},
    {"in", comparison<CompareOp::in>},
    {"integer", plain<is_integer>},
    {"iterable", plain<is_iterable>},
    {"le", comparison<CompareOp::less_equal>},
    {"<=", comparison<CompareOp::less_equal>},
    {"lessthan", comparison<CompareOp::less>},
    {"lower", has_case<is_lower_text>},
    {"lt", comparison<CompareOp::less>},
    {"<", comparison<CompareOp::less>},
    {"mapping", plain<is_mapping>},
    {"ne", comparison<CompareOp::not_equal>},
    {"!=", comparison<CompareOp::not_equal>},
    {"none", plain<is_none>},
    {"number", plain<is_number>},
    {"odd", parity<1>},
    {"sameas", sameas},
    {"sequence", plain<is_sequence>},
    {"string", plain<is_string>},
    {"test", is_test},
    {"true", plain<is_true>},
    {"undefined", plain<is_undefined>},
    {"upper", has_case<is_upper_text>},
};

}  // namespace

TestFunction find_test(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return row.function;
  return nullptr;
}

}  // namespace kvasir::jinja
