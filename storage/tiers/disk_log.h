#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "storage/base/ids.h"

namespace kvasir::disk {

// What the log knows of a live record without reading it.
struct LogEntry {
  Fingerprint fingerprint;
  BlockKey key;
  std::uint64_t number = 0;   // what its owner calls it: its position when the owner met it
  std::uint64_t bytes = 0;    // stored, header included
  std::uint64_t touched = 0;  // order of the last touch; 0: not since it was written
};

// A run of oldest positions to drop, and which of its records to append again first.
struct ReclaimPlan {
  std::uint64_t end = 0;  // positions below it go
  std::uint64_t bytes = 0;
  std::vector<std::uint64_t> keep;  // positions, in order of age
};

// Catalog of the live records in order of their position, which is the order of age. Not synchronized.
//
// A record that is appended again gets a new position and keeps the number by which its owner knows it; the difference
// lasts until the process ends, because attach() tells positions.
class DiskLog {
 public:
  void add(std::uint64_t position, LogEntry entry);
  void remove(std::uint64_t position);
  void move(std::uint64_t from, std::uint64_t to);  // appended again
  void clear();

  const LogEntry* find(std::uint64_t position) const;
  // Where the record called `number` is now.
  std::optional<std::uint64_t> position_of(std::uint64_t number) const;
  void touch(std::uint64_t number);

  // The oldest run of at least `run_bytes`, keeping the most recently touched of it up to half of those bytes.
  ReclaimPlan plan_reclaim(std::uint64_t run_bytes) const;
  std::vector<std::uint64_t> positions_below(std::uint64_t end) const;

  std::uint64_t records() const { return entries_.size(); }
  std::uint64_t bytes() const { return bytes_; }
  void check_invariants() const;

 private:
  std::map<std::uint64_t, LogEntry> entries_;               // by position
  std::unordered_map<std::uint64_t, std::uint64_t> moved_;  // number -> position where they differ
  std::uint64_t bytes_ = 0;
  std::uint64_t touches_ = 0;
};

}  // namespace kvasir::disk
