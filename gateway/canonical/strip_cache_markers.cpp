#include <algorithm>
#include <array>

#include "gateway/canonical/edits.h"

namespace kvasir {
namespace {

constexpr std::array<std::string_view, 2> kMarkers{"cache_control", "prompt_cache_breakpoint"};

std::optional<Value> without_markers(const Value& value) {
  const Value::Object* object = value.as_object();
  const auto is_marker = [](const auto& member) {
    return std::find(kMarkers.begin(), kMarkers.end(), member.first) != kMarkers.end();
  };
  if (!object || std::none_of(object->members.begin(), object->members.end(), is_marker)) return std::nullopt;
  Value::Object rest = *object;
  rest.source.reset();
  std::erase_if(rest.members, is_marker);
  return Value(std::move(rest));
}

// On the tool or call itself or on its function; a parameter may well be called so.
std::optional<Value> without_own_markers(const Value& outer) {
  const std::optional<Value> inner = edit_member(outer, "function", without_markers);
  std::optional<Value> all = without_markers(inner ? *inner : outer);
  return all ? all : inner;
}

}  // namespace

void strip_cache_markers(Conversation& conversation, const RuleContext&, RuleChanges& changes) {
  edit_tools(conversation, changes, without_own_markers);
  for (Message& message : conversation.messages)
    for (std::size_t i = 0; i < message.tool_calls.size(); ++i) {
      std::optional<Value> changed = without_own_markers(message.tool_calls[i]);
      if (!changed) continue;
      message.tool_calls[i] = std::move(*changed);
      changes.call(message.place, static_cast<std::uint32_t>(i));
    }
}

}  // namespace kvasir
