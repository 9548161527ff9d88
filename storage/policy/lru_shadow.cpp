#include "storage/policy/lru_shadow.h"

namespace kvasir {

void LruShadow::added(RunId id) {
  if (edge_ == kNoRun) edge_ = id;
  edge_blocks_ += id == edge_;
  ++blocks_;
  evict();
}

void LruShadow::evict() {
  while (blocks_ > capacity_ && edge_ != kNoRun) {
    if (edge_blocks_ > 0 && !runs_[edge_].pinned) {
      --edge_blocks_;
      --blocks_;
    } else if (runs_[edge_].newer != kNoRun) {
      move_edge(runs_[edge_].newer);
    } else {
      return;  // all is pinned, or this run alone is larger than the pool and comes next
    }
  }
}

void LruShadow::move_edge(RunId to) {
  edge_ = to;
  edge_blocks_ = to == kNoRun ? 0 : runs_[to].blocks;
}

bool LruShadow::used(RunId id) {
  const bool held = id == edge_ ? edge_blocks_ > 0 : is_newer(id) || runs_[id].pinned;
  edge_blocks_ -= held && id == edge_;
  blocks_ -= held;
  return held;
}

// A run that the edge has passed stayed for its pin alone.
void LruShadow::unpins(RunId id) {
  if (runs_[id].pinned && id != edge_ && !is_newer(id)) blocks_ -= runs_[id].blocks;
}

void LruShadow::ends(RunId id) {
  if (id == edge_) move_edge(runs_[id].newer);
}

}  // namespace kvasir
