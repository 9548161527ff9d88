#include "gateway/canonical/head_texts.h"

#include "gateway/canonical/edits.h"

namespace kvasir {
namespace {

constexpr int kRoundsMax = 8;

std::optional<EditedText> edit_fully(std::string_view text, const HeadEdit& edit) {
  std::optional<EditedText> changed = edit(text);
  for (int round = 1; changed && round < kRoundsMax; ++round) {
    std::optional<EditedText> more = edit(changed->text);
    if (!more) break;
    changed = EditedText{std::move(more->text), changed->changes + more->changes};
  }
  return changed;
}

}  // namespace

void edit_head(Conversation& conversation, RuleChanges& changes, const HeadEdit& edit) {
  const ValueEdit edit_description = [&](const Value& description) -> std::optional<Value> {
    const std::string* text = description.as_string();
    std::optional<EditedText> changed = text ? edit_fully(*text, edit) : std::nullopt;
    return changed ? std::optional<Value>(std::move(changed->text)) : std::nullopt;
  };
  edit_tools(conversation, changes, [&](const Value& tool) {
    return edit_member(tool, "function",
                       [&](const Value& function) { return edit_member(function, "description", edit_description); });
  });
  for (std::size_t i = 0, n = head_messages(conversation); i < n; ++i) {
    Message& message = conversation.messages[i];
    std::optional<EditedText> changed = edit_fully(message.content, edit);
    if (!changed) continue;
    message.content = std::move(changed->text);
    message.parts.clear();
    changes.message(message.place, changed->changes);
  }
}

}  // namespace kvasir
