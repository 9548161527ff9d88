#pragma once

#include <map>
#include <string>

#include "config/schema.h"
#include "gateway/canonical/canonicalizer.h"

namespace kvasir {

// Which rules a tenant's requests go through: those of the first of its namespaces, where it has none those of the
// namespace "default", without that the rules' defaults. Immutable; any thread may use it.
class NamespaceRules {
 public:
  explicit NamespaceRules(const Config& config);

  const Canonicalizer& of(const std::string& tenant) const;

 private:
  Canonicalizer default_;
  std::map<std::string, Canonicalizer> by_tenant_;
};

}  // namespace kvasir
