#include <memory>
#include <utility>

#include "gateway/canonical/rules.h"
#include "gateway/json/json.h"

namespace kvasir {
namespace {

const std::string* text_of(const Value& object, std::string_view member) {
  const Value* value = object.find(member);
  return value ? value->as_string() : nullptr;
}

Value with_source(const Value::Object& call, const Value::Object& function, Value::Object arguments,
                  std::string source) {
  arguments.source = std::make_shared<const std::string>(std::move(source));
  Value::Object inner = function, outer = call;
  inner.set("arguments", std::move(arguments));
  outer.set("function", std::move(inner));
  return outer;
}

// The call with the text that its model wrote; nothing where that is not known, is what was sent, or means something
// else: then the client changed it.
std::optional<Value> as_written(const Value& call, const RuleContext& context) {
  const Value* function = call.find("function");
  const std::string* id = text_of(call, "id");
  const std::string* name = function ? text_of(*function, "name") : nullptr;
  const Value* sent = function ? function->find("arguments") : nullptr;
  if (!id || !name || !sent || !sent->as_object()) return std::nullopt;
  std::optional<std::string> written = context.calls->arguments(context.salt, *id, *name);
  if (!written || (sent->as_object()->source && *sent->as_object()->source == *written)) return std::nullopt;
  const Result<Value> value = parse_json(*written);
  if (!value || !value->as_object() || !same_json(*value, *sent)) return std::nullopt;
  return with_source(*call.as_object(), *function->as_object(), *value->as_object(), std::move(*written));
}

}  // namespace

void keep_call_arguments(Conversation& conversation, const RuleContext& context, RuleChanges& changes) {
  if (!context.calls) return;
  for (Message& message : conversation.messages)
    for (std::size_t i = 0; i < message.tool_calls.size(); ++i) {
      std::optional<Value> call = as_written(message.tool_calls[i], context);
      if (!call) continue;
      message.tool_calls[i] = std::move(*call);
      changes.call(message.place, static_cast<std::uint32_t>(i));
    }
}

}  // namespace kvasir
