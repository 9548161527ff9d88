#include <algorithm>

#include "gateway/canonical/rules.h"

namespace kvasir {
namespace {

constexpr std::string_view kBilling = "x-anthropic-billing-header:";

// The bytes of such lines at the start of a text.
std::size_t headers_size(std::string_view text) {
  std::size_t size = 0;
  while (text.substr(size).starts_with(kBilling)) {
    const std::size_t end = text.find('\n', size);
    size = end == std::string_view::npos ? text.size() : end + 1;
  }
  return size;
}

}  // namespace

void drop_client_headers(Conversation& conversation, const RuleContext&, RuleChanges& changes) {
  std::vector<Message>& messages = conversation.messages;
  for (Message& message : messages) {
    const std::size_t size = message.role == "system" ? headers_size(message.content) : 0;
    if (size == 0) continue;
    changes.message(message.place);
    message.content.erase(0, size);
    message.parts.clear();
  }
  if (changes.count() == 0) return;
  // What was nothing else is no message; a conversation of nothing else keeps one, as a conversation must.
  const auto is_empty = [](const Message& message) { return message.role == "system" && message.content.empty(); };
  const auto first_to_go = messages.size() > 1 ? messages.begin() : messages.end();
  messages.erase(std::remove_if(first_to_go, messages.end(), is_empty), messages.end());
}

}  // namespace kvasir
