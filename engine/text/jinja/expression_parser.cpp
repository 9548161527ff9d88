#include <charconv>
#include <cstdlib>
#include <utility>

#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/parser.h"

namespace kvasir::jinja {

ExprPtr Parser::conditional() {
  Nesting nesting(*this);
  if (failed()) return make<ConstantExpr>();
  ExprPtr value = logical(false);
  while (skip_name("if")) {
    auto node = make<ConditionalExpr>();
    ++soft_;
    node->then = adopt(*node, std::move(value));
    node->condition = adopt(*node, logical(false));
    if (skip_name("else")) node->otherwise = adopt(*node, conditional());
    --soft_;
    value = std::move(node);
  }
  return value;
}

ExprPtr Parser::logical(bool is_and) {
  const auto operand = [&] { return is_and ? negation() : logical(true); };
  ExprPtr left = operand();
  while (skip_name(is_and ? "and" : "or")) {
    auto node = make<LogicExpr>();
    node->is_and = is_and;
    node->left = adopt(*node, std::move(left));
    node->right = adopt(*node, operand());
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::negation() {
  if (!at_name("not")) return comparison();
  Nesting nesting(*this);
  auto node = make<UnaryExpr>();
  next();
  node->op = UnaryExpr::Op::invert;
  node->operand = adopt(*node, failed() ? make<ConstantExpr>() : negation());
  return node;
}

std::optional<CompareOp> Parser::compare_op() {
  static constexpr std::pair<std::string_view, CompareOp> kOps[] = {
      {"==", CompareOp::equal},      {"!=", CompareOp::not_equal}, {"<", CompareOp::less},
      {"<=", CompareOp::less_equal}, {">", CompareOp::greater},    {">=", CompareOp::greater_equal}};
  for (const auto& [text, op] : kOps)
    if (skip_op(text)) return op;
  if (skip_name("in")) return CompareOp::in;
  if (at_name("not") && peek(1).kind == Token::Kind::name && peek(1).text == "in") {
    next();
    next();
    return CompareOp::not_in;
  }
  return std::nullopt;
}

ExprPtr Parser::comparison() {
  ExprPtr first = sum();
  auto node = make<CompareExpr>();
  while (const auto op = compare_op()) node->rest.emplace_back(*op, adopt(*node, sum()));
  if (node->rest.empty()) return first;
  node->first = adopt(*node, std::move(first));
  return node;
}

ExprPtr Parser::sum() {
  ExprPtr left = concatenation();
  while (at_op("+") || at_op("-")) {
    auto node = make<BinaryExpr>();
    node->op = next().text == "+" ? BinaryOp::add : BinaryOp::subtract;
    node->left = adopt(*node, std::move(left));
    node->right = adopt(*node, concatenation());
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::concatenation() {
  ExprPtr first = product();
  if (!at_op("~")) return first;
  auto node = make<ConcatExpr>();
  node->parts.push_back(adopt(*node, std::move(first)));
  while (skip_op("~")) node->parts.push_back(adopt(*node, product()));
  return node;
}

ExprPtr Parser::product() {
  static constexpr std::pair<std::string_view, BinaryOp> kOps[] = {
      {"*", BinaryOp::multiply}, {"/", BinaryOp::divide}, {"//", BinaryOp::floor_divide}, {"%", BinaryOp::modulo}};
  ExprPtr left = power();
  for (bool more = true; more;) {
    more = false;
    for (const auto& [text, op] : kOps) {
      if (!at_op(text)) continue;
      auto node = make<BinaryExpr>();
      next();
      node->op = op;
      node->left = adopt(*node, std::move(left));
      node->right = adopt(*node, power());
      left = std::move(node);
      more = true;
      break;
    }
  }
  return left;
}

ExprPtr Parser::power() {
  ExprPtr left = unary();
  while (at_op("**")) {
    auto node = make<BinaryExpr>();
    next();
    node->op = BinaryOp::power;
    node->left = adopt(*node, std::move(left));
    node->right = adopt(*node, unary());
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::unary(bool with_filters) {
  Nesting nesting(*this);
  if (failed()) return make<ConstantExpr>();
  ExprPtr value;
  if (at_op("-") || at_op("+")) {
    auto node = make<UnaryExpr>();
    node->op = next().text == "-" ? UnaryExpr::Op::negate : UnaryExpr::Op::plus;
    node->operand = adopt(*node, unary(false));
    value = std::move(node);
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  return with_filters ? filters_and_tests(std::move(value)) : std::move(value);
}

ExprPtr Parser::primary() {
  switch (peek().kind) {
    case Token::Kind::name:
      return name_or_constant();
    case Token::Kind::string:
      return string();
    case Token::Kind::integer:
    case Token::Kind::real:
      return number();
    default:
      break;
  }
  if (at_op("(")) return parenthesized();
  if (at_op("[")) return list();
  if (at_op("{")) return dict();
  fail("expected an expression");
  return make<ConstantExpr>();
}

ExprPtr Parser::name_or_constant() {
  auto constant = make<ConstantExpr>();
  auto node = make<NameExpr>();
  const std::string name = next().text;
  if (name == "true" || name == "True") {
    constant->value = true;
  } else if (name == "false" || name == "False") {
    constant->value = false;
  } else if (name == "none" || name == "None") {
    constant->value = None{};
  } else {
    node->symbol = program_->symbols.intern(name);
    if (!macros_.empty()) {
      MacroDecl& macro = *macros_.back();
      macro.uses_caller |= name == "caller";
      macro.uses_varargs |= name == "varargs";
      macro.uses_kwargs |= name == "kwargs";
    }
    return node;
  }
  return constant;
}

ExprPtr Parser::number() {
  auto node = make<ConstantExpr>();
  const Token token = next();
  const std::string& text = token.text;
  if (token.kind == Token::Kind::real) {
    node->value = std::strtod(text.c_str(), nullptr);
    return node;
  }
  const char prefix = text.size() > 2 ? static_cast<char>(text[1] | 0x20) : '0';
  const int base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
  const char* begin = text.c_str() + (base == 10 ? 0 : 2);
  const char* end = text.c_str() + text.size();
  std::int64_t value = 0;
  const auto [stop, ec] = std::from_chars(begin, end, value, base);
  if (ec == std::errc::result_out_of_range && base == 10) {
    node->value = std::make_shared<const WrittenNumber>(WrittenNumber{text, std::strtod(begin, nullptr), true});
  } else if (ec != std::errc() || stop != end) {
    fail("broken number '" + text + "'");
  } else {
    node->value = value;
  }
  return node;
}

ExprPtr Parser::string() {
  auto node = make<ConstantExpr>();
  std::string text;
  while (peek().kind == Token::Kind::string) text += next().text;
  node->value = string_val(Text(std::move(text), true));
  return node;
}

ExprPtr Parser::parenthesized() {
  auto empty = make<ListExpr>();
  next();
  if (skip_op(")")) {
    empty->kind = List::Kind::tuple;
    return empty;
  }
  ExprPtr inner = tuple(true);
  expect_op(")");
  return inner;
}

ExprPtr Parser::list() {
  auto node = make<ListExpr>();
  next();
  while (!failed() && !at_op("]")) {
    if (!node->items.empty()) {
      expect_op(",");
      if (at_op("]")) break;
    }
    node->items.push_back(adopt(*node, expression()));
  }
  expect_op("]");
  return node;
}

ExprPtr Parser::dict() {
  auto node = make<DictExpr>();
  next();
  while (!failed() && !at_op("}")) {
    if (!node->entries.empty()) {
      expect_op(",");
      if (at_op("}")) break;
    }
    ExprPtr key = adopt(*node, expression());
    expect_op(":");
    ExprPtr value = adopt(*node, expression());
    node->entries.emplace_back(std::move(key), std::move(value));
  }
  expect_op("}");
  return node;
}

ExprPtr Parser::postfix(ExprPtr subject) {
  while (!failed()) {
    if (at_op(".")) {
      subject = attribute(std::move(subject));
    } else if (at_op("[")) {
      subject = subscript(std::move(subject));
    } else if (at_op("(")) {
      subject = call(std::move(subject));
    } else {
      break;
    }
  }
  return subject;
}

ExprPtr Parser::filters_and_tests(ExprPtr subject) {
  while (!failed()) {
    if (skip_op("|")) {
      auto node = filter();
      node->subject = adopt(*node, std::move(subject));
      subject = std::move(node);
    } else if (at_name("is")) {
      subject = test(std::move(subject));
    } else if (at_op("(")) {
      subject = call(std::move(subject));
    } else {
      break;
    }
  }
  return subject;
}

ExprPtr Parser::attribute(ExprPtr subject) {
  auto by_name = make<AttributeExpr>();
  auto by_index = make<SubscriptExpr>();
  next();
  if (peek().kind == Token::Kind::integer) {
    by_index->subject = adopt(*by_index, std::move(subject));
    by_index->key = number();
    return by_index;
  }
  by_name->subject = adopt(*by_name, std::move(subject));
  by_name->name = expect_name("an attribute");
  return by_name;
}

ExprPtr Parser::subscript(ExprPtr subject) {
  auto slice = make<SliceExpr>();
  auto item = make<SubscriptExpr>();
  next();
  ExprPtr parts[3];
  std::size_t colons = 0;
  while (!failed() && !at_op("]") && colons < 3) {
    if (skip_op(":")) {
      ++colons;
    } else if (parts[colons]) {
      break;
    } else {
      parts[colons] = colons == 0 ? tuple(true) : expression();
    }
  }
  expect_op("]");
  if (colons == 0) {
    if (!parts[0]) fail("expected a key");
    item->subject = adopt(*item, std::move(subject));
    item->key = adopt(*item, std::move(parts[0]));
    return item;
  }
  if (colons > 2) fail("a slice has at most three parts");
  slice->subject = adopt(*slice, std::move(subject));
  slice->from = adopt(*slice, std::move(parts[0]));
  slice->to = adopt(*slice, std::move(parts[1]));
  slice->step = adopt(*slice, std::move(parts[2]));
  return slice;
}

ExprPtr Parser::call(ExprPtr callee) {
  auto node = make<CallExpr>();
  node->callee = adopt(*node, std::move(callee));
  node->arguments = arguments();
  adopt_arguments(node->height, node->arguments);
  return node;
}

Arguments Parser::arguments() {
  Arguments out;
  expect_op("(");
  for (bool first = true; !failed() && !at_op(")"); first = false) {
    if (!first) {
      expect_op(",");
      if (at_op(")")) break;
    }
    if (skip_op("**")) {
      out.star_star = expression();
    } else if (skip_op("*")) {
      out.star = expression();
    } else if (peek().kind == Token::Kind::name && peek(1).kind == Token::Kind::op && peek(1).text == "=") {
      std::string name = next().text;
      next();
      out.named.emplace_back(std::move(name), expression());
    } else {
      if (!out.named.empty() || out.star_star) fail("a positional argument after named ones");
      out.positional.push_back(expression());
    }
  }
  expect_op(")");
  return out;
}

std::unique_ptr<FilterExpr> Parser::filter() {
  auto node = make<FilterExpr>();
  node->name = expect_name("the name of a filter");
  while (skip_op(".")) node->name += '.' + expect_name("the name of a filter");
  node->function = find_filter(node->name);
  if (!node->function && soft_ == 0 && !error_)
    error_ = error(ErrorCode::unsupported,
                   "template line " + std::to_string(node->line) + ": no filter named '" + node->name + "'");
  if (at_op("(")) node->arguments = arguments();
  adopt_arguments(node->height, node->arguments);
  return node;
}

ExprPtr Parser::test(ExprPtr subject) {
  auto node = make<TestExpr>();
  auto inverted = make<UnaryExpr>();
  next();  // is
  const bool negated = skip_name("not");
  node->subject = adopt(*node, std::move(subject));
  node->name = expect_name("the name of a test");
  while (skip_op(".")) node->name += '.' + expect_name("the name of a test");
  node->function = find_test(node->name);
  if (!node->function && soft_ == 0 && !error_)
    error_ = error(ErrorCode::unsupported,
                   "template line " + std::to_string(node->line) + ": no test named '" + node->name + "'");
  const auto kind = peek().kind;
  const bool is_value = kind == Token::Kind::string || kind == Token::Kind::integer || kind == Token::Kind::real ||
                        at_op("[") || at_op("{") ||
                        (kind == Token::Kind::name && !at_name("else") && !at_name("or") && !at_name("and"));
  if (at_op("(")) {
    node->arguments = arguments();
  } else if (at_name("is")) {
    fail("tests cannot be chained with 'is'");
  } else if (is_value && !at_name("if") && !at_name("in") && !at_name("not") && !at_name("recursive")) {
    node->arguments.positional.push_back(postfix(primary()));
  }
  adopt_arguments(node->height, node->arguments);
  if (!negated) return node;
  inverted->op = UnaryExpr::Op::invert;
  inverted->operand = adopt(*inverted, std::move(node));
  return inverted;
}

ExprPtr Parser::tuple(bool with_condition, std::string_view stop_name) {
  const auto item = [&] { return with_condition ? conditional() : logical(false); };
  const auto ended = [&] {
    return at_end_of_tag() || at_op(")") || at_op("]") || at_op("=") || (!stop_name.empty() && at_name(stop_name));
  };
  Nesting nesting(*this);
  if (failed()) return make<ConstantExpr>();
  ExprPtr first = item();
  if (!at_op(",")) return first;
  auto node = make<ListExpr>();
  node->kind = List::Kind::tuple;
  node->items.push_back(adopt(*node, std::move(first)));
  while (skip_op(",") && !ended()) node->items.push_back(adopt(*node, item()));
  return node;
}

}  // namespace kvasir::jinja
