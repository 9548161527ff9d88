#include "gateway/api/template_variables.h"

#include <algorithm>
#include <string>

#include "gateway/json/json.h"
#include "storage/base/hash.h"

namespace kvasir {
namespace {

using F = TemplateFeatures;

Value part(std::string_view type, std::string_view member, const std::string& text) {
  Value::Object object;
  object.set("type", type);
  object.set(std::string(member), text);
  return object;
}

bool is_alphanumeric(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

// The id itself where the template takes it, else letters and digits that follow from it.
std::string fitting_id(const std::string& id, const F& features) {
  if (features.call_id_length == 0 || (id.size() == features.call_id_length && is_alphanumeric(id))) return id;
  const Sha256Digest digest = Sha256().update(id).finish();
  return to_hex(digest).substr(0, features.call_id_length);
}

// The object's JSON as it was written, or written anew.
std::string json_of(const Value& value) {
  const Value::Object* object = value.as_object();
  return object && object->source ? *object->source : to_json(value);
}

Value fitting_arguments(const Value& arguments, const F& features) {
  if (features.arguments == F::Arguments::text && !arguments.as_string()) return json_of(arguments);
  return arguments;
}

Value fitting_call(const Value& call, const F& features) {
  const Value* inner = call.find("function");
  if (!call.as_object() || !inner || !inner->as_object()) return call;
  Value::Object outer = *call.as_object(), function = *inner->as_object();
  if (const Value* arguments = function.find("arguments"))
    function.set("arguments", fitting_arguments(*arguments, features));
  outer.set("function", std::move(function));
  if (const Value* id = outer.find("id"); id && id->as_string())
    outer.set("id", fitting_id(*id->as_string(), features));
  return outer;
}

// The parts as they were sent, where the template takes parts.
Value as_sent(const Message& message) {
  Value::Array parts;
  for (const std::string& text : message.parts) parts.push_back(part("text", "text", text));
  return parts;
}

Value content_of(const Message& message, const F& features) {
  const bool thinks = features.thinking_parts && features.reasoning_field.empty() && !message.reasoning.empty();
  if (thinks) {
    Value::Array parts{part("thinking", "thinking", message.reasoning)};
    if (!message.content.empty()) parts.push_back(part("text", "text", message.content));
    return parts;
  }
  if (message.content_is_null && features.null_content) return {};
  const bool takes_parts = features.content == F::Content::parts || features.content == F::Content::either;
  if (takes_parts && !message.parts.empty()) return as_sent(message);
  if (features.content == F::Content::parts) return Value::Array{part("text", "text", message.content)};
  return message.content;
}

// The name of the tool whose call has this id; empty where there is none.
std::string called_name(const std::vector<Message>& messages, const std::string& id) {
  for (const Message& message : messages)
    for (const Value& call : message.tool_calls) {
      const Value* own = call.find("id");
      const Value* function = call.find("function");
      const Value* name = function ? function->find("name") : nullptr;
      if (own && own->as_string() && *own->as_string() == id && name && name->as_string()) return *name->as_string();
    }
  return {};
}

Value to_value(const Message& message, const Conversation& conversation, const F& features) {
  Value::Object object;
  object.set("role", message.role);
  object.set("content", content_of(message, features));
  const bool named = !message.name.empty() || message.role != "tool" || !features.result_names;
  const std::string name = named ? message.name : called_name(conversation.messages, message.tool_call_id);
  if (!name.empty()) object.set("name", name);
  if (!message.tool_call_id.empty()) object.set("tool_call_id", fitting_id(message.tool_call_id, features));
  if (!message.reasoning.empty()) {
    object.set("reasoning_content", message.reasoning);
    if (!features.reasoning_field.empty()) object.set(features.reasoning_field, message.reasoning);
  }
  if (message.tool_calls.empty()) return object;
  Value::Array calls;
  for (const Value& call : message.tool_calls) calls.push_back(fitting_call(call, features));
  object.set("tool_calls", std::move(calls));
  return object;
}

void set_tools(Value::Object& variables, const Value::Array& tools, const F& features) {
  const bool none = tools.empty() && !features.empty_tools_needed;
  variables.set("tools", none ? Value() : Value(tools));
  if (!tools.empty() && !features.tools_variable.empty()) variables.set(features.tools_variable, tools);
}

void set_thinking(Value::Object& variables, const F& features) {
  const Value* effort = variables.find("reasoning_effort");
  const std::string* words = effort ? effort->as_string() : nullptr;
  if (!words || *words != "none" || features.thinking_variable.empty()) return;
  if (!variables.find(features.thinking_variable)) variables.set(features.thinking_variable, false);
}

}  // namespace

Value template_variables(const Conversation& conversation, const TemplateFeatures& features, std::string_view bos_text,
                         std::string_view eos_text) {
  Value::Array messages;
  messages.reserve(conversation.messages.size());
  for (const Message& message : conversation.messages) messages.push_back(to_value(message, conversation, features));
  Value::Object variables;
  variables.set("messages", std::move(messages));
  set_tools(variables, conversation.tools, features);
  variables.set("add_generation_prompt", conversation.add_generation_prompt);
  variables.set("bos_token", bos_text);
  variables.set("eos_token", eos_text);
  for (const auto& [name, value] : conversation.template_variables.members) variables.set(name, value);
  set_thinking(variables, features);
  return variables;
}

}  // namespace kvasir
