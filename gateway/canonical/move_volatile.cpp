#include <map>

#include <fmt/format.h>

#include "gateway/canonical/edits.h"
#include "gateway/canonical/head_texts.h"
#include "gateway/canonical/volatile_spans.h"

namespace kvasir {
namespace {

// The names of the values that were moved, each value once.
class Names {
 public:
  const std::string& of(SpanKind kind, std::string_view value) {
    const auto [known, fresh] = names_.try_emplace({kind, std::string(value)});
    if (!fresh) return known->second;
    known->second = fmt::format("[{} {}]", to_string(kind), ++counts_[kind]);
    told_ += fmt::format("{}{} = {}", told_.empty() ? "" : "\n", known->second, value);
    return known->second;
  }
  // A line for each, empty where there are none. No more words than that: they cost every turn, and what stands behind
  // them is not found again.
  const std::string& told() const { return told_; }

 private:
  std::map<std::pair<SpanKind, std::string>, std::string> names_;
  std::map<SpanKind, std::uint32_t> counts_;
  std::string told_;
};

std::optional<EditedText> with_names(std::string_view text, Names& names) {
  EditedText out;
  std::size_t copied = 0;
  for (const Span& span : find_spans(text)) {
    if (!span.is_volatile) continue;
    out.text.append(text, copied, span.begin - copied).append(names.of(span.kind, span.of(text)));
    copied = span.begin + span.size;
    ++out.changes;
  }
  if (out.changes == 0) return std::nullopt;
  out.text.append(text, copied);
  return out;
}

// What the model is to answer: the last message of a user or of a tool; null where there is none.
Message* newest_turn(Conversation& conversation) {
  for (auto message = conversation.messages.rbegin(); message != conversation.messages.rend(); ++message)
    if (message->role == "user" || message->role == "tool") return &*message;
  return nullptr;
}

}  // namespace

void move_volatile(Conversation& conversation, const RuleContext&, RuleChanges& changes) {
  Message* newest = newest_turn(conversation);
  if (!newest) return;
  Names names;
  edit_head(conversation, changes, [&](std::string_view text) { return with_names(text, names); });
  if (!names.told().empty()) append_paragraph(*newest, names.told());
}

}  // namespace kvasir
