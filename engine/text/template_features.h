#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/text/chat_template.h"

namespace kvasir {

// What a chat template does with the parts of a conversation, so that a conversation can be given to it in the form it
// understands, and so that people can see what their model can do.
struct TemplateFeatures {
  enum class Content : std::uint8_t { text, parts, either, none };  // a message's content: a string, a list of parts
  enum class System : std::uint8_t {
    refused,       // an error
    dropped,       // accepted, not printed
    own_turn,      // a turn before the user's
    in_user_turn,  // at the head of the first user turn
  };
  // A system message between later turns. `moved`: printed before the turns that were earlier.
  enum class LateSystem : std::uint8_t { refused, dropped, in_place, moved };
  // `arguments` of a tool call that come out as their JSON or in the model's own notation: a JSON object, its text,
  // both; `none`: neither, or calls are not printed.
  enum class Arguments : std::uint8_t { none, object, text, either };
  // `reasoning_content` of assistant turns: `current`: only of those behind the last user turn, which is what a model
  // sees between its tool calls.
  enum class Reasoning : std::uint8_t { dropped, current, always };

  Content content = Content::none;  // none: a user's words are not printed, or the template always fails
  System system = System::refused;
  LateSystem late_system = LateSystem::refused;
  bool alternation_enforced = false;  // two user turns in a row are refused
  bool user_required = false;         // a conversation without a user turn is refused
  bool generation_prompt = false;     // add_generation_prompt opens the assistant's turn
  bool starts_with_bos = false;       // prints the BOS token itself

  std::string tools_variable = {};  // through which it takes the tools that it prints: tools; empty: it prints none
  bool empty_tools_needed = false;  // no tools must be an empty list: none is refused
  bool tool_calls = false;          // prints an assistant's tool_calls
  bool parallel_calls = false;      // several in one message
  bool tool_results = false;        // prints messages of the role tool
  bool result_names = false;        // ... and looks at their `name`
  Arguments arguments = Arguments::none;
  bool null_content = false;  // null beside tool_calls is like no content; false: it is refused or printed as a word
  bool call_ids = false;      // prints ids of calls
  bool call_ids_required = false;
  std::uint32_t call_id_length = 0;  // other lengths are refused; 0: any

  std::string reasoning_field = {};  // of an assistant message; empty: none
  Reasoning reasoning = Reasoning::dropped;
  bool thinking_parts = false;         // takes reasoning as a part {"type": "thinking", "thinking": ...} of the content
  bool think_tags_removed = false;     // <think>...</think> in the content of earlier turns is left out
  std::string thinking_variable = {};  // enable_thinking, ...: a boolean that changes the prompt; empty: none
  bool reasoning_effort = false;       // the variable of this name (low, medium, high) changes the prompt
  bool opens_reasoning = false;        // the generation prompt ends in an open reasoning block, nothing else said

  bool clock = false;  // the prompt depends on the time of day or the date
};

// Finds out by rendering conversations made of words that stand nowhere else and looking where they come out; names
// nothing that the template does not react to. Never fails; about fifty small renderings, a few milliseconds.
TemplateFeatures detect_template_features(const ChatTemplate& chat_template, std::string_view bos_text,
                                          std::string_view eos_text);

}  // namespace kvasir
