#include <algorithm>

#include "gateway/canonical/edits.h"

namespace kvasir {
namespace {

// All that stands of \r before a \n goes, so that doing it twice is doing it once.
std::optional<std::string> with_line_feeds(std::string_view text) {
  if (text.find("\r\n") == std::string_view::npos) return std::nullopt;
  std::string out;
  out.reserve(text.size());
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    out.append(text, begin, end - begin);
    if (end == text.size()) break;
    while (!out.empty() && out.back() == '\r') out.pop_back();
    out += '\n';
    begin = end + 1;
  }
  return out;
}

}  // namespace

void line_endings(Conversation& conversation, const RuleContext&, RuleChanges& changes) {
  edit_what_was_said(conversation, changes, with_line_feeds);
}

}  // namespace kvasir
