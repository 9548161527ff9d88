#pragma once

#include <cstdint>

#include "storage/simulator/replay.h"

namespace kvasir {

// A pool that pins above a disk tier. Every block that enters the pool is written to disk unless it is there (write:
// on_commit); the disk reclaims the least recently used.
struct TierCapacities {
  std::uint32_t host = 0;  // blocks
  std::uint32_t disk = 0;
};

struct TierTotals {
  ReplayTotals all;  // found in either tier; `admitted` is the pool's
  std::uint64_t host_hit_tokens = 0, disk_hit_tokens = 0;
  std::uint64_t blocks_loaded = 0, blocks_written = 0;  // from and to disk
};

TierTotals replay_tiers(const Trace& trace, PolicyKind host_policy, TierCapacities capacities,
                        const Progress& progress = {});

}  // namespace kvasir
