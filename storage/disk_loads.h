#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "storage/block_memory.h"
#include "storage/block_pool.h"
#include "storage/prefix_index.h"
#include "storage/tiers/disk_tier.h"

namespace kvasir {

// A block on its way from disk into a block of the pool, and the acquisitions that wait for it.
struct DiskLoad {
  PrefixNode* node;
  BlockFill fill;
  std::uint64_t number;            // of the record it is read from
  std::vector<AcquireId> waiters;  // each once
};

// Reads from the disk tier into the pool, first in, first out, at most `in_flight_max` at once. One read serves all
// that wait for its block. Owned by the engine's owner thread.
//
// Life of a read:  start() -> queued -> pump() -> in flight -> take_finished()
//                               '-- its last waiter left, or record gone --> cancelled
class DiskLoads {
 public:
  DiskLoads(DiskTier& disk, const Fingerprint& fingerprint, BlockMemory& memory, std::uint32_t in_flight_max);

  void start(PrefixNode& node, BlockFill fill, AcquireId waiter);  // REQUIRES: on disk, not loading
  void join(PrefixNode& node, AcquireId waiter);                   // REQUIRES: loading
  void leave(PrefixNode& node, AcquireId waiter);                  // a read in flight goes on; a queued one may end
  std::vector<AcquireId> take_waiters(PrefixNode& node);           // they need it no more; as if all had left

  // Both hand a read that ended to the caller, with the fill to commit or drop and, still set, node->load to reset: it
  // keeps the node alive until all that wait were told.
  DiskLoad take_finished(std::uint64_t tag);
  // Starts queued reads up to the limit, or returns one whose record is gone: call again.
  std::optional<DiskLoad> pump();

  std::uint32_t blocks_held() const;  // filled by reads that nobody waits for
  std::size_t size() const { return queued_.size() + in_flight_.size(); }
  void check_invariants() const;

 private:
  DiskLoad& find(const PrefixNode& node);

  DiskTier& disk_;
  const Fingerprint fingerprint_;
  BlockMemory& memory_;
  const std::uint32_t in_flight_max_;
  std::map<std::uint64_t, DiskLoad> queued_;  // by tag: in order of start()
  std::unordered_map<std::uint64_t, DiskLoad> in_flight_;
  std::uint64_t next_tag_ = 1;
};

}  // namespace kvasir
