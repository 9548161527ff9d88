#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "storage/policy/eviction_policy.h"
#include "storage/prefix_index.h"
#include "storage/simulator/trace.h"

namespace kvasir {

// Whether a running request holds its blocks: as in the pool that serves it, or not, as in tiers below.
enum class Regime : std::uint8_t { unpinned, pinned };

// A tier of `capacity` blocks without bytes: the server's own index and eviction policy over the blocks of a trace.
//
// A request finds its longest leading run of resident blocks; then all its blocks are admitted (together they may take
// more than the capacity), then blocks are evicted down to the capacity. In the pinned regime a request holds its
// blocks from its use() until its release().
//
// Requests that a server recorded are replayed as its pool has them: there is room before their blocks enter, for the
// block that a prompt ends in too, and their answers' blocks enter when they end. One after another, block for block.
class SimulatedTier {
 public:
  // `blocks`: how many different ones there are.
  SimulatedTier(PolicyKind policy, std::uint32_t capacity, std::uint32_t blocks, Regime regime);

  // Returns how many leading blocks of the path were resident.
  std::uint32_t use(std::span<const std::uint32_t> path, const BlockUse& use);
  std::uint32_t use(const Trace& trace, const TraceRequest& request, const BlockUse& use);
  void answer(const Trace& trace, const TraceRequest& request, const BlockUse& use);  // before it ends; once
  void release(std::span<const std::uint32_t> path);  // after each use() in the pinned regime
  void release(const Trace& trace, const TraceRequest& request);
  void ends(PolicyRequest request, const RequestOutcome& outcome, TimePoint now);

  bool resident(std::uint32_t block) const { return nodes_[block] != nullptr; }
  std::uint32_t resident_blocks() const { return resident_; }
  std::uint64_t admitted() const { return admitted_; }
  std::uint64_t evicted() const { return evicted_; }
  EvictionPolicy& policy() { return index_.policy(); }
  PrefixIndex& index() { return index_; }

 private:
  std::uint32_t lookup(std::span<const std::uint32_t> path, const BlockUse& use);
  void admit_rest(std::span<const std::uint32_t> path, std::uint32_t hits, const BlockUse& use);
  void copy_first_tokens(std::uint32_t block, const BlockUse& use);
  void compute_again(std::uint32_t block, const BlockUse& use);
  void add_answer_block(std::uint32_t parent, std::uint32_t block, const BlockUse& use);
  PrefixNode& node_of(std::span<const std::uint32_t> path);
  void admit(PrefixNode& parent, std::uint32_t block, const BlockUse& use);
  void lease(std::uint32_t block);
  void unlease(std::uint32_t block);
  void note_unleased();
  void make_room(std::uint32_t blocks);
  void evict() { make_room(0); }

  const std::uint32_t capacity_;
  const bool pins_;
  PrefixIndex index_;
  std::vector<PrefixNode*> nodes_;       // by block, while resident
  std::vector<std::uint32_t> leases_;    // by block
  std::vector<std::uint32_t> unleased_;  // of a pinning tier: it learns of them when it needs room, as a pool does
  std::vector<bool> in_unleased_;        // by block
  std::uint32_t resident_ = 0;
  std::uint32_t filling_ = 0;  // blocks that prompts end in
  std::uint64_t admitted_ = 0, evicted_ = 0;
};

}  // namespace kvasir
