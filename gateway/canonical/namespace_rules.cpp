#include "gateway/canonical/namespace_rules.h"

namespace kvasir {
namespace {

const NamespaceConfig* find(const Config& config, const std::string& name) {
  for (const NamespaceConfig& entry : config.namespaces)
    if (entry.name == name) return &entry;
  return nullptr;
}

}  // namespace

NamespaceRules::NamespaceRules(const Config& config) {
  if (const NamespaceConfig* entry = find(config, "default")) default_ = Canonicalizer(entry->canonical);
  for (const TenantConfig& tenant : config.tenants)
    if (!tenant.namespaces.empty())
      if (const NamespaceConfig* entry = find(config, tenant.namespaces.front()))
        by_tenant_.emplace(tenant.name, Canonicalizer(entry->canonical));
}

const Canonicalizer& NamespaceRules::of(const std::string& tenant) const {
  const auto found = by_tenant_.find(tenant);
  return found == by_tenant_.end() ? default_ : found->second;
}

}  // namespace kvasir
