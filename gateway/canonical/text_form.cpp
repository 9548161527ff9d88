#include "gateway/canonical/rules.h"

namespace kvasir {

void text_form(Conversation& conversation, const RuleContext&, RuleChanges& changes) {
  for (Message& message : conversation.messages) {
    if (message.parts.empty()) continue;
    message.parts.clear();
    changes.message(message.place);
  }
}

}  // namespace kvasir
