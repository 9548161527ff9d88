#include <algorithm>
#include <charconv>
#include <ctime>

#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/interpreter.h"

namespace kvasir::jinja {
namespace {

Val range(Interpreter& in, CallArgs& args) {
  Params params(in, "range()", args, {"start", "stop", "step"}, 1);
  const std::int64_t first = params.integer(0, 0), second = params.integer(1, 0), step = params.integer(2, 1);
  if (in.failed() || !params.ok()) return Undefined{};
  if (step == 0) return in.fail("range(): the step must not be 0");
  const std::int64_t begin = params[1] ? first : 0, end = params[1] ? second : first;
  constexpr std::int64_t kItemsMax = 100'000;  // as jinja2's sandbox
  std::vector<Val> items;
  for (std::int64_t i = begin; step > 0 ? i < end : i > end;) {
    items.push_back(i);
    if (static_cast<std::int64_t>(items.size()) > kItemsMax) return in.fail("range(): more than 100000 items");
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return in.list(std::move(items));
}

Val dict_function(Interpreter& in, CallArgs& args) {
  Dict dict;
  if (args.positional.size() > 1) return in.fail("dict() takes at most one positional argument");
  if (!args.positional.empty()) {
    const Val& from = args.positional.front();
    if (const Dict* other = as_dict(from)) {
      dict = *other;
      dict.source = nullptr;
    } else if (const ListPtr pairs = in.items_of(from)) {
      for (const Val& pair : pairs->items) {
        const ListPtr both = in.items_of(pair);
        if (!both || both->items.size() != 2) return in.fail("dict() needs pairs");
        in.set(dict, both->items[0], both->items[1]);
      }
    }
  }
  for (auto& [name, value] : args.named) dict.set(string_val(name), std::move(value));
  return in.dict(std::move(dict));
}

Val dict_fromkeys(Interpreter& in, CallArgs& args) {
  const Params params(in, "dict.fromkeys()", args, {"iterable", "value"}, 1);
  const ListPtr keys = params.ok() ? in.items_of(*params[0]) : nullptr;
  Dict dict;
  for (std::size_t i = 0; keys && i < keys->items.size() && in.charge(); ++i) {
    in.set(dict, keys->items[i], params[1] ? *params[1] : None{});
  }
  return in.dict(std::move(dict));
}

Val namespace_function(Interpreter& in, CallArgs& args) {
  auto ns = std::make_shared<Namespace>();
  for (const Val& from : args.positional) {
    const Dict* dict = as_dict(from);
    if (!dict) return in.fail("namespace() needs named arguments or a dict");
    for (const auto& [key, value] : dict->entries) ns->set(to_text(in, key).bytes(), value);
  }
  for (auto& [name, value] : args.named) ns->set(name, std::move(value));
  return in.keep(std::move(ns));
}

// cycler('odd', 'even').next()
class Cycler final : public Object {
 public:
  explicit Cycler(Val items) : items_(std::move(items)) {}
  std::string type_name() const override { return "Cycler"; }
  std::uint32_t depth() const override { return 1 + depth_of(items_); }
  std::optional<Val> attribute(Interpreter&, std::string_view name) override {
    if (name == "current") return as_list(items_)->items[at_];
    if (name != "next" && name != "reset") return std::nullopt;
    return ObjectPtr(std::make_shared<BoundMethod>(ObjectPtr(shared_from_this()), name == "next" ? next : reset));
  }

 private:
  static Val next(Interpreter&, const Val& self, CallArgs&) {
    auto& cycler = static_cast<Cycler&>(*as_object(self));
    const auto& items = as_list(cycler.items_)->items;
    const std::size_t now = cycler.at_;
    cycler.at_ = (now + 1) % items.size();
    return items[now];
  }
  static Val reset(Interpreter&, const Val& self, CallArgs&) {
    static_cast<Cycler&>(*as_object(self)).at_ = 0;
    return None{};
  }
  const Val items_;
  std::size_t at_ = 0;
};

Val cycler(Interpreter& in, CallArgs& args) {
  if (args.positional.empty()) return in.fail("cycler() needs items");
  Val items = in.list(std::move(args.positional));
  return in.failed() ? Undefined{} : Val(ObjectPtr(std::make_shared<Cycler>(std::move(items))));
}

// joiner(', '): nothing at the first call, then the separator.
class Joiner final : public Object {
 public:
  explicit Joiner(Str separator) : separator_(std::move(separator)) {}
  std::string type_name() const override { return "Joiner"; }
  bool is_callable() const override { return true; }
  Val call(Interpreter&, CallArgs) override { return std::exchange(used_, true) ? Val(separator_) : string_val(""); }

 private:
  const Str separator_;
  bool used_ = false;
};

Val joiner(Interpreter& in, CallArgs& args) {
  const Params params(in, "joiner()", args, {"sep"});
  if (!params.ok()) return Undefined{};
  Text separator = params[0] ? to_text(in, *params[0]) : Text(", ", true);
  return ObjectPtr(std::make_shared<Joiner>(std::make_shared<const Text>(std::move(separator))));
}

Val raise_exception(Interpreter& in, CallArgs& args) {
  const Params params(in, "raise_exception()", args, {"message"}, 1);
  if (params.ok()) in.fail_with(to_text(in, *params[0]).bytes());
  return Undefined{};
}

// "2026-07-26T10:00:00" or a part of it from the left.
std::optional<std::tm> parse_time(std::string_view text) {
  const auto number = [&](std::size_t at, std::size_t digits, int otherwise) {
    int value = otherwise;
    if (at + digits <= text.size()) std::from_chars(text.data() + at, text.data() + at + digits, value);
    return value;
  };
  std::tm time{};
  time.tm_year = number(0, 4, 1970) - 1900;
  time.tm_mon = number(5, 2, 1) - 1;
  time.tm_mday = number(8, 2, 1);
  time.tm_hour = number(11, 2, 0);
  time.tm_min = number(14, 2, 0);
  time.tm_sec = number(17, 2, 0);
  if (time.tm_mon < 0 || time.tm_mon > 11 || timegm(&time) == -1)
    return std::nullopt;  // timegm sets the day of the week
  return time;
}

Val strftime_now(Interpreter& in, CallArgs& args) {
  const Params params(in, "strftime_now()", args, {"format"}, 1);
  if (!params.ok()) return Undefined{};
  const auto time = parse_time(in.now());
  const std::string format = to_text(in, *params[0]).bytes();
  constexpr std::size_t kFormatMax = 200;
  if (!time || format.size() > kFormatMax) return in.fail("strftime_now(): no time, or a format over 200 bytes");
  std::string buffer(kFormatMax * 32, '\0');
  buffer.resize(std::strftime(buffer.data(), buffer.size(), format.c_str(), &*time));
  return string_val(buffer);
}

struct Row {
  std::string_view name;
  Function function;
};

constexpr Row kRows[] = {
    {"range", range},
    {"dict", dict_function},
    {"namespace", namespace_function},
    {"cycler", cycler},
    {"joiner", joiner},
    {"raise_exception", raise_exception},
    {"strftime_now", strftime_now},
};

}  // namespace

ObjectPtr make_function(std::string_view name) {
  if (name == "dict") return std::make_shared<FunctionObject>(dict_function, "fromkeys", dict_fromkeys);
  for (const Row& row : kRows)
    if (row.name == name) return std::make_shared<FunctionObject>(row.function);
  return nullptr;
}

}  // namespace kvasir::jinja
