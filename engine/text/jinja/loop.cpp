#include "engine/text/jinja/loop.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "engine/text/jinja/operators.h"

namespace kvasir::jinja {
namespace {

// The items of a loop that pass its condition, found as late as possible: the condition may look at what the body does.
class Items {
 public:
  Items(Interpreter& in, const ForStmt& statement, ListPtr all)
      : in_(in), statement_(statement), all_(std::move(all)) {}

  // Makes at least `n` items ready, if there are so many.
  bool ready(std::size_t n) {
    while (ready_.size() < n && at_ < all_->items.size() && !in_.failed()) {
      const Val& item = all_->items[at_++];
      if (passes(item)) ready_.push_back(item);
    }
    return ready_.size() >= n;
  }
  std::size_t count_rest() {
    if (!statement_.filter) return ready_.size() + all_->items.size() - at_;
    ready(static_cast<std::size_t>(-1));
    return ready_.size();
  }
  const Val& front() const { return ready_.front(); }
  Val take() {
    Val item = std::move(ready_.front());
    ready_.pop_front();
    return item;
  }

 private:
  bool passes(const Val& item) {
    if (!statement_.filter) return true;
    return in_.in_scope(in_.scope(), [&] {
      in_.assign(statement_.target, item);
      return truthy(in_.eval(*statement_.filter));
    });
  }

  Interpreter& in_;
  const ForStmt& statement_;
  ListPtr all_;
  std::size_t at_ = 0;
  std::deque<Val> ready_;
};

// The variable `loop`. What it refers to ends with the loop; used later, it has no attributes.
class Loop final : public Object {
 public:
  Loop(const ForStmt& statement, Items& items, std::uint32_t depth)
      : statement_(statement), items_(&items), depth_(depth) {}

  std::string type_name() const override { return "LoopContext"; }
  bool is_callable() const override { return statement_.recursive; }
  Val call(Interpreter& in, CallArgs args) override {
    const Params params(in, "loop", args, {"iterable"}, 1);
    if (!params.ok()) return Undefined{};
    return in.capture([&] { run_loop(in, statement_, *params[0], depth_ + 1); });
  }
  std::optional<Val> attribute(Interpreter& in, std::string_view name) override;

  void advance(Val current) {
    previous_ = std::exchange(current_, std::move(current));
    ++index_;
  }
  void end() {
    items_ = nullptr;
    previous_ = current_ = changed_ = Undefined{};
  }

 private:
  static Val cycle(Interpreter& in, const Val& self, CallArgs& args);
  static Val changed(Interpreter& in, const Val& self, CallArgs& args);
  std::int64_t rest() { return static_cast<std::int64_t>(items_->count_rest()); }

  const ForStmt& statement_;
  Items* items_;
  std::uint32_t depth_;
  std::int64_t index_ = 0;
  Val previous_ = undefined_val("there is no previous item");
  Val current_ = undefined_val("there is no previous item");
  Val changed_;
  bool changed_set_ = false;
};

Val Loop::cycle(Interpreter& in, const Val& self, CallArgs& args) {
  const auto* loop = static_cast<const Loop*>(as_object(self));
  if (args.positional.empty()) return in.fail("loop.cycle() needs arguments");
  return args.positional[static_cast<std::size_t>(loop->index_ - 1) % args.positional.size()];
}

Val Loop::changed(Interpreter& in, const Val& self, CallArgs& args) {
  auto* loop = static_cast<Loop*>(as_object(self));
  Val now = in.list(std::move(args.positional), List::Kind::tuple);
  const bool same = loop->changed_set_ && in.equal(loop->changed_, now);
  loop->changed_ = std::move(now);
  loop->changed_set_ = true;
  return !same;
}

std::optional<Val> Loop::attribute(Interpreter&, std::string_view name) {
  if (!items_) return std::nullopt;
  if (name == "index") return index_;
  if (name == "index0") return index_ - 1;
  if (name == "first") return index_ == 1;
  if (name == "last") return !items_->ready(1);
  if (name == "length") return index_ + rest();
  if (name == "revindex") return rest() + 1;
  if (name == "revindex0") return rest();
  if (name == "depth") return std::int64_t{depth_} + 1;
  if (name == "depth0") return std::int64_t{depth_};
  if (name == "previtem") return previous_;
  if (name == "nextitem") return items_->ready(1) ? items_->front() : undefined_val("there is no next item");
  if (name != "cycle" && name != "changed") return std::nullopt;
  const ObjectPtr self = shared_from_this();
  return ObjectPtr(std::make_shared<BoundMethod>(self, name == "cycle" ? cycle : changed));
}

}  // namespace

void run_loop(Interpreter& in, const ForStmt& statement, const Val& iterable, std::uint32_t depth) {
  const Level level(in);
  const ListPtr all = in.items_of(iterable);
  if (!all) return;
  Items items(in, statement, all);
  const auto loop = std::make_shared<Loop>(statement, items, depth);
  bool ended = false;  // some item went through the whole body: `else` is for when none did, as jinja2 has it
  for (Flow flow = Flow::next; flow != Flow::break_loop && items.ready(1) && in.charge();) {
    flow = in.in_scope(in.scope(), [&] {
      Val item = items.take();
      loop->advance(item);
      in.bind_loop(loop);
      in.assign(statement.target, std::move(item));
      return in.run(statement.body);
    });
    ended = ended || flow == Flow::next;
  }
  loop->end();
  if (!ended && !in.failed()) in.in_scope(in.scope(), [&] { return in.run(statement.otherwise); });
}

}  // namespace kvasir::jinja
