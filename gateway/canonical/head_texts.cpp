#include "gateway/canonical/head_texts.h"

#include "gateway/canonical/edits.h"

namespace kvasir {

void edit_head(Conversation& conversation, RuleChanges& changes, const HeadEdit& edit) {
  const ValueEdit edit_description = [&](const Value& description) -> std::optional<Value> {
    const std::string* text = description.as_string();
    std::optional<EditedText> changed = text ? edit(*text) : std::nullopt;
    return changed ? std::optional<Value>(std::move(changed->text)) : std::nullopt;
  };
  edit_tools(conversation, changes, [&](const Value& tool) {
    return edit_member(tool, "function",
                       [&](const Value& function) { return edit_member(function, "description", edit_description); });
  });
  for (std::size_t i = 0, n = head_messages(conversation); i < n; ++i) {
    Message& message = conversation.messages[i];
    std::optional<EditedText> changed = edit(message.content);
    if (!changed) continue;
    message.content = std::move(changed->text);
    message.parts.clear();
    changes.message(message.place, changed->changes);
  }
}

}  // namespace kvasir
