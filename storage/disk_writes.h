#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>

#include "storage/base/time.h"
#include "storage/block_memory.h"
#include "storage/block_pool.h"
#include "storage/prefix_index.h"
#include "storage/tiers/disk_tier.h"

namespace kvasir {

// Copies of host blocks to the disk tier, in the background and first in, first out. Owned by the engine's owner
// thread.
//
// Life of a copy:  request() -> pending -> pump() -> in flight -> on_written() or on_refused()
// A pending copy keeps nothing alive: when its block is evicted first, it is skipped. One in flight leases its block. A
// block is copied only after its parent or together with it, because a restart drops records without their parent.
class DiskWrites {
 public:
  struct Counters {
    std::uint64_t written = 0, durable = 0, skipped = 0;
  };

  DiskWrites(DiskTier& disk, const Fingerprint& fingerprint, BlockMemory& memory, BlockPool& pool, PrefixIndex& index,
             std::uint32_t in_flight_max);

  // Wants a host-resident node on disk; nothing to do where it is there or on its way. Skipped and counted when its
  // parent is neither, or shortly after the disk refused a write.
  void request(PrefixNode& node, TimePoint now);
  void skip_pending(PrefixNode& node);  // its block is about to be evicted
  void pump();                          // hands pending copies to the disk, up to the limits
  void on_written(std::uint64_t tag, std::uint64_t number);
  void on_refused(std::uint64_t tag, TimePoint now);
  void on_durable() { ++counters_.durable; }

  // Takes blocks whose only lease is their copy's, and that no resident child needs, out of the index, so that their
  // parents can be evicted; each block is freed when its copy ends. Returns how many.
  std::uint32_t detach_leaves();

  void stop();  // no new requests
  // Hands over all that is pending, waiting for the disk where its queue is full. Blocking; completions still come.
  void hand_over_all();

  std::uint32_t blocks_held() const;         // leased by copies alone
  bool holds(const PrefixNode& node) const;  // its block is leased by a copy
  const Counters& counters() const { return counters_; }
  void check_invariants() const;

 private:
  struct InFlight {
    PrefixNode* node;
    BlockLease lease;
  };

  void pump_up_to(std::size_t in_flight_max);
  bool hand_over(PrefixNode& node);
  PrefixNode& end(std::uint64_t tag);

  DiskTier& disk_;
  const Fingerprint fingerprint_;
  BlockMemory& memory_;
  BlockPool& pool_;
  PrefixIndex& index_;
  const std::uint32_t in_flight_max_;
  std::map<std::uint64_t, PrefixNode*> pending_;  // by tag: in order of request
  std::unordered_map<std::uint64_t, InFlight> in_flight_;
  std::uint64_t next_tag_ = 1;
  TimePoint paused_until_ = TimePoint::min();
  bool stopped_ = false;
  Counters counters_;
};

DiskRecord record_of(const PrefixNode& node, const Fingerprint& fingerprint, std::size_t payload_bytes);

}  // namespace kvasir
