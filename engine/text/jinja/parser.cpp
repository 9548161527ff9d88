#include "engine/text/jinja/parser.h"

#include <utility>

#include "storage/base/assert.h"

namespace kvasir::jinja {

Symbol Symbols::intern(std::string_view name) {
  const auto [it, fresh] = ids_.try_emplace(std::string(name), static_cast<Symbol>(names_.size()));
  if (fresh) names_.emplace_back(name);
  return it->second;
}

const Symbol* Symbols::find(std::string_view name) const {
  const auto it = ids_.find(std::string(name));
  return it == ids_.end() ? nullptr : &it->second;
}

const BlockStmt* Program::find_block(std::string_view name) const {
  for (const BlockStmt* block : blocks)
    if (block->name == name) return block;
  return nullptr;
}

Parser::Parser(std::vector<Token> tokens, std::uint32_t depth_max) : tokens_(std::move(tokens)), depth_max_(depth_max) {
  KVASIR_ASSERT(!tokens_.empty() && tokens_.back().kind == Token::Kind::end);
}

Result<std::unique_ptr<const Program>> Parser::run() {
  program_->body = block({});
  if (error_) return std::move(*error_);
  return std::unique_ptr<const Program>(std::move(program_));
}

// ---- tokens ----

const Token& Parser::peek(std::size_t ahead) const {
  return error_ || at_ + ahead >= tokens_.size() ? tokens_.back() : tokens_[at_ + ahead];
}

Token Parser::next() {
  Token token = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Parser::at_op(std::string_view op) const { return peek().kind == Token::Kind::op && peek().text == op; }
bool Parser::at_name(std::string_view name) const { return peek().kind == Token::Kind::name && peek().text == name; }

bool Parser::skip_op(std::string_view op) {
  const bool there = at_op(op);
  if (there) next();
  return there;
}

bool Parser::skip_name(std::string_view name) {
  const bool there = at_name(name);
  if (there) next();
  return there;
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) fail("expected '" + std::string(op) + "'");
}

std::string Parser::expect_name(std::string_view what) {
  if (peek().kind == Token::Kind::name) return next().text;
  fail("expected " + std::string(what));
  return {};
}

bool Parser::at_end_of_tag() const {
  const auto kind = peek().kind;
  return kind == Token::Kind::block_end || kind == Token::Kind::print_end || kind == Token::Kind::end;
}

void Parser::end_tag() {
  if (peek().kind == Token::Kind::block_end) {
    next();
  } else {
    fail("expected '%}'");
  }
}

void Parser::fail(std::string what) {
  if (error_) return;
  const Token& token = peek();
  const bool quoted = token.kind == Token::Kind::name || token.kind == Token::Kind::op;
  const std::uint32_t line = token.line;
  if (quoted) what += ", not '" + token.text + "'";
  error_ = error_at(line, what);
}

void Parser::grow(std::uint32_t& height, std::uint32_t child) {
  if (child + 1 > height) height = child + 1;
  if (height > depth_max_) fail("an expression of more than " + std::to_string(depth_max_) + " levels");
}

void Parser::adopt_arguments(std::uint32_t& height, const Arguments& arguments) {
  for (const ExprPtr& value : arguments.positional) grow(height, value->height);
  for (const auto& [name, value] : arguments.named) grow(height, value->height);
  if (arguments.star) grow(height, arguments.star->height);
  if (arguments.star_star) grow(height, arguments.star_star->height);
}

// ---- statements ----

// Statements up to a tag whose name is in `ends`, which is the next token then; an empty set means the template's end.
Block Parser::block(const std::set<std::string>& ends) {
  Nesting nesting(*this);
  Block out;
  while (!failed()) {
    const Token& token = peek();
    if (token.kind == Token::Kind::data) {
      auto text = make<TextStmt>();
      text->text = Text(next().text, true);
      out.push_back(std::move(text));
    } else if (token.kind == Token::Kind::print_begin) {
      out.push_back(print());
    } else if (token.kind == Token::Kind::block_begin) {
      if (ends.contains(peek(1).text) && peek(1).kind == Token::Kind::name) {
        next();
        return out;
      }
      tag(out);
    } else {
      if (!ends.empty()) fail("the template ends without {% " + *ends.rbegin() + " %}");
      return out;
    }
  }
  return out;
}

Block Parser::body_until(const std::string& end) {
  Block body = block({end});
  skip_name(end);
  return body;
}

void Parser::tag(Block& out) {
  next();  // {%
  const std::string name = peek().text;
  if (peek().kind != Token::Kind::name) return fail("expected the name of a tag");
  std::unique_ptr<const Stmt> statement;
  if (name == "if")
    statement = if_statement();
  else if (name == "for")
    statement = for_statement();
  else if (name == "set")
    statement = set_statement();
  else if (name == "with")
    statement = with_statement();
  else if (name == "macro")
    statement = macro_statement();
  else if (name == "call")
    statement = call_statement();
  else if (name == "filter")
    statement = filter_statement();
  else if (name == "generation")
    statement = generation_statement();
  else if (name == "block")
    statement = block_statement();
  else if (name == "break")
    statement = jump_statement(Flow::break_loop);
  else if (name == "continue")
    statement = jump_statement(Flow::continue_loop);
  else {
    if (!error_)
      error_ = error(ErrorCode::unsupported, "template line " + std::to_string(peek().line) +
                                                 ": unknown or unsupported tag {% " + name + " %}");
    return;
  }
  end_tag();
  out.push_back(std::move(statement));
}

std::unique_ptr<const Stmt> Parser::print() {
  next();  // {{
  auto node = make<PrintStmt>();
  node->value = tuple(true);
  if (peek().kind == Token::Kind::print_end) {
    next();
  } else {
    fail("expected '}}'");
  }
  return node;
}

std::unique_ptr<const Stmt> Parser::if_statement() {
  auto node = make<IfStmt>();
  ++soft_;
  do {
    next();  // if, elif
    ExprPtr condition = tuple(false);
    end_tag();
    Block body = block({"elif", "else", "endif"});
    node->branches.emplace_back(std::move(condition), std::move(body));
  } while (at_name("elif"));
  if (skip_name("else")) {
    end_tag();
    node->otherwise = block({"endif"});
  }
  --soft_;
  skip_name("endif");
  return node;
}

std::unique_ptr<const Stmt> Parser::for_statement() {
  auto node = make<ForStmt>();
  next();  // for
  node->target = target(false);
  if (!skip_name("in")) fail("expected 'in'");
  node->iterable = tuple(false, "recursive");
  if (skip_name("if")) node->filter = expression();
  node->recursive = skip_name("recursive");
  end_tag();
  ++loops_;
  node->body = block({"else", "endfor"});
  --loops_;
  if (skip_name("else")) {
    end_tag();
    node->otherwise = block({"endfor"});
  }
  skip_name("endfor");
  return node;
}

std::unique_ptr<const Stmt> Parser::set_statement() {
  auto node = make<SetStmt>();
  auto with_body = make<SetBlockStmt>();
  next();  // set
  Target bound = target(true);
  if (skip_op("=")) {
    node->target = std::move(bound);
    node->value = tuple(true);
    return node;
  }
  with_body->target = std::move(bound);
  if (skip_op("|")) with_body->filters = filter_chain();
  end_tag();
  with_body->body = body_until("endset");
  return with_body;
}

std::unique_ptr<const Stmt> Parser::with_statement() {
  auto node = make<WithStmt>();
  next();  // with
  while (!at_end_of_tag() && !failed()) {
    if (!node->assignments.empty()) expect_op(",");
    Target bound = single_target(false);
    expect_op("=");
    ExprPtr value = expression();
    node->assignments.emplace_back(std::move(bound), std::move(value));
  }
  end_tag();
  node->body = body_until("endwith");
  return node;
}

std::unique_ptr<const Stmt> Parser::macro_statement() {
  auto node = make<MacroStmt>();
  next();  // macro
  node->macro.name = expect_name("the name of a macro");
  node->symbol = program_->symbols.intern(node->macro.name);
  expect_op("(");
  signature(node->macro);
  end_tag();
  macro_body(node->macro, "endmacro");
  return node;
}

std::unique_ptr<const Stmt> Parser::call_statement() {
  auto node = make<CallBlockStmt>();
  next();  // call
  node->caller.name = "caller";
  if (skip_op("(")) signature(node->caller);
  ExprPtr called = expression();
  if (dynamic_cast<const CallExpr*>(called.get())) {
    node->call.reset(static_cast<const CallExpr*>(called.release()));
  } else {
    fail("{% call %} needs a call");
  }
  end_tag();
  macro_body(node->caller, "endcall");
  return node;
}

std::unique_ptr<const Stmt> Parser::filter_statement() {
  auto node = make<FilterBlockStmt>();
  next();  // filter
  node->filters = filter_chain();
  end_tag();
  node->body = body_until("endfilter");
  return node;
}

std::unique_ptr<const Stmt> Parser::generation_statement() {
  auto node = make<ScopeStmt>();
  next();  // generation
  end_tag();
  node->body = body_until("endgeneration");
  return node;
}

std::unique_ptr<const Stmt> Parser::block_statement() {
  auto node = make<BlockStmt>();
  next();  // block
  node->name = expect_name("the name of a block");
  if (program_->find_block(node->name)) fail("a second block '" + node->name + "'");
  node->scoped = skip_name("scoped");
  program_->blocks.push_back(node.get());
  end_tag();
  const std::uint32_t loops = std::exchange(loops_, 0);
  node->body = body_until("endblock");
  loops_ = loops;
  skip_name(node->name);
  return node;
}

std::unique_ptr<const Stmt> Parser::jump_statement(Flow flow) {
  auto node = make<JumpStmt>();
  if (loops_ == 0) fail("outside of a loop");
  next();
  node->flow = flow;
  return node;
}

Target Parser::target(bool with_namespace) {
  Target first = single_target(with_namespace);
  if (!at_op(",")) return first;
  Target all;
  all.is_tuple = true;
  all.parts.push_back(std::move(first));
  while (skip_op(",")) {
    if (at_name("in") || at_op("=") || at_end_of_tag()) break;
    all.parts.push_back(single_target(with_namespace));
  }
  return all;
}

Target Parser::single_target(bool with_namespace) {
  Nesting nesting(*this);
  if (!failed() && skip_op("(")) {
    Target inner = target(with_namespace);
    expect_op(")");
    return inner;
  }
  Target out;
  const std::string name = expect_name("a name to assign to");
  if (name == "true" || name == "false" || name == "none" || name == "True" || name == "False" || name == "None")
    fail("cannot assign to '" + name + "'");
  out.symbol = program_->symbols.intern(name);
  if (with_namespace && skip_op(".")) out.attribute = expect_name("an attribute");
  return out;
}

// Filters after a first '|' that was read, or after {% filter.
std::vector<std::unique_ptr<const FilterExpr>> Parser::filter_chain() {
  std::vector<std::unique_ptr<const FilterExpr>> chain;
  do {
    chain.push_back(filter());
  } while (!failed() && skip_op("|"));
  return chain;
}

// Parameters after the '('.
void Parser::signature(MacroDecl& macro) {
  while (!failed() && !at_op(")")) {
    if (!macro.parameters.empty()) expect_op(",");
    macro.parameters.push_back(program_->symbols.intern(expect_name("a parameter")));
    if (skip_op("=")) {
      macro.defaults.push_back(expression());
    } else if (!macro.defaults.empty()) {
      fail("a parameter without default after one with");
    }
  }
  expect_op(")");
}

void Parser::macro_body(MacroDecl& macro, const std::string& end) {
  macro.caller = program_->symbols.intern("caller");
  macro.varargs = program_->symbols.intern("varargs");
  macro.kwargs = program_->symbols.intern("kwargs");
  macros_.push_back(&macro);
  const std::uint32_t loops = std::exchange(loops_, 0);
  macro.body = body_until(end);
  loops_ = loops;
  macros_.pop_back();
}

}  // namespace kvasir::jinja
