#include "gateway/canonical/edits.h"

namespace kvasir {
namespace {

std::optional<Value> edit_array(const Value::Array& array, const TextEdit& edit) {
  std::optional<Value::Array> changed;
  for (std::size_t i = 0; i < array.size(); ++i) {
    std::optional<Value> element = edit_strings(array[i], edit);
    if (!element) continue;
    if (!changed) changed = array;
    (*changed)[i] = std::move(*element);
  }
  return changed ? std::optional<Value>(std::move(*changed)) : std::nullopt;
}

std::optional<Value> edit_object(const Value::Object& object, const TextEdit& edit) {
  std::optional<Value::Object> changed;
  for (std::size_t i = 0; i < object.members.size(); ++i) {
    std::optional<Value> member = edit_strings(object.members[i].second, edit);
    if (!member) continue;
    if (!changed) changed = object;
    changed->source.reset();
    changed->members[i].second = std::move(*member);
  }
  return changed ? std::optional<Value>(std::move(*changed)) : std::nullopt;
}

}  // namespace

std::optional<Value> edit_member(const Value& object, std::string_view name, const ValueEdit& edit) {
  const Value* member = object.find(name);
  std::optional<Value> changed = member ? edit(*member) : std::nullopt;
  if (!changed) return std::nullopt;
  Value::Object copy = *object.as_object();
  copy.set(std::string(name), std::move(*changed));
  return copy;
}

void edit_tools(Conversation& conversation, RuleChanges& changes, const ValueEdit& edit) {
  for (std::size_t i = 0; i < conversation.tools.size(); ++i) {
    std::optional<Value> changed = edit(conversation.tools[i]);
    if (!changed) continue;
    conversation.tools[i] = std::move(*changed);
    changes.tool(static_cast<std::uint32_t>(i));
  }
}

std::optional<Value> edit_strings(const Value& value, const TextEdit& edit) {
  if (const std::string* text = value.as_string()) {
    std::optional<std::string> changed = edit(*text);
    return changed ? std::optional<Value>(std::move(*changed)) : std::nullopt;
  }
  if (const Value::Array* array = value.as_array()) return edit_array(*array, edit);
  if (const Value::Object* object = value.as_object()) return edit_object(*object, edit);
  return std::nullopt;
}

void edit_what_was_said(Conversation& conversation, RuleChanges& changes, const TextEdit& edit) {
  for (Message& message : conversation.messages) {
    if (message.role == "assistant") continue;
    std::optional<std::string> changed = edit(message.content);
    if (!changed) continue;
    message.content = std::move(*changed);
    message.parts.clear();
    changes.message(message.place);
  }
  edit_tools(conversation, changes, [&](const Value& tool) { return edit_strings(tool, edit); });
}

void append_paragraph(Message& message, std::string_view paragraph) {
  while (message.content.ends_with('\r')) message.content.pop_back();
  message.content.append("\n\n").append(paragraph);
  message.parts.clear();
}

std::size_t head_messages(const Conversation& conversation) {
  std::size_t n = 0;
  while (n < conversation.messages.size() && conversation.messages[n].role == "system") ++n;
  return n;
}

}  // namespace kvasir
