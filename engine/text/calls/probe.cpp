#include "engine/text/calls/probe.h"

#include <algorithm>

namespace kvasir {
namespace {

constexpr std::string_view kNow = "2026-01-01T00:00:00";
constexpr std::string_view kQuestion = "probe question", kContent = "probe content", kReasoning = "probe reasoning";

Value object(std::initializer_list<std::pair<std::string, Value>> members) {
  Value::Object made;
  for (const auto& [name, value] : members) made.set(name, value);
  return made;
}

Value tool(std::string_view name) {
  const Value text = object({{"type", "string"}, {"description", "a text"}});
  const Value parameters = object({{"type", "object"},
                                   {"properties", object({{std::string(kKey1), text}, {std::string(kKey2), text}})},
                                   {"required", Value::Array{Value(kKey1)}}});
  return object({{"type", "function"},
                 {"function", object({{"name", name}, {"description", "a tool"}, {"parameters", parameters}})}});
}

Value call(std::string_view name, std::string_view id, bool as_text) {
  const Value arguments = object({{std::string(kKey1), kText1}, {std::string(kKey2), kText2}});
  const std::string text = "{\"" + std::string(kKey1) + "\": \"" + std::string(kText1) + "\", \"" + std::string(kKey2) +
                           "\": \"" + std::string(kText2) + "\"}";
  return object({{"id", id},
                 {"type", "function"},
                 {"function", object({{"name", name}, {"arguments", as_text ? Value(text) : arguments}})}});
}

Value assistant_with(Value::Array calls, bool null_content) {
  const Value content = null_content ? Value() : Value("");
  return object({{"role", "assistant"}, {"content", content}, {"tool_calls", std::move(calls)}});
}

std::size_t common_prefix(std::string_view a, std::string_view b) {
  std::size_t n = 0;
  while (n < std::min(a.size(), b.size()) && a[n] == b[n]) ++n;
  return n;
}

std::size_t common_suffix(std::string_view a, std::string_view b) {
  std::size_t n = 0;
  while (n < std::min(a.size(), b.size()) && a[a.size() - n - 1] == b[b.size() - n - 1]) ++n;
  return n;
}

// Back from a place inside of a marker such as "<|x|>" or "[X]" to its beginning.
std::size_t marker_start(std::string_view text, std::size_t place) {
  constexpr std::size_t kMarkerBytesMax = 48;
  const std::string_view before = text.substr(0, place);
  const std::size_t open = before.find_last_of("<[");
  if (open == std::string_view::npos || place - open > kMarkerBytesMax) return place;
  const char close = before[open] == '<' ? '>' : ']';
  return before.find(close, open) == std::string_view::npos ? open : place;
}

}  // namespace

TemplateProbe::TemplateProbe(const ChatTemplate& chat_template, std::string_view bos_text, std::string_view eos_text)
    : template_(chat_template), bos_text_(bos_text), eos_text_(eos_text) {}

std::optional<std::string> TemplateProbe::render(const Value& assistant, bool generation_prompt, bool with_tool) {
  Value::Array messages{object({{"role", "user"}, {"content", kQuestion}})};
  if (!assistant.is_null()) messages.push_back(assistant);
  if (with_tool)
    messages.push_back(
        object({{"role", "tool"}, {"tool_call_id", "probe0001"}, {"name", kCallName1}, {"content", "done"}}));
  const Value variables = object({{"messages", std::move(messages)},
                                  {"tools", Value::Array{tool(kCallName1), tool(kCallName2)}},
                                  {"add_generation_prompt", generation_prompt},
                                  {"bos_token", bos_text_},
                                  {"eos_token", eos_text_}});
  const Result<PromptText> prompt = template_.render(variables, kNow);
  return prompt ? std::optional(prompt->text()) : std::nullopt;
}

// What the turn holds between what every assistant's turn begins and ends with.
std::optional<std::string> TemplateProbe::printed_turn(const Value& assistant) {
  const auto plain = render(object({{"role", "assistant"}, {"content", kContent}}));
  const auto full = render(assistant);
  if (!full) return std::nullopt;
  const std::size_t content = plain ? plain->rfind(kContent) : std::string::npos;
  if (content == std::string::npos) return std::nullopt;
  const std::size_t common = common_prefix(std::string_view(*plain).substr(0, content), *full);
  const std::size_t begin = common == content ? content : marker_start(*full, common);
  const std::string_view plain_end = std::string_view(*plain).substr(content + kContent.size());
  std::string_view turn = std::string_view(*full).substr(begin);
  std::size_t end = common_suffix(plain_end, turn);
  while (end > 0 && end < plain_end.size()) {  // not from the middle of a marker
    const char c = turn[turn.size() - end];
    --end;
    if (c == '>' || c == ']') break;
  }
  turn.remove_suffix(end);
  return std::string(turn);
}

std::optional<TemplateProbe::Printed> TemplateProbe::printed(Arguments arguments, bool null_content) {
  const bool as_text = arguments == Arguments::text;
  const auto has = [](const std::optional<std::string>& turn, std::string_view text) {
    return turn && turn->find(text) != std::string::npos;
  };
  const Value first = call(kCallName1, kCallId1, as_text), second = call(kCallName2, kCallId2, as_text);
  const auto both = printed_turn(assistant_with({first, second}, null_content));
  if (has(both, kCallName1) && has(both, kCallName2) && has(both, kText1)) return Printed{*both, true};
  const auto one = printed_turn(assistant_with({first}, null_content));
  if (has(one, kCallName1) && has(one, kText1)) return Printed{*one, false};
  return std::nullopt;
}

std::string TemplateProbe::plain() {
  const Value assistant = object({{"role", "assistant"}, {"content", kContent}});
  return render(assistant).value_or("") + render(Value(), true).value_or("");
}

std::string TemplateProbe::content_lead() {
  const auto asked = render(Value(), true);
  const auto said = render(object({{"role", "assistant"}, {"content", kContent}}));
  if (!asked || !said || !said->starts_with(*asked)) return {};
  const std::string lead = said->substr(asked->size(), said->rfind(kContent) - std::min(asked->size(), said->size()));
  return lead.find_first_not_of(" \n") == std::string::npos ? lead : std::string();
}

std::optional<CallNotation> TemplateProbe::calls() {
  for (const bool null_content : {false, true})
    for (const Arguments arguments : {Arguments::object, Arguments::text})
      if (const auto turn = printed(arguments, null_content))
        if (auto notation = read_notation(turn->text, turn->two)) {
          arguments_as_text_ = arguments == Arguments::text;
          return notation;
        }
  return std::nullopt;
}

std::optional<std::pair<std::string, std::string>> TemplateProbe::reasoning() {
  // Some keep reasoning only of a turn that calls a tool.
  const Value calls = Value::Array{call(kCallName1, kCallId1, arguments_as_text_)};
  for (const bool with_call : {false, true})
    for (const std::string_view field : {"reasoning_content", "reasoning"}) {
      Value::Object message;
      message.set("role", "assistant");
      message.set("content", kContent);
      message.set(std::string(field), kReasoning);
      if (with_call) message.set("tool_calls", calls);
      const auto text = render(Value(message), false, with_call);
      const std::size_t place = text ? text->find(kReasoning) : std::string::npos;
      if (place == std::string::npos) continue;
      const std::size_t after = place + kReasoning.size();
      std::size_t end = text->find(with_call ? kCallName1 : kContent, after);
      const std::size_t content = text->find(kContent, after);
      end = std::min({end, content, text->size()});
      return std::pair(text->substr(0, place), text->substr(after, end - after));
    }
  return std::nullopt;
}

}  // namespace kvasir
