#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "gateway/api/conversation.h"
#include "gateway/canonical/rules.h"
#include "gateway/json/json.h"
#include "storage/base/assert.h"

namespace kvasir::testing {

inline Conversation conversation_of(const std::string& body) {
  const Result<Value> value = parse_json(body);
  KVASIR_ASSERT(value.ok());
  FieldReader fields(*value->as_object());
  Conversation conversation = read_openai_conversation(fields);
  EXPECT_TRUE(fields.ok()) << (fields.ok() ? "" : fields.error().message);
  return conversation;
}

inline Message message_of(std::string role, std::string content) {
  Message message;
  message.role = std::move(role);
  message.content = std::move(content);
  return message;
}

// A user's "hi" behind these system words.
inline Conversation with_system(const std::string& words) {
  Conversation conversation =
      conversation_of(R"({"messages":[{"role":"system","content":"x"},{"role":"user","content":"hi"}]})");
  conversation.messages[0].content = words;
  return conversation;
}

inline Conversation with_tools(const std::string& tools) {
  return conversation_of(R"({"messages":[{"role":"user","content":"hi"}],"tools":)" + tools + "}");
}

// One line a conversation: "role=content;" of each message.
inline std::string words_of(const Conversation& conversation) {
  std::string out;
  for (const Message& message : conversation.messages) out += message.role + "=" + message.content + ";";
  return out;
}

inline std::string tools_of(const Conversation& conversation) { return to_json(conversation.tools); }

// What it changed: "2 messages[0] tools[1]".
inline std::string changes_by(RuleFunction rule, Conversation& conversation, const RuleContext& context = {}) {
  RuleChanges changes;
  rule(conversation, context, changes);
  std::string out = std::to_string(changes.count());
  for (const ChangePlace& place : changes.places()) out += " " + place.text();
  return out;
}

}  // namespace kvasir::testing
