#include "engine/text/jinja/operators.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include <string.h>

#include "engine/text/jinja/format.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/unicode.h"
#include "engine/text/utf8.h"

namespace kvasir::jinja {
namespace {

const char* symbol_of(BinaryOp op) {
  switch (op) {
    case BinaryOp::add:
      return "+";
    case BinaryOp::subtract:
      return "-";
    case BinaryOp::multiply:
      return "*";
    case BinaryOp::divide:
      return "/";
    case BinaryOp::floor_divide:
      return "//";
    case BinaryOp::modulo:
      return "%";
    case BinaryOp::power:
      return "**";
  }
  return "?";
}

Val unsupported(Interpreter& in, const std::string& op, const Val& left, const Val& right) {
  return in.fail("unsupported operand types for " + op + ": '" + type_name(left) + "' and '" + type_name(right) + "'");
}

// Python rounds quotients down and gives remainders the sign of the divisor.
std::int64_t floor_quotient(std::int64_t a, std::int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

Val integer_power(Interpreter& in, std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) return in.fail("integer too large");
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) return in.fail("integer too large");
  }
  return result;
}

Val on_integers(Interpreter& in, BinaryOp op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  bool overflow = false;
  switch (op) {
    case BinaryOp::add:
      overflow = __builtin_add_overflow(a, b, &out);
      break;
    case BinaryOp::subtract:
      overflow = __builtin_sub_overflow(a, b, &out);
      break;
    case BinaryOp::multiply:
      overflow = __builtin_mul_overflow(a, b, &out);
      break;
    case BinaryOp::divide:
      return static_cast<double>(a) / static_cast<double>(b);
    case BinaryOp::floor_divide:
    case BinaryOp::modulo:
      if (b == -1) return on_integers(in, BinaryOp::multiply, a, op == BinaryOp::modulo ? 0 : -1);
      out = op == BinaryOp::modulo ? a - floor_quotient(a, b) * b : floor_quotient(a, b);
      break;
    case BinaryOp::power:
      if (b < 0) return std::pow(static_cast<double>(a), static_cast<double>(b));
      return integer_power(in, a, b);
  }
  return overflow ? in.fail("integer too large") : Val(out);
}

double on_reals(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::add:
      return a + b;
    case BinaryOp::subtract:
      return a - b;
    case BinaryOp::multiply:
      return a * b;
    case BinaryOp::divide:
      return a / b;
    case BinaryOp::floor_divide:
      return std::floor(a / b);
    case BinaryOp::modulo: {
      const double rest = std::fmod(a, b);
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
    case BinaryOp::power:
      return std::pow(a, b);
  }
  return 0;
}

Val repeat_text(Interpreter& in, const Text& text, std::int64_t times) {
  const auto n = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
  if (text.empty() || n == 0) return string_val("");
  if (n > in.limits().output_bytes_max / text.size()) return in.fail("a text that is too long");
  if (!in.charge_bytes(n * text.size())) return Undefined{};
  // Twice as much at a time.
  Text repeated = text;
  for (std::size_t copies = 1; copies < n;) {
    const std::size_t more = std::min(copies, n - copies);
    TextBuilder out;
    out.append(repeated);
    out.append(repeated, 0, more * text.size());
    repeated = out.take();
    copies += more;
  }
  repeated.set_markup(text.is_markup());
  return string_val(std::move(repeated));
}

Val repeat_list(Interpreter& in, const List& list, std::int64_t times) {
  const auto n = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
  if (list.items.empty() || n == 0) return in.list({}, list.kind);
  if (n > in.limits().steps_max / list.items.size()) return in.fail("a list that is too long");
  if (!in.charge(n * list.items.size())) return Undefined{};
  std::vector<Val> items;
  for (std::size_t i = 0; i < n; ++i) items.insert(items.end(), list.items.begin(), list.items.end());
  return in.list(std::move(items), list.kind);
}

Val add_texts(Interpreter& in, const Text& left, const Text& right) {
  if (!in.charge_bytes(left.size() + right.size())) return Undefined{};
  const bool markup = left.is_markup() || right.is_markup();
  TextBuilder out;
  out.append(markup && !left.is_markup() ? escape_html(left) : left);
  out.append(markup && !right.is_markup() ? escape_html(right) : right);
  Text sum = out.take();
  sum.set_markup(markup);
  return string_val(std::move(sum));
}

Val add_lists(Interpreter& in, const List& left, const List& right) {
  std::vector<Val> items = left.items;
  items.insert(items.end(), right.items.begin(), right.items.end());
  return in.list(std::move(items), left.kind);
}

}  // namespace

Val add(Interpreter& in, const Val& left, const Val& right) {
  if (const Text* a = as_text(left), *b = as_text(right); a && b) return add_texts(in, *a, *b);
  if (const List* a = as_list(left), *b = as_list(right); a && b && a->kind == b->kind && !is_unordered(*a))
    return add_lists(in, *a, *b);
  if (as_text(left)) return in.fail("can only concatenate str (not \"" + type_name(right) + "\") to str");
  return unsupported(in, "+", left, right);
}

Val binary(Interpreter& in, BinaryOp op, const Val& left, const Val& right) {
  if (in.failed()) return Undefined{};
  if (const Text* format = as_text(left); format && op == BinaryOp::modulo) return format_percent(in, *format, right);
  for (const Val* side : {&left, &right})
    if (const auto* missing = std::get_if<Undefined>(side)) return in.fail(message_of(*missing));
  const auto a = as_numeric(left), b = as_numeric(right);
  if (op == BinaryOp::multiply && (a || b)) {
    const Val& many = a ? right : left;
    const auto times = as_integer(a ? left : right);
    if (const Text* text = as_text(many); text && times) return repeat_text(in, *text, *times);
    if (const List* list = as_list(many); list && times) return repeat_list(in, *list, *times);
  }
  for (const Val* side : {&left, &right})
    if (std::holds_alternative<WrittenPtr>(*side) && type_name(*side) == "int") return in.fail("integer too large");
  if (!a || !b) return op == BinaryOp::add ? add(in, left, right) : unsupported(in, symbol_of(op), left, right);
  const bool divides = op == BinaryOp::divide || op == BinaryOp::floor_divide || op == BinaryOp::modulo;
  if ((divides && b->real == 0) || (op == BinaryOp::power && a->real == 0 && b->real < 0))
    return in.fail("division by zero");
  if (a->is_integer && b->is_integer) return on_integers(in, op, a->integer, b->integer);
  const double result = on_reals(op, a->real, b->real);
  if (op == BinaryOp::power && std::isinf(result) && std::isfinite(a->real)) return in.fail("number too large");
  return result;
}

bool contains(Interpreter& in, const Val& container, const Val& item) {
  if (in.failed()) return false;
  if (const Text* text = as_text(container)) {
    const Text* part = as_text(item);
    if (!part) return in.fail("'in <string>' requires string as left operand, not " + type_name(item)), false;
    return in.charge_bytes(text->size()) && find_bytes(text->bytes(), part->bytes()) != std::string_view::npos;
  }
  if (const List* list = as_list(container))
    return in.charge(list->items.size()) &&
           std::any_of(list->items.begin(), list->items.end(), [&](const Val& v) { return in.equal(v, item); });
  if (const Dict* dict = as_dict(container)) return in.find(*dict, item) != nullptr;
  if (!is_undefined(container)) in.fail("argument of type '" + type_name(container) + "' is not iterable");
  return false;
}

bool compare_with(Interpreter& in, CompareOp op, const Val& left, const Val& right) {
  if (in.failed()) return false;
  if (op == CompareOp::in) return contains(in, right, left);
  if (op == CompareOp::not_in) return !contains(in, right, left);
  if (op == CompareOp::equal) return in.equal(left, right);
  if (op == CompareOp::not_equal) return !in.equal(left, right);
  for (const Val* side : {&left, &right})
    if (const auto* missing = std::get_if<Undefined>(side)) return in.fail(message_of(*missing)), false;
  const auto order = in.compare(left, right);
  if (in.failed()) return false;
  if (!order) return unsupported(in, "a comparison", left, right), false;
  switch (op) {
    case CompareOp::less:
      return *order < 0;
    case CompareOp::less_equal:
      return *order <= 0;
    case CompareOp::greater:
      return *order > 0;
    default:
      return *order >= 0;
  }
}

std::size_t find_bytes(std::string_view text, std::string_view needle, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  return found ? static_cast<std::size_t>(static_cast<const char*>(found) - text.data()) : std::string_view::npos;
}

std::size_t rfind_bytes(std::string_view text, std::string_view needle) {
  constexpr std::size_t kShort = 16;
  if (needle.size() <= kShort || needle.size() > text.size()) return text.rfind(needle);
  // From the right, after Knuth, Morris and Pratt: no text is slow.
  const std::size_t n = needle.size();
  const auto at_back = [&](std::size_t i) { return needle[n - 1 - i]; };
  std::vector<std::size_t> fallback(n, 0);
  for (std::size_t i = 1, k = 0; i < n; ++i) {
    while (k > 0 && at_back(i) != at_back(k)) k = fallback[k - 1];
    k += at_back(i) == at_back(k);
    fallback[i] = k;
  }
  for (std::size_t i = text.size(), k = 0; i-- > 0;) {
    while (k > 0 && text[i] != at_back(k)) k = fallback[k - 1];
    k += text[i] == at_back(k);
    if (k == n) return i;
  }
  return std::string_view::npos;
}

Val number_from_text(const std::string& text) {
  const char* end = text.data() + text.size();
  std::int64_t integer = 0;
  if (const auto [stop, ec] = std::from_chars(text.data(), end, integer);
      ec == std::errc() && stop == end && std::to_string(integer) == text)
    return integer;
  const double real = std::strtod(text.c_str(), nullptr);
  const bool is_integer = text.find_first_of(".eE") == std::string::npos;
  if (!is_integer && format_real(real) == text) return real;
  return std::make_shared<const WrittenNumber>(WrittenNumber{text, real, is_integer});
}

}  // namespace kvasir::jinja
