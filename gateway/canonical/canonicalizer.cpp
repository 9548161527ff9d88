#include "gateway/canonical/canonicalizer.h"

namespace kvasir {
namespace {

using C = CanonicalConfig;

// What may drop or join messages comes first, what looks at the head as a whole behind what changes its text, and the
// order of the tools last: places are told by the numbers in the request.
constexpr Rule kAll[] = {
    {"drop_client_headers", 1, &C::drop_client_headers, drop_client_headers},
    {"text_form", 1, &C::text_form, text_form},
    {"strip_cache_markers", 1, &C::strip_cache_markers, strip_cache_markers},
    {"tool_layout", 1, &C::tool_layout, tool_layout},
    {"sort_schema_keys", 1, &C::sort_schema_keys, sort_schema_keys},
    {"keep_call_arguments", 1, &C::keep_call_arguments, keep_call_arguments},
    {"line_endings", 1, &C::line_endings, line_endings},
    {"nfc", 1, &C::nfc, nfc},
    {"system_in_place", 1, &C::system_in_place, system_in_place},
    {"round_clock", 1, &C::round_clock, round_clock},
    {"move_volatile", 1, &C::move_volatile, move_volatile},
    {"sort_tools", 1, &C::sort_tools, sort_tools},
};

RuleMode mode_of(const std::string& word) {
  if (word == "on") return RuleMode::on;
  return word == "report" ? RuleMode::report : RuleMode::off;
}

}  // namespace

std::span<const Rule> canonical_rules() { return kAll; }

Canonicalizer::Canonicalizer(const CanonicalConfig& config) {
  static_assert(std::size(kAll) == kRules);
  for (std::size_t i = 0; i < kRules; ++i) modes_[i] = mode_of(config.*kAll[i].mode);
}

CanonicalReport Canonicalizer::apply(Conversation& conversation, const RuleContext& context) const {
  CanonicalReport report;
  for (std::size_t i = 0; i < kRules; ++i) {
    if (modes_[i] == RuleMode::off) continue;
    RuleChanges changes;
    if (modes_[i] == RuleMode::on) {
      kAll[i].apply(conversation, context, changes);
    } else {
      Conversation copy = conversation;
      kAll[i].apply(copy, context, changes);
    }
    if (changes.count() > 0) report.rules.push_back({kAll[i].name, kAll[i].version, modes_[i], std::move(changes)});
  }
  return report;
}

}  // namespace kvasir
