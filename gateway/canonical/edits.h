#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/canonical/rules.h"

namespace kvasir {

// Gives the new form of a text or value; nothing: it stays.
using TextEdit = std::function<std::optional<std::string>(std::string_view text)>;
using ValueEdit = std::function<std::optional<Value>(const Value& value)>;

// Sets a member of a copy of the object, where the edit changes it. Nothing when it has no such member.
std::optional<Value> edit_member(const Value& object, std::string_view name, const ValueEdit& edit);

// Every tool by the edit; the changed ones are counted.
void edit_tools(Conversation& conversation, RuleChanges& changes, const ValueEdit& edit);

// Every string in the value, at any depth; names of members stay.
std::optional<Value> edit_strings(const Value& value, const TextEdit& edit);

// What was said to the model: contents of messages but the assistant's, and all strings of the tools.
void edit_what_was_said(Conversation& conversation, RuleChanges& changes, const TextEdit& edit);

// Another paragraph of a message's text. A carriage return at the end goes: it would be half of a line's end.
void append_paragraph(Message& message, std::string_view paragraph);

// The system messages that stand before the first turn: [0, n).
std::size_t head_messages(const Conversation& conversation);

}  // namespace kvasir
