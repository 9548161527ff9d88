#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/chat_template.h"
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/object.h"
#include "engine/text/jinja/text.h"
#include "engine/text/jinja/value.h"
#include "storage/base/result.h"

namespace kvasir::jinja {

// Names bound in one place of a running template; looks further in its parent.
struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<Symbol, Val>> names;
  bool captured = false;  // a macro refers to it: it lives as long as the rendering

  const Val* find(Symbol symbol) const;  // here only
  void set(Symbol symbol, Val value);
};

// Runs one program once. The first failure sticks: from then on everything evaluates to undefined, loops end, and
// render() gives the error. Not thread-safe; one per rendering.
class Interpreter {
 public:
  // `now`: "2026-07-26T10:00:00".
  Interpreter(const Program& program, const TemplateLimits& limits, std::string_view now);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // `variables` must outlive the interpreter. Once.
  Result<PromptText> render(const Value& variables);

  // ---- failure and limits ----
  Val fail(std::string message);      // at the current line; gives undefined
  void fail_with(std::string words);  // raise_exception: the template's own words
  bool failed() const { return error_.has_value(); }
  bool charge(std::uint64_t steps = 1);  // false: the limit is reached
  bool charge_bytes(std::size_t bytes);  // work on strings; also refuses ones over the limit of the output

  // ---- comparing: what it costs is paid first ----
  bool equal(const Val& a, const Val& b);
  std::optional<int> compare(const Val& a, const Val& b);
  const Val* find(const Dict& dict, const Val& key);
  void set(Dict& dict, Val key, Val value);  // fails for keys that Python cannot hash

  // ---- evaluation ----
  Val eval(const Expr& expr);
  Flow run(const Block& block);
  std::vector<Val> eval_all(const std::vector<ExprPtr>& exprs);
  CallArgs eval_arguments(const Arguments& arguments);
  Val call(const Val& callee, CallArgs args);
  Val call_macro(const MacroDecl& macro, Scope* defined_in, CallArgs args);
  Val attribute_of(const Val& subject, std::string_view name);
  Val item_of(const Val& subject, const Val& key);

  // ---- scopes ----
  // Runs `work` with a scope of its own below `parent`.
  template <class Work>
  auto in_scope(Scope* parent, Work&& work) {
    auto scope = std::make_unique<Scope>();
    scope->parent = parent;
    Scope* const outer = std::exchange(scope_, scope.get());
    auto result = work();
    scope_ = outer;
    if (scope->captured) kept_scopes_.push_back(std::move(scope));
    return result;
  }
  Scope* scope() { return scope_; }
  Scope* top_scope() { return &root_; }
  void capture_scope();  // the current scope and those around it live on
  Val lookup(Symbol symbol);
  void assign(const Target& target, Val value);
  void bind_loop(ObjectPtr loop);  // as `loop`, where the template mentions it
  const std::string& name_of(Symbol symbol) const { return program_.symbols.name(symbol); }
  const BlockStmt* find_block(std::string_view name) const { return program_.find_block(name); }

  // ---- output ----
  void print(const Val& value);
  void print(const Text& text);
  // What `work` prints, as a string.
  template <class Work>
  Val capture(Work&& work) {
    TextBuilder captured;
    TextBuilder* const outer = std::exchange(out_, &captured);
    work();
    out_ = outer;
    return string_val(captured.take());
  }

  // ---- making values; undefined after a failure ----
  Val list(std::vector<Val> items, List::Kind kind = List::Kind::list);
  Val dict(Dict dict);
  Val text(Text text);
  Val keep(std::shared_ptr<Namespace> ns);
  // The items of what can be iterated; fails for anything else.
  ListPtr items_of(const Val& value);

  std::string_view now() const { return now_; }
  const TemplateLimits& limits() const { return limits_; }

 private:
  friend class Level;
  Val from_data(const Value& value, bool from_template, std::uint32_t depth);
  void allow_for(const Value& variables);
  void bind_variables(const Value& variables);
  void bind_functions();

  const Program& program_;
  TemplateLimits limits_;
  const std::string now_;
  std::optional<Error> error_;
  std::uint64_t steps_ = 0;
  std::uint32_t depth_ = 0;  // evaluations in each other
  std::uint32_t calls_ = 0;  // macros in each other
  std::uint32_t line_ = 0;
  Scope root_;
  Scope* scope_ = &root_;
  TextBuilder* out_ = nullptr;
  std::vector<std::unique_ptr<Scope>> kept_scopes_;
  std::vector<std::shared_ptr<Namespace>> namespaces_;  // cleared at the end: they may hold each other
  const Symbol* const loop_symbol_;
};

// While alive, evaluation is one level deeper; fails the rendering at the limit.
class Level {
 public:
  explicit Level(Interpreter& in);
  ~Level() { --in_.depth_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  Interpreter& in_;
};

}  // namespace kvasir::jinja
