#include "engine/text/nfc.h"

#include "gateway/canonical/edits.h"

namespace kvasir {
namespace {

std::optional<std::string> composed(std::string_view text) {
  if (is_nfc_quick(text)) return std::nullopt;
  std::string out = to_nfc(text);
  return out == text ? std::nullopt : std::optional(std::move(out));
}

}  // namespace

void nfc(Conversation& conversation, const RuleContext&, RuleChanges& changes) {
  edit_what_was_said(conversation, changes, composed);
}

}  // namespace kvasir
