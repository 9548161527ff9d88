#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/value.h"
#include "gateway/api/field_reader.h"

namespace kvasir {

// One message, whatever dialect it came in.
struct Message {
  std::string role;          // system | user | assistant | tool
  std::string content;       // text parts joined by line feeds
  std::string name;          // empty: none
  std::string tool_call_id;  // of a tool message
  std::string reasoning;     // an assistant's earlier reasoning, where the client sends it back
  Value::Array tool_calls;   // of an assistant message, as templates read them: arguments are data, not text
};

// A dialect-neutral prompt: what the chat template needs and nothing about delivery.
struct Conversation {
  std::vector<Message> messages;
  Value::Array tools;
  Value::Object template_variables;  // chat_template_kwargs, reasoning_effort
  bool add_generation_prompt = true;
};

// Reads OpenAI `messages`, `tools` and what belongs to them; problems are left in `fields`.
Conversation read_openai_conversation(FieldReader& fields);

// The variables a chat template sees.
Value template_variables(const Conversation& conversation, std::string_view bos_text, std::string_view eos_text);

}  // namespace kvasir
