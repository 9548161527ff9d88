#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "storage/policy/eviction_policy.h"
#include "storage/prefix_index.h"

namespace kvasir {

// Whether a running request holds its blocks: as in the pool that serves it, or not, as in tiers below.
enum class Regime : std::uint8_t { unpinned, pinned };

// A tier of `capacity` blocks without bytes: the server's own index and eviction policy over the blocks of a trace.
//
// A request finds its longest leading run of resident blocks; then all its blocks are admitted (together they may take
// more than the capacity), then blocks are evicted down to the capacity. In the pinned regime a request holds its
// blocks from its use() until its release().
class SimulatedTier {
 public:
  // `blocks`: how many different ones there are.
  SimulatedTier(PolicyKind policy, std::uint32_t capacity, std::uint32_t blocks, Regime regime);

  // Returns how many leading blocks of the path were resident.
  std::uint32_t use(std::span<const std::uint32_t> path, const BlockUse& use);
  void release(std::span<const std::uint32_t> path);  // after each use() in the pinned regime
  void ends(PolicyRequest request, const RequestOutcome& outcome, TimePoint now);

  bool resident(std::uint32_t block) const { return nodes_[block] != nullptr; }
  std::uint32_t resident_blocks() const { return resident_; }
  std::uint64_t admitted() const { return admitted_; }
  EvictionPolicy& policy() { return index_.policy(); }
  PrefixIndex& index() { return index_; }

 private:
  void admit(PrefixNode& parent, std::uint32_t block, const BlockUse& use);
  void lease(std::uint32_t block);
  void unlease(std::uint32_t block);
  void evict();

  const std::uint32_t capacity_;
  const bool pins_;
  PrefixIndex index_;
  std::vector<PrefixNode*> nodes_;     // by block, while resident
  std::vector<std::uint32_t> leases_;  // by block
  std::uint32_t resident_ = 0;
  std::uint64_t admitted_ = 0;
};

}  // namespace kvasir
