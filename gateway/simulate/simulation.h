#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "storage/simulator/replay.h"
#include "storage/simulator/tiers.h"
#include "storage/simulator/trace.h"

namespace kvasir {

// A capacity as it was asked for: a share of the trace's unique blocks, or blocks.
struct CapacityRequest {
  std::optional<double> share;
  std::uint64_t blocks = 0;
  std::uint32_t of(const Trace& trace) const;  // at least 1, at most the trace's unique blocks
};

struct SimulationRequest {
  std::vector<PolicyKind> policies;
  std::vector<CapacityRequest> capacities;  // one tier, or
  std::optional<TierCapacities> tiers;      // a pool above a disk, or
  std::optional<double> find;               // the smallest capacity that hits so much
  Regime regime = Regime::unpinned;         // of one tier; with `tiers` the pool pins
  std::uint32_t threads = 1;
};

// One trace x policy x capacity.
struct SimulationRow {
  const Trace* trace = nullptr;
  PolicyKind policy = PolicyKind::lru;
  Regime regime = Regime::unpinned;
  std::uint32_t capacity_blocks = 0;  // of the pool, where there are two tiers
  ReplayTotals totals;
  double opt_token_hit_ratio = 0, lru_token_hit_ratio = 0, infinite_token_hit_ratio = 0;
  double seconds = 0;               // that the replay took
  std::optional<TierTotals> tiers;  // with disk_blocks
  std::uint32_t disk_blocks = 0;
  std::optional<double> wanted;  // what was searched for
  bool found = true;             // the capacity was

  // Of what lies between LRU and the optimum; nothing where that is under 0.3 points.
  std::optional<double> lru_gap_closed() const;
};

// Runs all of it on `threads`; rows by trace, then capacity, then policy. `progress` is told now and then, from any
// thread but one at a time, how many requests of how many were replayed.
std::vector<SimulationRow> simulate(const std::vector<Trace>& traces, const SimulationRequest& request,
                                    const std::function<void(std::uint64_t done, std::uint64_t all)>& progress);

}  // namespace kvasir
