#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "storage/policy/eviction_policy.h"
#include "storage/policy/hazard_table.h"

namespace kvasir {

using RunId = std::uint32_t;
inline constexpr RunId kNoRun = UINT32_MAX;

// Blocks that one request used last, together: what is learned about them is learned about the run.
struct Run {
  double start = 0;    // seconds: when the request used them
  double entered = 0;  // its bucket
  double weight = 0;   // 1, less what was used again or dropped; as it stands in the hazard table
  std::uint64_t number = 0;
  PolicyRequest request = PolicyRequest::unknown;
  std::uint32_t blocks = 0;    // whose last use this is
  std::uint32_t returned = 0;  // used again, which the table has not been told yet
  HazardTable::ClassId at = 0;
  std::uint8_t bucket = 0;
  bool pinned = false;
  RunId newer = kNoRun, older = kNoRun;    // of all runs
  RunId next = kNoRun, previous = kNoRun;  // of its bucket, oldest first
};

// All runs with blocks left, by age, kept in step with a hazard table. Owned by a policy; no locks.
class RunLog {
 public:
  explicit RunLog(HazardTable& table);

  // Runs whose age passed a border move to the next bucket. Call before anything else at a new time.
  void advance(double now);
  // `pinned`: its blocks cannot be evicted until unpin().
  RunId start(HazardTable::ClassId at, PolicyRequest request, bool pinned, double now);
  void unpin(RunId id) { runs_[id].pinned = false; }
  void add_block(RunId id) { ++runs_[id].blocks; }
  // A block of the run was used again. They come in runs, so the table is told by settle() only.
  void return_block(RunId id);
  // Tells the table of the blocks that returned; the run ends when it has no others. Call before time goes on.
  void settle(RunId id, double now);
  void drop_block(RunId id, double now);  // nobody will know whether it is used again. REQUIRES: settled
  void move_to(RunId id, HazardTable::ClassId at, double now);

  const Run& operator[](RunId id) const { return runs_[id]; }
  RunId oldest() const { return oldest_; }
  std::size_t size() const { return runs_.size() - free_.size(); }
  void check_invariants() const;

 private:
  struct List {
    RunId first = kNoRun, last = kNoRun;
  };
  double take_out(RunId id, double share, double now);
  void end(RunId id);
  void link(RunId id);
  void unlink(RunId id);
  bool in_bucket(const Run& run) const { return run.bucket < HazardTable::kBuckets; }

  HazardTable& table_;
  std::vector<Run> runs_;
  std::vector<RunId> free_;
  std::array<List, HazardTable::kBuckets> buckets_;
  RunId oldest_ = kNoRun, newest_ = kNoRun;
  std::uint64_t next_number_ = 1;
};

}  // namespace kvasir
