#include <algorithm>
#include <array>
#include <tuple>

#include "gateway/canonical/edits.h"

namespace kvasir {
namespace {

// As documentation shows tools, and so as models saw them; unknown members come behind, by name.
constexpr std::array<std::string_view, 6> kOrder{"type", "function", "name", "description", "parameters", "strict"};

std::size_t rank(const std::string& name) {
  return static_cast<std::size_t>(std::find(kOrder.begin(), kOrder.end(), name) - kOrder.begin());
}

bool is_before(const std::pair<std::string, Value>& a, const std::pair<std::string, Value>& b) {
  return std::forward_as_tuple(rank(a.first), a.first) < std::forward_as_tuple(rank(b.first), b.first);
}

std::optional<Value> laid_out(const Value& value) {
  const Value::Object* object = value.as_object();
  if (!object || std::is_sorted(object->members.begin(), object->members.end(), is_before)) return std::nullopt;
  Value::Object sorted = *object;
  sorted.source.reset();
  std::stable_sort(sorted.members.begin(), sorted.members.end(), is_before);
  return Value(std::move(sorted));
}

}  // namespace

void tool_layout(Conversation& conversation, const RuleContext&, RuleChanges& changes) {
  edit_tools(conversation, changes, [](const Value& tool) {
    const std::optional<Value> inner = edit_member(tool, "function", laid_out);
    std::optional<Value> outer = laid_out(inner ? *inner : tool);
    return outer ? outer : inner;
  });
}

}  // namespace kvasir
