#include "storage/policy/run_log.h"

#include "storage/base/assert.h"

namespace kvasir {

RunLog::RunLog(HazardTable& table) : table_(table) {}

void RunLog::advance(double now) {
  for (std::uint32_t k = 0; k < HazardTable::kBuckets; ++k) {
    while (buckets_[k].first != kNoRun) {
      const RunId id = buckets_[k].first;
      Run& run = runs_[id];
      const double leaves = run.start + HazardTable::border(k + 1);
      if (leaves > now) break;
      unlink(id);
      table_.leave(run.at, k, run.weight, run.entered, leaves);
      run.entered = leaves;
      ++run.bucket;
      if (!in_bucket(run)) continue;
      table_.enter(run.at, run.bucket, run.weight, leaves);
      link(id);
    }
  }
}

RunId RunLog::start(HazardTable::ClassId at, PolicyRequest request, bool pinned, double now) {
  if (free_.empty()) {
    free_.push_back(static_cast<RunId>(runs_.size()));
    runs_.emplace_back();
  }
  const RunId id = free_.back();
  free_.pop_back();
  Run& run = runs_[id];
  run = Run{.start = now,
            .entered = now,
            .weight = 1,
            .number = next_number_++,
            .request = request,
            .at = at,
            .pinned = pinned};
  run.older = newest_;
  (newest_ == kNoRun ? oldest_ : runs_[newest_].newer) = id;
  newest_ = id;
  link(id);
  table_.enter(at, 0, run.weight, now);
  return id;
}

void RunLog::return_block(RunId id) {
  Run& run = runs_[id];
  KVASIR_ASSERT(run.blocks > 0);
  --run.blocks;
  ++run.returned;
}

void RunLog::settle(RunId id, double now) {
  Run& run = runs_[id];
  if (run.returned == 0) return;
  const double weight = take_out(id, static_cast<double>(run.returned) / (run.blocks + run.returned), now);
  if (in_bucket(run)) table_.used(run.at, run.bucket, weight);
  run.returned = 0;
  if (run.blocks == 0) end(id);
}

void RunLog::drop_block(RunId id, double now) {
  Run& run = runs_[id];
  KVASIR_ASSERT(run.blocks > 0 && run.returned == 0);
  take_out(id, 1.0 / run.blocks, now);
  if (--run.blocks == 0) end(id);
}

double RunLog::take_out(RunId id, double share, double now) {
  Run& run = runs_[id];
  const double weight = run.weight * share;
  if (in_bucket(run)) table_.leave(run.at, run.bucket, weight, run.entered, now);
  run.weight -= weight;
  return weight;
}

void RunLog::move_to(RunId id, HazardTable::ClassId at, double now) {
  Run& run = runs_[id];
  if (in_bucket(run)) {
    table_.leave(run.at, run.bucket, run.weight, run.entered, now);
    table_.enter(at, run.bucket, run.weight, now);
  }
  run.entered = now;
  run.at = at;
}

void RunLog::end(RunId id) {
  Run& run = runs_[id];
  if (in_bucket(run)) unlink(id);
  (run.older == kNoRun ? oldest_ : runs_[run.older].newer) = run.newer;
  (run.newer == kNoRun ? newest_ : runs_[run.newer].older) = run.older;
  run = Run{};
  free_.push_back(id);
}

void RunLog::link(RunId id) {
  Run& run = runs_[id];
  List& list = buckets_[run.bucket];
  run.next = kNoRun;
  run.previous = list.last;
  (list.last == kNoRun ? list.first : runs_[list.last].next) = id;
  list.last = id;
}

void RunLog::unlink(RunId id) {
  Run& run = runs_[id];
  List& list = buckets_[run.bucket];
  (run.previous == kNoRun ? list.first : runs_[run.previous].next) = run.next;
  (run.next == kNoRun ? list.last : runs_[run.next].previous) = run.previous;
}

void RunLog::check_invariants() const {
  std::size_t all = 0;
  for (RunId id = oldest_; id != kNoRun; id = runs_[id].newer, ++all) {
    const Run& run = runs_[id];
    KVASIR_ASSERT(run.blocks + run.returned > 0 && run.weight > 0 && run.weight <= 1 && run.number > 0);
    KVASIR_ASSERT(run.newer == kNoRun ? newest_ == id : runs_[run.newer].older == id);
    KVASIR_ASSERT(run.newer == kNoRun || runs_[run.newer].number > run.number);
  }
  KVASIR_ASSERT(all == size());
  for (std::uint32_t k = 0; k < HazardTable::kBuckets; ++k)
    for (RunId id = buckets_[k].first; id != kNoRun; id = runs_[id].next)
      KVASIR_ASSERT(runs_[id].bucket == k &&
                    (runs_[id].next == kNoRun || runs_[runs_[id].next].start >= runs_[id].start));
}

}  // namespace kvasir
