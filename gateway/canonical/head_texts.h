#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/canonical/rules.h"

namespace kvasir {

struct EditedText {
  std::string text;
  std::uint64_t changes = 0;
};
// Nothing: the text stays.
using HeadEdit = std::function<std::optional<EditedText>(std::string_view text)>;

// Edits, each until nothing more is to do (what an edit took out may make a form of what stood around it; a few times
// at most, so that it stays linear), the texts of the head: // what every request of an application begins with, the
// descriptions of the tools, then the system messages before the first turn.
void edit_head(Conversation& conversation, RuleChanges& changes, const HeadEdit& edit);

}  // namespace kvasir
