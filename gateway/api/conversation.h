#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/value.h"
#include "gateway/api/field_reader.h"

namespace kvasir {

// One message, whatever dialect it came in.
struct Message {
  std::string role;              // system | user | assistant | tool
  std::string content;           // text parts joined by line feeds
  bool content_is_null = false;  // an assistant's that was null or absent beside its tool calls
  std::string name;              // empty: none
  std::string tool_call_id;      // of a tool message
  std::string reasoning;         // an assistant's earlier reasoning, where the client sends it back
  // Of an assistant message. Arguments that are the text of a JSON object are that object with its source (nothing is
  // an empty object); other text stays text.
  Value::Array tool_calls;
  std::vector<std::string> parts = {};  // the text parts of a content that was sent as a list; empty: it was a string
  std::uint32_t place = 0;              // its number in the request
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

}  // namespace kvasir
