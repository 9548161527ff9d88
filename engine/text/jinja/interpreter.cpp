#include "engine/text/jinja/interpreter.h"

#include <algorithm>

#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/lexer.h"
#include "engine/text/jinja/operators.h"

namespace kvasir::jinja {
namespace {

constexpr std::uint32_t kContainerDepthMax = 500;  // lists and dicts in each other
constexpr std::uint32_t kEvaluationsPerLevel = 5;  // a call evaluates a few nodes in each other
constexpr std::size_t kBytesPerStep = 64;
constexpr std::size_t kNameBytesShown = 100;

}  // namespace

const Val* Scope::find(Symbol symbol) const {
  for (const auto& [name, value] : names)
    if (name == symbol) return &value;
  return nullptr;
}

void Scope::set(Symbol symbol, Val value) {
  for (auto& [name, old] : names)
    if (name == symbol) {
      old = std::move(value);
      return;
    }
  names.emplace_back(symbol, std::move(value));
}

Level::Level(Interpreter& in) : in_(in) {
  if (++in_.depth_ > in_.limits_.depth_max * kEvaluationsPerLevel)
    in_.fail("more than " + std::to_string(in_.limits_.depth_max) + " levels of calls and expressions");
}

Interpreter::Interpreter(const Program& program, const TemplateLimits& limits, std::string_view now)
    : program_(program), limits_(limits), now_(now), loop_symbol_(program.symbols.find("loop")) {}

Interpreter::~Interpreter() {
  for (const auto& ns : namespaces_) ns->clear();
}

Result<PromptText> Interpreter::render(const Value& variables) {
  allow_for(variables);
  bind_functions();
  bind_variables(variables);
  TextBuilder out;
  out_ = &out;
  run(program_.body);
  if (error_) return std::move(*error_);
  const Text text = out.take();
  PromptText prompt;
  std::size_t begin = 0;
  for (const Text::Run& run : text.runs()) {
    prompt.segments.push_back({text.bytes().substr(begin, run.end - begin), run.from_template});
    begin = run.end;
  }
  return prompt;
}

namespace {

// self.name(): what the block prints.
class BlockCall final : public Object {
 public:
  explicit BlockCall(const BlockStmt& block) : block_(block) {}
  std::string type_name() const override { return "BlockReference"; }
  bool is_callable() const override { return true; }
  Val call(Interpreter& in, CallArgs) override {
    const Level level(in);
    return in.capture([&] { in.in_scope(in.top_scope(), [&] { return in.run(block_.body); }); });
  }

 private:
  const BlockStmt& block_;
};

// `self`: the blocks of the template by name.
class Self final : public Object {
 public:
  std::string type_name() const override { return "TemplateReference"; }
  std::optional<Val> attribute(Interpreter& in, std::string_view name) override {
    const BlockStmt* block = in.find_block(name);
    return block ? std::optional<Val>(ObjectPtr(std::make_shared<BlockCall>(*block))) : std::nullopt;
  }
};

}  // namespace

void Interpreter::bind_functions() {
  for (const std::string_view name :
       {"range", "dict", "namespace", "cycler", "joiner", "raise_exception", "strftime_now"})
    if (const Symbol* symbol = program_.symbols.find(name)) root_.set(*symbol, make_function(name));
}

// More steps for many messages, as TemplateLimits says.
void Interpreter::allow_for(const Value& variables) {
  constexpr std::uint64_t kFactor = 20, kManyMessages = 1u << 20;
  const Value* messages = variables.find("messages");
  const Value::Array* list = messages ? messages->as_array() : nullptr;
  const std::uint64_t n = list ? std::min<std::uint64_t>(list->size(), kManyMessages) : 0;
  limits_.steps_max += std::min(kFactor * n * n, kFactor * limits_.steps_max);
}

// Only what the template mentions. As in Transformers, tools and documents are none when there are none.
void Interpreter::bind_variables(const Value& variables) {
  for (const std::string_view name : {"tools", "documents"})
    if (const Symbol* symbol = program_.symbols.find(name)) root_.set(*symbol, None{});
  static const Value::Object kNothing;
  const Value::Object* object = variables.as_object() ? variables.as_object() : &kNothing;
  for (const auto& [name, value] : object->members)
    if (const Symbol* symbol = program_.symbols.find(name))
      root_.set(*symbol, from_data(value, name == "bos_token" || name == "eos_token", 0));
  if (const Symbol* symbol = program_.symbols.find("self")) root_.set(*symbol, ObjectPtr(std::make_shared<Self>()));
}

Val Interpreter::from_data(const Value& value, bool from_template, std::uint32_t depth) {
  if (depth > kContainerDepthMax) return fail("data of more than " + std::to_string(kContainerDepthMax) + " levels");
  if (const bool* b = value.as_bool()) return *b;
  if (const std::string* s = value.as_string()) return string_val(Text(*s, from_template));
  if (const Value::Number* n = value.as_number()) return number_from_text(n->text);
  if (const Value::Array* array = value.as_array()) {
    std::vector<Val> items;
    for (const Value& item : *array) items.push_back(from_data(item, from_template, depth + 1));
    return list(std::move(items));
  }
  if (const Value::Object* object = value.as_object()) {
    Dict out;
    for (const auto& [key, member] : object->members)
      out.set(string_val(Text(key, from_template)), from_data(member, from_template, depth + 1));
    if (object->source) out.source = std::make_shared<const Text>(*object->source, from_template);
    return dict(std::move(out));
  }
  return None{};
}

// ---- failure and limits ----

Val Interpreter::fail(std::string message) {
  if (!error_) error_ = error_at(line_, message);
  return Undefined{};
}

void Interpreter::fail_with(std::string words) {
  if (!error_) error_ = error(ErrorCode::invalid_argument, std::move(words));
}

bool Interpreter::charge(std::uint64_t steps) {
  steps_ = steps > limits_.steps_max ? limits_.steps_max + 1 : steps_ + steps;
  if (steps_ > limits_.steps_max) fail("more than " + std::to_string(limits_.steps_max) + " steps");
  return !failed();
}

bool Interpreter::charge_bytes(std::size_t bytes) {
  if (bytes > limits_.output_bytes_max)
    fail("a text of more than " + std::to_string(limits_.output_bytes_max) + " bytes");
  return charge(bytes / kBytesPerStep);
}

// ---- comparing ----

bool Interpreter::equal(const Val& a, const Val& b) {
  return charge(std::min(cost_of(a), cost_of(b))) && jinja::equal(a, b);
}

std::optional<int> Interpreter::compare(const Val& a, const Val& b) {
  return charge(std::min(cost_of(a), cost_of(b))) ? jinja::compare(a, b) : std::nullopt;
}

const Val* Interpreter::find(const Dict& dict, const Val& key) {
  if (is_plain_list(key) || as_dict(key)) return fail("unhashable type: '" + type_name(key) + "'"), nullptr;
  return charge(dict.cost_to_find(key)) ? dict.find(key) : nullptr;
}

void Interpreter::set(Dict& dict, Val key, Val value) {
  if (is_plain_list(key) || as_dict(key)) return void(fail("unhashable type: '" + type_name(key) + "'"));
  if (charge(dict.cost_to_find(key))) dict.set(std::move(key), std::move(value));
}

// ---- evaluation ----

Val Interpreter::eval(const Expr& expr) {
  const Level level(*this);
  if (!charge()) return Undefined{};
  line_ = expr.line;
  Val value = expr.evaluate(*this);
  line_ = expr.line;
  return value;
}

Flow Interpreter::run(const Block& block) {
  const Level level(*this);
  for (const auto& statement : block) {
    if (!charge()) break;
    line_ = statement->line;
    const Flow flow = statement->execute(*this);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

std::vector<Val> Interpreter::eval_all(const std::vector<ExprPtr>& exprs) {
  std::vector<Val> values;
  values.reserve(exprs.size());
  for (const ExprPtr& expr : exprs) values.push_back(eval(*expr));
  return values;
}

CallArgs Interpreter::eval_arguments(const Arguments& arguments) {
  CallArgs args;
  args.positional = eval_all(arguments.positional);
  for (const auto& [name, expr] : arguments.named) args.named.emplace_back(name, eval(*expr));
  if (arguments.star)
    if (const ListPtr more = items_of(eval(*arguments.star)))
      args.positional.insert(args.positional.end(), more->items.begin(), more->items.end());
  if (!arguments.star_star) return args;
  const Val more = eval(*arguments.star_star);
  const Dict* dict = as_dict(more);
  if (!dict) return fail("** needs a dict, not " + type_name(more)), args;
  for (const auto& [key, value] : dict->entries) {
    const Text* name = as_text(key);
    if (!name) return fail("names of arguments must be strings"), args;
    args.named.emplace_back(name->bytes(), value);
  }
  return args;
}

Val Interpreter::call(const Val& callee, CallArgs args) {
  if (failed()) return Undefined{};
  if (const auto* missing = std::get_if<Undefined>(&callee)) return fail(message_of(*missing));
  Object* object = as_object(callee);
  if (!object || !object->is_callable()) return fail("'" + type_name(callee) + "' is not callable");
  const ObjectPtr alive = std::get<ObjectPtr>(callee);
  return object->call(*this, std::move(args));
}

Val Interpreter::attribute_of(const Val& subject, std::string_view name) {
  if (failed()) return Undefined{};
  if (const auto* missing = std::get_if<Undefined>(&subject)) return fail(message_of(*missing));
  if (Object* object = as_object(subject)) {
    if (auto value = object->attribute(*this, name)) return *value;
  } else if (auto method = find_method(subject, name)) {
    return *method;
  } else if (const Dict* dict = as_dict(subject)) {
    if (const Val* value = dict->find(name)) return *value;
  }
  const std::string what = is_none(subject) ? "'None'" : "'" + type_name(subject) + " object'";
  return undefined_val(what + " has no attribute '" + std::string(name.substr(0, kNameBytesShown)) + "'");
}

Val Interpreter::item_of(const Val& subject, const Val& key) {
  if (failed()) return Undefined{};
  if (const auto* missing = std::get_if<Undefined>(&subject)) return fail(message_of(*missing));
  if (const Dict* dict = as_dict(subject); dict && !is_plain_list(key) && !as_dict(key))
    if (const Val* value = find(*dict, key)) return *value;
  if (failed()) return Undefined{};
  if (const auto index = as_integer(key); index && (as_list(subject) || as_text(subject))) {
    if (const List* list = as_list(subject); list && !is_unordered(*list)) {
      const auto n = static_cast<std::int64_t>(list->items.size());
      const std::int64_t at = *index < 0 ? *index + n : *index;
      if (at >= 0 && at < n) return list->items[static_cast<std::size_t>(at)];
    } else if (as_text(subject)) {
      return character_at(*this, *as_text(subject), *index);
    }
  }
  if (const Text* name = as_text(key)) return charge(cost_of(key)) ? attribute_of(subject, name->bytes()) : Undefined{};
  const std::string what = is_none(subject) ? "None" : type_name(subject) + " object";
  return undefined_val(what + " has no such element");
}

// ---- scopes ----

void Interpreter::capture_scope() {
  for (Scope* scope = scope_; scope && !scope->captured; scope = scope->parent) scope->captured = true;
}

Val Interpreter::lookup(Symbol symbol) {
  for (const Scope* scope = scope_; scope; scope = scope->parent)
    if (const Val* value = scope->find(symbol)) return *value;
  return undefined_val("'" + name_of(symbol) + "' is undefined");
}

void Interpreter::assign(const Target& target, Val value) {
  if (failed()) return;
  if (target.is_tuple) {
    const ListPtr items = items_of(value);
    if (!items) return;
    if (items->items.size() != target.parts.size())
      return void(
          fail(std::to_string(items->items.size()) + " values for " + std::to_string(target.parts.size()) + " names"));
    for (std::size_t i = 0; i < target.parts.size(); ++i) assign(target.parts[i], items->items[i]);
  } else if (target.attribute.empty()) {
    scope_->set(target.symbol, std::move(value));
  } else {
    const Val held = lookup(target.symbol);
    auto* ns = dynamic_cast<Namespace*>(as_object(held));
    if (!ns) return void(fail("cannot set an attribute of '" + name_of(target.symbol) + "': it is no namespace"));
    ns->set(target.attribute, std::move(value));
  }
}

void Interpreter::bind_loop(ObjectPtr loop) {
  if (loop_symbol_) scope_->set(*loop_symbol_, std::move(loop));
}

// ---- output ----

void Interpreter::print(const Text& text) {
  if (!charge_bytes(text.size())) return;
  out_->append(text);
  if (out_->size() > limits_.output_bytes_max)
    fail("more than " + std::to_string(limits_.output_bytes_max) + " bytes of output");
}

void Interpreter::print(const Val& value) {
  if (failed()) return;
  if (const Text* text = as_text(value)) {
    print(*text);
  } else {
    print(to_text(*this, value));
  }
}

// ---- values ----

Val Interpreter::list(std::vector<Val> items, List::Kind kind) {
  if (!charge(items.size())) return Undefined{};
  auto list = std::make_shared<List>();
  for (const Val& item : items) {
    list->depth = std::max(list->depth, 1 + depth_of(item));
    const std::uint64_t cost = list->cost + cost_of(item);
    list->cost = cost < list->cost ? ~std::uint64_t{0} : cost;
  }
  if (list->depth > kContainerDepthMax)
    return fail("a list of more than " + std::to_string(kContainerDepthMax) + " levels");
  list->items = std::move(items);
  list->kind = kind;
  return ListPtr(std::move(list));
}

Val Interpreter::dict(Dict dict) {
  if (!charge(2 * dict.entries.size())) return Undefined{};
  if (dict.depth > kContainerDepthMax)
    return fail("a dict of more than " + std::to_string(kContainerDepthMax) + " levels");
  return std::make_shared<const Dict>(std::move(dict));
}

Val Interpreter::text(Text text) {
  if (!charge_bytes(text.size())) return Undefined{};
  return string_val(std::move(text));
}

Val Interpreter::keep(std::shared_ptr<Namespace> ns) {
  constexpr std::uint64_t kSteps = 16;  // it stays until the end
  if (!charge(kSteps)) return Undefined{};
  namespaces_.push_back(ns);
  return ObjectPtr(std::move(ns));
}

ListPtr Interpreter::items_of(const Val& value) {
  static const auto kEmpty = std::make_shared<const List>();
  if (failed()) return nullptr;
  if (const ListPtr* list = std::get_if<ListPtr>(&value)) return *list;
  if (is_undefined(value)) return kEmpty;
  std::vector<Val> items;
  if (const Dict* dict = as_dict(value)) {
    for (const auto& entry : dict->entries) items.push_back(entry.first);
  } else if (const Text* text = as_text(value)) {
    items = characters_of(*this, *text);
  } else {
    fail("'" + type_name(value) + "' object is not iterable");
    return nullptr;
  }
  const Val made = list(std::move(items));
  const ListPtr* list = std::get_if<ListPtr>(&made);
  return list ? *list : nullptr;
}

}  // namespace kvasir::jinja
