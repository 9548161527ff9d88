#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/calls/argument_text.h"
#include "engine/text/calls/envelope_reader.h"
#include "engine/text/calls/json_scanner.h"
#include "engine/text/calls/reply_format.h"
#include "engine/text/calls/tool_schemas.h"

namespace kvasir {

// A piece of a reply. Of one reply, in order: the texts of all events but call_begin and arguments are the reply as the
// model wrote it, nothing lost and nothing twice.
struct ReplyEvent {
  enum class Kind : std::uint8_t {
    content,
    reasoning,
    hidden,       // markers, and white space next to them
    call_begin,   // name and, where the model wrote one, id; `text` is empty
    arguments,    // more of the JSON text of the call's arguments
    call_end,     // the call is whole; `text`: as the model wrote it, markers included
    call_broken,  // it began and then turned out malformed or unfinished; `text`: as the model wrote it until there,
                  // `rest`: the part of that which no arguments event has given
  };
  Kind kind = Kind::content;
  std::string text;
  std::string name, id;
  std::string rest;
};

// Splits a reply into content, reasoning and tool calls while it is generated. The events (neighbours of one kind taken
// together) do not depend on how the text is cut.
//
// A call is one only if it is complete and names one of `tools`; else its text is content. call_begin comes when the
// name is known and the arguments begin, so that they can be streamed; only what breaks after that is call_broken. At
// the end of the reply a call lacks nothing if just its closing marker is missing.
// White space around calls, and line feeds around reasoning, belong to the markers.
//
// Linear in the text; holds back at most a marker and the white space before it, and for a call its own text.
// Single-threaded value; `format` outlives it.
class ReplyParser {
 public:
  // Without tools no calls are looked for. `in_reasoning`: the prompt has opened it (ReplyFormat::opens_reasoning).
  ReplyParser(const ReplyFormat& format, std::shared_ptr<const ToolSchemas> tools, bool in_reasoning);

  void push(std::string_view text);  // REQUIRES: not finished
  void finish();
  std::vector<ReplyEvent> take();  // what became known since the last time
  bool in_reasoning() const { return state_ == State::reasoning; }
  // Whether a control token with this text is to be pushed; others are not part of a reply.
  bool shows(std::string_view control_token) const;

 private:
  enum class State : std::uint8_t {
    content,
    reasoning,
    channel,     // in a message's header
    open,        // markers before a call's header or envelope
    header,      // up to header_end
    envelope,    // in an envelope
    next,        // after an envelope: another one, or the end
    json,        // in arguments after a header
    parameter,   // before a parameter or the end of the call
    key,         // in a parameter's name
    attributes,  // between its name and its value
    value,
    converted,  // up to call_close, to be converted as a whole
    close,      // markers after a call
    between,    // after a call of a section
  };
  enum class Step : std::uint8_t { again, wait };
  enum class Match : std::uint8_t { yes, no, unknown };
  // A text that ends the content before it.
  struct Trigger {
    std::string_view text;
    const CallNotation* notation = nullptr;  // null: hidden
    bool section = false;                    // opens a section of calls, else a call
  };

  Step step(bool at_end);
  Step in_content(bool at_end);
  Step in_reasoning_text(bool at_end);
  Step in_channel(bool at_end);
  Step in_open(bool at_end);
  Step in_header(bool at_end);
  Step in_envelope(bool at_end);
  Step in_next(bool at_end);
  Step in_json(bool at_end);
  Step in_parameter(bool at_end);
  Step in_key(bool at_end);
  Step in_attributes(bool at_end);
  Step in_value(bool at_end);
  Step in_converted(bool at_end);
  Step in_close(bool at_end);
  Step in_between(bool at_end);

  void add_triggers();
  bool starts_here(Step& result, bool at_end);
  void found(const Trigger& trigger);
  void begin(const CallNotation& notation, bool section);
  void begin_envelope();
  Step begin_message(std::size_t header);
  Match look(std::string_view marker, std::size_t& bytes, bool at_end) const;  // after white space
  Match expect(const Markers& markers, bool at_end);                           // takes what matches
  char next_byte() const;  // the first that is no white space; 0: none yet
  bool commit(std::string name, std::string id);
  bool commit_header(std::string_view header);
  void arguments(std::string_view text);
  void begin_value(std::string_view attributes);
  void stream_value(std::size_t end);
  Step end_value();
  bool convert();
  void call_done();
  Step after_call(State next);
  Step broken();

  std::string_view rest() const { return std::string_view(held_).substr(at_); }
  void take_raw(std::size_t bytes);  // to the call's text
  void hide(std::size_t bytes);      // to a hidden event
  void emit(ReplyEvent::Kind kind, std::string_view text);
  void emit_content(std::string_view text);
  void flush_spaces();

  const ReplyFormat* format_;
  std::shared_ptr<const ToolSchemas> tools_;
  std::vector<Trigger> triggers_;
  State state_ = State::content;
  std::string held_;  // not looked at yet, from at_ on
  std::size_t at_ = 0;
  std::string spaces_;          // white space that belongs to what comes next: content, or a marker
  bool fresh_ = true;           // no content since the reply, a reasoning or a call began: reasoning may start here
  bool after_markers_ = false;  // spaces_ follow a marker, so they belong to it
  bool any_call_ = false;
  bool at_start_ = true;  // nothing of the reply was given yet but white space
  std::vector<ReplyEvent> events_;

  // The call that is being read.
  const CallNotation* notation_ = nullptr;
  std::string raw_;            // as the model wrote it so far
  std::size_t raw_given_ = 0;  // of raw_, what arguments events have given
  bool committed_ = false;     // call_begin was given
  bool done_ = false;          // call_end was given: only markers are left
  bool list_ = false, at_value_start_ = false;
  const Markers* opening_ = nullptr;
  std::size_t marker_ = 0;  // of the markers that are expected, the next
  std::string name_;
  JsonScanner scanner_;
  EnvelopeReader envelope_;
  std::string key_, value_, value_close_;
  ValueType type_ = ValueType::unknown;
  std::size_t parameters_ = 0;
};

}  // namespace kvasir
