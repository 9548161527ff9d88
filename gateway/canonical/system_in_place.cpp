#include "gateway/canonical/edits.h"

namespace kvasir {

void system_in_place(Conversation& conversation, const RuleContext& context, RuleChanges& changes) {
  if (!context.features || context.features->late_system == TemplateFeatures::LateSystem::in_place) return;
  std::vector<Message> out;
  out.reserve(conversation.messages.size());
  const std::size_t head = head_messages(conversation);
  bool last_was_turned = false;
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    Message& message = conversation.messages[i];
    const bool turned = i >= head && message.role == "system";
    if (turned) {
      message.role = "user";
      changes.message(message.place);
    }
    const bool beside = message.role == "user" && !out.empty() && out.back().role == "user";
    if (beside && (turned || last_was_turned) && context.features->alternation_enforced) {
      append_paragraph(out.back(), message.content);
    } else {
      out.push_back(std::move(message));
    }
    last_was_turned = turned || (beside && last_was_turned);
  }
  conversation.messages = std::move(out);
}

}  // namespace kvasir
