#include <algorithm>

#include "gateway/canonical/edits.h"

namespace kvasir {
namespace {

bool is_before(const std::pair<std::string, Value>& a, const std::pair<std::string, Value>& b) {
  return a.first < b.first;
}

std::optional<Value> sorted(const Value& value);

std::optional<Value> sorted_within(const Value::Array& array) {
  std::optional<Value::Array> changed;
  for (std::size_t i = 0; i < array.size(); ++i) {
    std::optional<Value> element = sorted(array[i]);
    if (!element) continue;
    if (!changed) changed = array;
    (*changed)[i] = std::move(*element);
  }
  return changed ? std::optional<Value>(std::move(*changed)) : std::nullopt;
}

std::optional<Value> sorted_object(const Value::Object& object) {
  std::optional<Value::Object> changed;
  if (!std::is_sorted(object.members.begin(), object.members.end(), is_before)) changed = object;
  for (std::size_t i = 0; i < object.members.size(); ++i) {
    std::optional<Value> member = sorted(object.members[i].second);
    if (!member) continue;
    if (!changed) changed = object;
    changed->members[i].second = std::move(*member);
  }
  if (!changed) return std::nullopt;
  changed->source.reset();
  std::stable_sort(changed->members.begin(), changed->members.end(), is_before);
  return Value(std::move(*changed));
}

std::optional<Value> sorted(const Value& value) {
  if (const Value::Array* array = value.as_array()) return sorted_within(*array);
  const Value::Object* object = value.as_object();
  return object ? sorted_object(*object) : std::nullopt;
}

}  // namespace

void sort_schema_keys(Conversation& conversation, const RuleContext&, RuleChanges& changes) {
  edit_tools(conversation, changes, [](const Value& tool) {
    return edit_member(tool, "function",
                       [](const Value& function) { return edit_member(function, "parameters", sorted); });
  });
}

}  // namespace kvasir
