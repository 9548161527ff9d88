#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/lexer.h"
#include "storage/base/result.h"

namespace kvasir::jinja {

// Recursive descent over the tokens of one template; the grammar is jinja2's. After the first error every token reads
// as the end, so that all loops stop; run() then gives that error.
class Parser {
 public:
  // `depth_max`: nested expressions and blocks.
  Parser(std::vector<Token> tokens, std::uint32_t depth_max);
  Result<std::unique_ptr<const Program>> run();

 private:
  class Nesting;

  // Tokens.
  const Token& peek(std::size_t ahead = 0) const;
  Token next();
  bool at_op(std::string_view op) const;
  bool at_name(std::string_view name) const;
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  std::string expect_name(std::string_view what);
  bool at_end_of_tag() const;
  void end_tag();
  void fail(std::string what);
  bool failed() const { return error_.has_value(); }
  template <class Node>
  std::unique_ptr<Node> make() const {
    auto node = std::make_unique<Node>();
    node->line = peek().line;
    return node;
  }
  // `child` becomes part of `parent`. Trees too high to walk on the stack fail.
  template <class Node>
  ExprPtr adopt(Node& parent, ExprPtr child) {
    if (child) grow(parent.height, child->height);
    return child;
  }
  void grow(std::uint32_t& height, std::uint32_t child);
  void adopt_arguments(std::uint32_t& height, const Arguments& arguments);

  // Expressions (expression_parser.cpp).
  ExprPtr expression() { return conditional(); }
  ExprPtr conditional();
  ExprPtr logical(bool is_and);
  ExprPtr negation();
  ExprPtr comparison();
  std::optional<CompareOp> compare_op();
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filters = true);
  ExprPtr primary();
  ExprPtr name_or_constant();
  ExprPtr number();
  ExprPtr string();
  ExprPtr parenthesized();
  ExprPtr list();
  ExprPtr dict();
  ExprPtr postfix(ExprPtr subject);
  ExprPtr filters_and_tests(ExprPtr subject);
  ExprPtr attribute(ExprPtr subject);
  ExprPtr subscript(ExprPtr subject);
  ExprPtr call(ExprPtr callee);
  Arguments arguments();
  std::unique_ptr<FilterExpr> filter();
  ExprPtr test(ExprPtr subject);
  // Comma-separated expressions: one stays itself, more are a tuple. `with_condition`: x if y else z is allowed.
  ExprPtr tuple(bool with_condition, std::string_view stop_name = {});

  // Statements (parser.cpp).
  Block block(const std::set<std::string>& ends);
  void tag(Block& out);
  std::unique_ptr<const Stmt> print();
  std::unique_ptr<const Stmt> if_statement();
  std::unique_ptr<const Stmt> for_statement();
  std::unique_ptr<const Stmt> set_statement();
  std::unique_ptr<const Stmt> with_statement();
  std::unique_ptr<const Stmt> macro_statement();
  std::unique_ptr<const Stmt> call_statement();
  std::unique_ptr<const Stmt> filter_statement();
  std::unique_ptr<const Stmt> generation_statement();
  std::unique_ptr<const Stmt> block_statement();
  std::unique_ptr<const Stmt> jump_statement(Flow flow);
  Target target(bool with_namespace);
  Target single_target(bool with_namespace);
  std::vector<std::unique_ptr<const FilterExpr>> filter_chain();
  void signature(MacroDecl& macro);
  void macro_body(MacroDecl& macro, const std::string& end);
  Block body_until(const std::string& end);

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::uint32_t depth_max_;
  std::uint32_t depth_ = 0;
  std::uint32_t soft_ = 0;   // inside so many conditions: unknown filters there are errors only when used
  std::uint32_t loops_ = 0;  // around this place, for break and continue
  std::vector<MacroDecl*> macros_;
  std::unique_ptr<Program> program_ = std::make_unique<Program>();
  std::optional<Error> error_;
};

// While alive, one level deeper.
class Parser::Nesting {
 public:
  explicit Nesting(Parser& parser) : parser_(parser) {
    if (++parser_.depth_ > parser_.depth_max_)
      parser_.fail("nested more than " + std::to_string(parser_.depth_max_) + " deep");
  }
  ~Nesting() { --parser_.depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Parser& parser_;
};

}  // namespace kvasir::jinja
