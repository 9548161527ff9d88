#pragma once

#include <cstdint>

#include "storage/policy/run_log.h"

namespace kvasir {

// How many blocks LRU would have hit in a pool of `capacity` blocks, at almost no cost: it holds the blocks of the
// newest runs and of the pinned ones. Of the oldest run that it holds in part nobody knows which blocks; those used
// first count as held.
//
// Call in this order: added() after a run got a block, used() before a run loses one, unpins() before a run is
// unpinned, ends() before a run ends.
class LruShadow {
 public:
  LruShadow(const RunLog& runs, std::uint32_t capacity) : runs_(runs), capacity_(capacity) {}

  void added(RunId id);  // a block became the newest
  bool used(RunId id);   // whether LRU would hold the block that is about to leave the run
  void unpins(RunId id);
  void ends(RunId id);

 private:
  bool is_newer(RunId id) const { return edge_ != kNoRun && runs_[id].number > runs_[edge_].number; }
  void evict();
  void move_edge(RunId to);

  const RunLog& runs_;
  const std::uint32_t capacity_;
  RunId edge_ = kNoRun;            // the run to lose blocks next
  std::uint32_t edge_blocks_ = 0;  // that it still has
  std::uint32_t blocks_ = 0;       // of all runs
};

}  // namespace kvasir
