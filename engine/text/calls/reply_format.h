#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/chat_template.h"

namespace kvasir {

// Literal texts in their order; the parser takes any white space, or none, before each. Empty: nothing stands there.
using Markers = std::vector<std::string>;

// The lines of a text as markers, without the white space around them.
Markers markers_of(std::string_view text);

// How the calls of one notation are written:
//
//   section_open  call_open HEADER header_end ARGUMENTS call_close  ...  section_close
//
// An envelope is a JSON object with name and arguments in it (`{"name": ..., "arguments": {...}}`): it has no header,
// one or several of them (with or without a JSON list) stand between call_open and call_close.
struct CallNotation {
  enum class Body : std::uint8_t {
    envelope,    // JSON object with a field for the name and one for the arguments
    keyed,       // JSON object {NAME: {arguments}}
    json,        // the arguments' JSON object after the header
    parameters,  // parameter_open KEY key_end [attributes value_open] VALUE value_close, repeated
    gemma,       // {key:<quote>text<quote>,n:3}: converted to JSON when the call ends
    python,      // [name(key="text", n=3), ...] or name.call(...): converted to JSON when the call ends
  };
  Body body = Body::envelope;
  Markers section_open, section_close;
  Markers call_open, call_close;
  std::string header_end;
  std::string id_end;  // the header is ID id_end NAME; empty: it starts with the name
  std::string name_field = "name", arguments_field = "arguments", id_field = "id";  // of an envelope
  std::string parameter_open, key_end, value_open, value_close;
  bool value_lines = false;  // a value stands on lines of its own: a line feed at its start and end is not part of it
  bool value_tree = false;   // arrays and objects are written as elements within elements (value_open is their mark)
  bool cdata = false;        // values may stand in <![CDATA[ ]]>
  std::string quote;         // gemma: what stands around strings
  bool bare = false;         // an envelope without markers: only a reply (after its reasoning) that starts with it
};

// How a model writes its replies: reasoning, tool calls, and what else stands around the content and is not part of it.
struct ReplyFormat {
  std::string reasoning_open, reasoning_close;  // empty: no reasoning
  std::vector<CallNotation> calls;
  std::string content_lead;  // white space that the template prints between the turn's opening and the content
  Markers hidden;            // frames around content: `<|START_RESPONSE|>`
  // A reply of several messages: each has a header that ends with channel_end and says whether it is reasoning
  // ("analysis", "to=self"), a call ("to=functions.NAME", with JSON after it) or content; channel_start is before each
  // but the first. Empty: no such thing.
  std::string channel_start, channel_end;
  bool calls_are_printed = false;  // the template prints calls of the history, so `calls` is what it showed

  // A prompt that ends with `tail` has opened the reasoning already.
  bool opens_reasoning(std::string_view tail) const;
  // One line for people: "reasoning <think>; calls: JSON in <tool_call>".
  std::string describe() const;
};

// What a chat template shows of its model's format: conversations with a known call and a known reasoning are rendered
// and what stands around them is read off; where the template prints no calls, markers that its source mentions
// count, and at last the notation most models know (JSON in <tool_call>). Never fails. Renders about ten prompts.
ReplyFormat detect_reply_format(const ChatTemplate& chat_template, std::string_view source, std::string_view bos_text,
                                std::string_view eos_text);

// Without a chat template: <think> and <tool_call>.
ReplyFormat default_reply_format();

}  // namespace kvasir
