#include "engine/text/calls/reply_format.h"

#include <algorithm>
#include <array>

#include "engine/text/calls/json_scanner.h"
#include "engine/text/calls/probe.h"
#include "engine/text/calls/reply_parser.h"

namespace kvasir {
namespace {

using Body = CallNotation::Body;

struct Pair {
  std::string_view open, close;
};

// Reasoning marks that a template's source may mention without printing them around reasoning_content.
constexpr std::array kReasoningMarks = {
    Pair{"<think>", "</think>"},
    Pair{"[THINK]", "[/THINK]"},
    Pair{"<seed:think>", "</seed:think>"},
    Pair{"<|START_THINKING|>", "<|END_THINKING|>"},
    Pair{"<|inner_prefix|>", "<|inner_suffix|>"},
};

// Frames of the content: hidden where the source has them.
constexpr std::array<std::string_view, 7> kFrames = {
    "<|START_RESPONSE|>",      "<|END_RESPONSE|>", "<|open|>response<|sep|>", "<|close|>response<|sep|>",
    "<|close|>message<|sep|>", "<|content|>",      "<|begin|>assistant"};

CallNotation envelope(std::string_view open, std::string_view close) {
  CallNotation notation;
  notation.call_open = markers_of(open);
  notation.call_close = markers_of(close);
  notation.bare = open.empty();
  return notation;
}

CallNotation fenced(std::string_view open) {
  CallNotation notation = envelope(open, "```");
  notation.bare = true;
  return notation;
}

CallNotation after_header(std::string_view open, std::string_view header_end, std::string_view close) {
  CallNotation notation = envelope(open, close);
  notation.body = Body::json;
  notation.header_end = header_end;
  return notation;
}

CallNotation python(std::string_view open, std::string_view close) {
  CallNotation notation = envelope(open, close);
  notation.body = Body::python;
  return notation;
}

// Notations by a marker in the source of a template that prints no calls.
std::vector<CallNotation> mentioned(std::string_view source) {
  const auto has = [source](std::string_view text) { return source.find(text) != std::string_view::npos; };
  if (has("[TOOL_CALLS]") && has("[ARGS]")) return {after_header("[TOOL_CALLS]", "[ARGS]", "")};
  if (has("[TOOL_CALLS]")) return {envelope("[TOOL_CALLS]", "")};
  if (has("<|tool_call_start|>") || has("<|tool_list_start|>"))
    return {python("<|tool_call_start|>", "<|tool_call_end|>")};
  if (has("<function=") && has("<parameter=")) {
    CallNotation coder = after_header("<tool_call>\n<function=", ">", "</function>\n</tool_call>");
    coder.body = Body::parameters;
    coder.parameter_open = "<parameter=";
    coder.key_end = ">";
    coder.value_close = "</parameter>";
    coder.value_lines = true;
    return {coder};
  }
  if (has("<function=")) return {after_header("<function=", ">", "</function>")};
  if (has("<|tool_calls_section_begin|>")) {
    CallNotation kimi = after_header("<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>");
    kimi.section_open = {"<|tool_calls_section_begin|>"};
    kimi.section_close = {"<|tool_calls_section_end|>"};
    return {kimi};
  }
  if (has("<|channel|>") && has("<|message|>")) return {};  // calls are messages
  if (has("<|tool_call|>")) return {envelope("<|tool_call|>", "")};
  if (has("functools[")) return {envelope("functools", "")};
  if (has("<TOOLCALL>")) return {envelope("<TOOLCALL>", "</TOOLCALL>")};
  if (has("<start_of_turn>"))
    return {fenced("```tool_code"), fenced("```json"), envelope("<tool_call>", "</tool_call>"), envelope("", "")};
  return {envelope("<tool_call>", "</tool_call>"), python("<|tool_call_start|>", "<|tool_call_end|>")};
}

// Takes `text` from the beginning of the first marker.
void strip_front(Markers& markers, std::string_view text) {
  if (text.empty() || markers.empty() || !markers.front().starts_with(text)) return;
  markers.front().erase(0, text.size());
  if (markers.front().empty()) markers.erase(markers.begin());
}

// The turn's end is no part of a call: it is a control token, which ends the reply before it would be text.
void cut_at(Markers& markers, std::string_view text) {
  if (text.empty()) return;
  for (std::size_t i = 0; i < markers.size(); ++i) {
    const std::size_t place = markers[i].find(text);
    if (place == std::string::npos) continue;
    markers[i].resize(place);
    markers.resize(place == 0 ? i : i + 1);
    return;
  }
}

// Reasoning and frames that the template printed before the calls have their own marks.
void tidy(ReplyFormat& format, std::string_view eos_text) {
  for (CallNotation& notation : format.calls) {
    Markers& open = notation.section_open.empty() ? notation.call_open : notation.section_open;
    strip_front(open, format.reasoning_open);
    strip_front(open, format.reasoning_close);
    for (const std::string& frame : format.hidden) strip_front(open, frame);
    cut_at(notation.call_close, eos_text);
    cut_at(notation.section_close, eos_text);
    if (notation.body == Body::envelope && notation.call_close.size() > 1) notation.call_close.resize(1);
    constexpr std::string_view kNamespace = "functions.";  // of Kimi: it belongs to the header, which is the id
    if (!notation.call_open.empty() && notation.call_open.back().ends_with(kNamespace))
      notation.call_open.back().resize(notation.call_open.back().size() - kNamespace.size());
  }
}

// What models write besides what their template prints.
void add_variants(ReplyFormat& format, std::string_view source) {
  std::vector<CallNotation>& calls = format.calls;
  const bool meta = source.find("<|python_tag|>") != std::string_view::npos ||
                    source.find("<|start_header_id|>") != std::string_view::npos;
  if (!calls.empty() && calls.front().bare && meta) {
    CallNotation tagged = calls.front();
    tagged.bare = false;
    tagged.call_open = {"<|python_tag|>"};
    calls.push_back(tagged);
    calls.push_back(python("<|python_tag|>", ""));
  }
  for (std::size_t i = 0; i < calls.size(); ++i)  // fenced code may be a call as in Python
    if (calls[i].call_open == Markers{"```tool_code"} && calls[i].body == Body::envelope)
      calls.push_back(python("```tool_code", "```"));
  // Qwen3-Coder often leaves out the first line of a call.
  const CallNotation first = calls.empty() ? CallNotation{} : calls.front();
  if (first.body == Body::parameters && first.section_open.empty() && first.call_open.size() == 2 &&
      first.call_close.size() == 2) {
    CallNotation inner = first;
    inner.call_open.erase(inner.call_open.begin());
    inner.call_close.pop_back();
    calls.push_back(inner);
  }
}

std::string_view last_marker(std::string_view text) {
  text = trimmed(text);
  const std::size_t place = text.find_last_of("<[");
  return place == std::string_view::npos ? text : text.substr(place);
}

std::string_view first_marker(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return text;
  const std::size_t end = text.find(text.front() == '[' ? ']' : '>');
  return end == std::string_view::npos ? text : text.substr(0, end + 1);
}

bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

// `<|open|>think<|sep|>` and `<|close|>think<|sep|>`: one word between two marks.
std::optional<std::pair<std::string, std::string>> word_marks(std::string_view before, std::string_view after) {
  before = trimmed(before);
  after = trimmed(after);
  const std::string_view right = last_marker(before), left = first_marker(after);
  const std::string_view middle = before.substr(0, before.size() - right.size());
  const std::size_t start = middle.rfind('>');
  if (start == std::string_view::npos) return std::nullopt;
  const std::string_view word = middle.substr(start + 1);
  const std::string closing = std::string(left) + std::string(word) + std::string(right);
  if (!is_word(word) || !after.starts_with(closing)) return std::nullopt;
  const std::size_t open = middle.rfind('<');
  return std::pair(std::string(before.substr(open)), closing);
}

void find_reasoning(ReplyFormat& format, TemplateProbe& probe, std::string_view source) {
  const auto is_marker = [](std::string_view text) {
    return text.size() > 2 && (text.front() == '<' || text.front() == '[');
  };
  if (const auto printed = probe.reasoning()) {
    const auto words = word_marks(printed->first, printed->second);
    format.reasoning_open = words ? words->first : std::string(last_marker(printed->first));
    format.reasoning_close = words ? words->second : std::string(first_marker(printed->second));
    if (is_marker(format.reasoning_open) && is_marker(format.reasoning_close)) return;
  }
  format.reasoning_open.clear();
  format.reasoning_close.clear();
  for (const Pair& marks : kReasoningMarks)
    if (source.find(marks.close) != std::string_view::npos && source.find(marks.open) != std::string_view::npos) {
      format.reasoning_open = marks.open;
      format.reasoning_close = marks.close;
      return;
    }
  if (source.find("</think>") != std::string_view::npos) {
    format.reasoning_open = "<think>";
    format.reasoning_close = "</think>";
  }
}

// Messages with headers, as in Harmony.
void find_channels(ReplyFormat& format, std::string_view source) {
  const auto has = [source](std::string_view text) { return source.find(text) != std::string_view::npos; };
  const bool to_self = has("to=self<|message|>");
  if (!to_self && !(has("<|channel|>") && has("<|message|>") && has("analysis"))) return;
  format.channel_start = "<|start|>assistant";
  format.channel_end = "<|message|>";
  format.reasoning_open.clear();
  format.reasoning_close = to_self ? "<|eom|>" : "<|end|>";
  format.hidden.push_back(format.reasoning_close);
  format.hidden.push_back(format.channel_start);
}

std::string joined(const Markers& markers) {
  std::string text;
  for (const std::string& marker : markers) text += (text.empty() ? "" : " ") + marker;
  return text;
}

std::string describe_calls(const CallNotation& notation) {
  const std::string open =
      joined(notation.section_open) + (notation.section_open.empty() ? "" : " ") + joined(notation.call_open);
  const std::string place = open.empty() ? "as the whole reply" : "after " + open;
  switch (notation.body) {
    case Body::envelope:
      return "JSON with " + notation.name_field + " and " + notation.arguments_field + " " + place;
    case Body::keyed:
      return "JSON {name: arguments} " + place;
    case Body::json:
      return "name and JSON arguments " + place;
    case Body::parameters:
      return "parameters as elements " + place;
    case Body::gemma:
      return "name{key:value} " + place;
    case Body::python:
      return "name(key=value) " + place;
  }
  return {};
}

}  // namespace

bool ReplyFormat::opens_reasoning(std::string_view tail) const {
  return !reasoning_open.empty() && trimmed(tail).ends_with(trimmed(reasoning_open));
}

std::string ReplyFormat::describe() const {
  std::string text = reasoning_close.empty()  ? "no reasoning"
                     : reasoning_open.empty() ? "reasoning in messages of its own"
                                              : "reasoning in " + reasoning_open;
  text += calls_are_printed ? "; calls: " : "; calls (the template prints none): ";
  if (calls.empty()) return text + (channel_end.empty() ? "none" : "in messages to=functions.NAME");
  return text + describe_calls(calls.front());
}

ReplyFormat default_reply_format() {
  ReplyFormat format;
  format.reasoning_open = "<think>";
  format.reasoning_close = "</think>";
  format.calls = {envelope("<tool_call>", "</tool_call>")};
  return format;
}

ReplyFormat detect_reply_format(const ChatTemplate& chat_template, std::string_view source, std::string_view bos_text,
                                std::string_view eos_text) {
  ReplyFormat format;
  TemplateProbe probe(chat_template, bos_text, eos_text);
  if (auto notation = probe.calls()) {
    format.calls = {std::move(*notation)};
    format.calls_are_printed = true;
  } else {
    format.calls = mentioned(source);
  }
  find_reasoning(format, probe, source);
  const std::string plain = probe.plain();
  format.content_lead = probe.content_lead();
  for (CallNotation& notation : format.calls)
    notation.cdata = notation.body == Body::parameters && source.find("<![CDATA[") != std::string_view::npos;
  for (const std::string_view frame : kFrames)
    if (source.find(frame) != std::string_view::npos || plain.find(frame) != std::string::npos)
      format.hidden.emplace_back(frame);
  find_channels(format, source);
  tidy(format, eos_text);
  add_variants(format, source);
  return format;
}

}  // namespace kvasir
