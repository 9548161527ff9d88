#include <algorithm>

#include "storage/base/assert.h"
#include "storage/policy/eviction_policy.h"
#include "storage/policy/lru.h"
#include "storage/policy/s3fifo.h"
#include "storage/policy/value.h"

namespace kvasir {

std::string_view to_string(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::lru:
      return "lru";
    case PolicyKind::s3fifo:
      return "s3fifo";
    case PolicyKind::value:
      return "value";
  }
  KVASIR_ASSERT(false);
}

std::optional<PolicyKind> policy_kind(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kPolicyKinds), std::end(kPolicyKinds),
                                         [&](auto kind) { return to_string(kind) == name; });
  return found == std::end(kPolicyKinds) ? std::nullopt : std::optional(*found);
}

std::unique_ptr<EvictionPolicy> make_policy(PolicyKind kind, std::uint32_t capacity_blocks, bool pins) {
  switch (kind) {
    case PolicyKind::lru:
      return std::make_unique<LruPolicy>();
    case PolicyKind::s3fifo:
      return std::make_unique<S3FifoPolicy>(capacity_blocks);
    case PolicyKind::value:
      return std::make_unique<ValuePolicy>(capacity_blocks, pins);
  }
  KVASIR_ASSERT(false);
}

}  // namespace kvasir
