#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "storage/base/time.h"

namespace kvasir {

struct PrefixNode;

// One use of the cache by one request, from its lookup to its end; 0 where nobody knows which.
enum class PolicyRequest : std::uint64_t { unknown = 0 };

// Why a request ended, as far as it tells whether and when its prefix comes back: a tool call's answer returns within
// seconds, the end of a turn waits for a person.
enum class RequestEnd : std::uint8_t { unknown, tool_use, end_turn, length, cancelled };

struct RequestOutcome {
  RequestEnd end = RequestEnd::unknown;
  std::uint32_t output_tokens = 0;
};

// Who uses a block, and when. Times never go back; a use without a time counts as one at the latest known time.
struct BlockUse {
  PolicyRequest request = PolicyRequest::unknown;
  TimePoint now = TimePoint::min();
};

// Which evictable block of a pool goes first. Told by PrefixIndex what happens to blocks, and by whoever runs requests
// what happens to those. Owned by the engine's owner thread; no locks, no clock of its own, deterministic.
//
// Life of a block here:  used() -> [evictable() <-> kept()] -> evicted() -> forgotten()
// Evictable is a block of the pool that no request holds and none of whose children is in the pool. used() comes for
// each block of a request's path: those found from the tail to the head, then those computed from the head on, before
// they enter the pool (node.host says which).
class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;

  virtual void request_begins(PolicyRequest, TimePoint) {}
  virtual void request_ends(PolicyRequest, const RequestOutcome&, TimePoint) {}

  virtual void used(PrefixNode&, const BlockUse&) {}  // REQUIRES: not evictable
  virtual void evictable(PrefixNode& node) = 0;       // REQUIRES: was not
  virtual void kept(PrefixNode& node) = 0;            // evictable no more: held, evicted, or a child entered the pool
  virtual void evicted(PrefixNode&) {}    // out of the pool; in another tier it may live on and be used again
  virtual void forgotten(PrefixNode&) {}  // about to be destroyed: in no tier

  // The evictable block to go next, or nothing when there is none. Asked twice with nothing between, it answers the
  // same.
  virtual PrefixNode* victim() = 0;

  virtual bool holds(const PrefixNode& node) const = 0;  // among the evictable ones, for checks
  virtual std::size_t evictable_count() const = 0;
  virtual void check_invariants() const {}
};

enum class PolicyKind : std::uint8_t { lru, s3fifo, value };
inline constexpr PolicyKind kPolicyKinds[] = {PolicyKind::lru, PolicyKind::s3fifo, PolicyKind::value};
std::string_view to_string(PolicyKind kind);
std::optional<PolicyKind> policy_kind(std::string_view name);  // nothing for an unknown name

// A policy for a pool of `capacity_blocks`, in which running requests hold their blocks or (`pins` false) do not.
std::unique_ptr<EvictionPolicy> make_policy(PolicyKind kind, std::uint32_t capacity_blocks, bool pins);

}  // namespace kvasir
