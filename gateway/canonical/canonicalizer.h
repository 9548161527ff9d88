#pragma once

#include <array>

#include "gateway/canonical/rules.h"

namespace kvasir {

// The rules of one namespace. Immutable; any thread may use it.
class Canonicalizer {
 public:
  explicit Canonicalizer(const CanonicalConfig& config = {});

  // Applies the rules that are on, and runs those that only report on a copy. Never fails.
  CanonicalReport apply(Conversation& conversation, const RuleContext& context) const;

 private:
  static constexpr std::size_t kRules = 12;
  std::array<RuleMode, kRules> modes_;  // of canonical_rules()
};

}  // namespace kvasir
