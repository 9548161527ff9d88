#pragma once

#include "storage/simulator/replay.h"

namespace kvasir {

// What the best policy with knowledge of the future hits: Belady's rule, which evicts the block whose next use is
// farthest. A block's parent is used whenever it is, so the farthest block is (or ties with) a leaf, and the rule keeps
// prefixes whole; without pins it is the optimum for hits in blocks. With pins it is the same rule among blocks that
// nobody holds, which nothing proves to be the best.
ReplayTotals replay_optimum(const Trace& trace, std::uint32_t capacity, Regime regime, const Progress& progress = {});

// What a cache without limit hits.
ReplayTotals replay_infinite(const Trace& trace);

}  // namespace kvasir
