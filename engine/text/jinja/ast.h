#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/text/jinja/object.h"
#include "engine/text/jinja/value.h"

// The parsed template: a tree of nodes that evaluate themselves. Immutable after parsing; any thread may run it.
namespace kvasir::jinja {

class Interpreter;

using Symbol = std::uint32_t;  // a name of the template

class Symbols {
 public:
  Symbol intern(std::string_view name);
  const Symbol* find(std::string_view name) const;
  const std::string& name(Symbol symbol) const { return names_[symbol]; }

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, Symbol> ids_;
};

struct Expr {
  std::uint32_t line = 0;
  std::uint32_t height = 1;  // nodes on the longest way down
  virtual ~Expr() = default;
  virtual Val evaluate(Interpreter& in) const = 0;
};
using ExprPtr = std::unique_ptr<const Expr>;

enum class Flow : std::uint8_t { next, break_loop, continue_loop };

struct Stmt {
  std::uint32_t line = 0;
  virtual ~Stmt() = default;
  virtual Flow execute(Interpreter& in) const = 0;
};
using Block = std::vector<std::unique_ptr<const Stmt>>;

struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star, star_star;  // *x, **x
};

using FilterFunction = Val (*)(Interpreter& in, const Val& subject, CallArgs& args);
using TestFunction = bool (*)(Interpreter& in, const Val& subject, CallArgs& args);

// ---- expressions ----

struct ConstantExpr final : Expr {
  Val value;
  Val evaluate(Interpreter& in) const override;
};

struct NameExpr final : Expr {
  Symbol symbol = 0;
  Val evaluate(Interpreter& in) const override;
};

struct ListExpr final : Expr {
  List::Kind kind = List::Kind::list;
  std::vector<ExprPtr> items;
  Val evaluate(Interpreter& in) const override;
};

struct DictExpr final : Expr {
  std::vector<std::pair<ExprPtr, ExprPtr>> entries;
  Val evaluate(Interpreter& in) const override;
};

struct AttributeExpr final : Expr {  // subject.name
  ExprPtr subject;
  std::string name;
  Val evaluate(Interpreter& in) const override;
};

struct SubscriptExpr final : Expr {  // subject[key]
  ExprPtr subject, key;
  Val evaluate(Interpreter& in) const override;
};

struct SliceExpr final : Expr {  // subject[from:to:step]; any part may be absent
  ExprPtr subject, from, to, step;
  Val evaluate(Interpreter& in) const override;
};

struct CallExpr final : Expr {
  ExprPtr callee;
  Arguments arguments;
  Val evaluate(Interpreter& in) const override;
};

struct FilterExpr final : Expr {
  ExprPtr subject;  // absent in {% filter %} and {% set %} blocks: the block's text
  std::string name;
  FilterFunction function = nullptr;  // null: unknown, an error when it is used
  Arguments arguments;
  Val evaluate(Interpreter& in) const override;
  Val apply(Interpreter& in, const Val& value) const;
};

struct TestExpr final : Expr {
  ExprPtr subject;
  std::string name;
  TestFunction function = nullptr;
  Arguments arguments;
  Val evaluate(Interpreter& in) const override;
};

enum class BinaryOp : std::uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };

struct BinaryExpr final : Expr {
  BinaryOp op = BinaryOp::add;
  ExprPtr left, right;
  Val evaluate(Interpreter& in) const override;
};

struct ConcatExpr final : Expr {  // a ~ b ~ c
  std::vector<ExprPtr> parts;
  Val evaluate(Interpreter& in) const override;
};

struct UnaryExpr final : Expr {
  enum class Op : std::uint8_t { negate, plus, invert } op = Op::negate;
  ExprPtr operand;
  Val evaluate(Interpreter& in) const override;
};

struct LogicExpr final : Expr {
  bool is_and = false;
  ExprPtr left, right;
  Val evaluate(Interpreter& in) const override;
};

enum class CompareOp : std::uint8_t { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };

struct CompareExpr final : Expr {  // a < b < c
  ExprPtr first;
  std::vector<std::pair<CompareOp, ExprPtr>> rest;
  Val evaluate(Interpreter& in) const override;
};

struct ConditionalExpr final : Expr {  // then if condition else otherwise
  ExprPtr then, condition, otherwise;  // `otherwise` may be absent
  Val evaluate(Interpreter& in) const override;
};

// ---- statements ----

// What an assignment binds: a name, a namespace's attribute, or several of them.
struct Target {
  Symbol symbol = 0;
  std::string attribute;      // of the namespace `symbol`
  std::vector<Target> parts;  // not empty: unpacks
  bool is_tuple = false;
};

struct TextStmt final : Stmt {
  Text text;
  Flow execute(Interpreter& in) const override;
};

struct PrintStmt final : Stmt {
  ExprPtr value;
  Flow execute(Interpreter& in) const override;
};

struct IfStmt final : Stmt {
  std::vector<std::pair<ExprPtr, Block>> branches;
  Block otherwise;
  Flow execute(Interpreter& in) const override;
};

struct ForStmt final : Stmt {
  Target target;
  ExprPtr iterable, filter;
  Block body, otherwise;
  bool recursive = false;
  Flow execute(Interpreter& in) const override;
};

struct SetStmt final : Stmt {
  Target target;
  ExprPtr value;
  Flow execute(Interpreter& in) const override;
};

struct SetBlockStmt final : Stmt {
  Target target;
  std::vector<std::unique_ptr<const FilterExpr>> filters;  // first applied first
  Block body;
  Flow execute(Interpreter& in) const override;
};

struct FilterBlockStmt final : Stmt {
  std::vector<std::unique_ptr<const FilterExpr>> filters;
  Block body;
  Flow execute(Interpreter& in) const override;
};

struct WithStmt final : Stmt {
  std::vector<std::pair<Target, ExprPtr>> assignments;
  Block body;
  Flow execute(Interpreter& in) const override;
};

struct MacroDecl {
  std::string name;
  std::vector<Symbol> parameters;
  std::vector<ExprPtr> defaults;  // of the last parameters
  Symbol caller = 0, varargs = 0, kwargs = 0;
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
  Block body;
};

struct MacroStmt final : Stmt {
  MacroDecl macro;
  Symbol symbol = 0;
  Flow execute(Interpreter& in) const override;
};

struct CallBlockStmt final : Stmt {  // {% call(x) callee() %}body{% endcall %}
  MacroDecl caller;
  std::unique_ptr<const CallExpr> call;
  Flow execute(Interpreter& in) const override;
};

struct JumpStmt final : Stmt {
  Flow flow = Flow::break_loop;
  Flow execute(Interpreter&) const override { return flow; }
};

struct ScopeStmt final : Stmt {  // {% generation %}: its body, in a scope of its own
  Block body;
  Flow execute(Interpreter& in) const override;
};

// {% block name %}: its body, where it stands and as self.name(). Without inheritance nothing replaces it.
struct BlockStmt final : Stmt {
  std::string name;
  bool scoped = false;  // sees the names around it, not only those of the template's top
  Block body;
  Flow execute(Interpreter& in) const override;
};

struct Program {
  Symbols symbols;
  Block body;
  std::vector<const BlockStmt*> blocks;  // of the body
  const BlockStmt* find_block(std::string_view name) const;
};

}  // namespace kvasir::jinja
