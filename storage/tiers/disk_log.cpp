#include "storage/tiers/disk_log.h"

#include <algorithm>

#include "storage/base/assert.h"

namespace kvasir::disk {

void DiskLog::add(std::uint64_t position, LogEntry entry) {
  bytes_ += entry.bytes;
  if (entry.number != position) moved_[entry.number] = position;
  const bool added = entries_.emplace(position, std::move(entry)).second;
  KVASIR_ASSERT(added);
}

void DiskLog::remove(std::uint64_t position) {
  const auto found = entries_.find(position);
  if (found == entries_.end()) return;
  bytes_ -= found->second.bytes;
  moved_.erase(found->second.number);
  entries_.erase(found);
}

void DiskLog::move(std::uint64_t from, std::uint64_t to) {
  const auto found = entries_.find(from);
  KVASIR_ASSERT(found != entries_.end());
  LogEntry entry = found->second;
  entry.touched = 0;
  remove(from);
  add(to, std::move(entry));
}

void DiskLog::clear() {
  entries_.clear();
  moved_.clear();
  bytes_ = 0;
}

const LogEntry* DiskLog::find(std::uint64_t position) const {
  const auto found = entries_.find(position);
  return found == entries_.end() ? nullptr : &found->second;
}

std::optional<std::uint64_t> DiskLog::position_of(std::uint64_t number) const {
  const auto moved = moved_.find(number);
  const std::uint64_t position = moved == moved_.end() ? number : moved->second;
  const LogEntry* entry = find(position);
  return entry && entry->number == number ? std::optional(position) : std::nullopt;
}

void DiskLog::touch(std::uint64_t number) {
  if (const auto position = position_of(number)) entries_.at(*position).touched = ++touches_;
}

ReclaimPlan DiskLog::plan_reclaim(std::uint64_t run_bytes) const {
  ReclaimPlan plan;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> touched;  // when, position
  for (auto at = entries_.begin(); at != entries_.end() && plan.bytes < run_bytes; ++at) {
    plan.bytes += at->second.bytes;
    plan.end = at->first + 1;
    if (at->second.touched) touched.emplace_back(at->second.touched, at->first);
  }
  std::sort(touched.rbegin(), touched.rend());
  std::uint64_t kept = 0;
  for (const auto& [when, position] : touched) {
    kept += entries_.at(position).bytes;
    if (kept > plan.bytes / 2) break;
    plan.keep.push_back(position);
  }
  std::sort(plan.keep.begin(), plan.keep.end());
  return plan;
}

std::vector<std::uint64_t> DiskLog::positions_below(std::uint64_t end) const {
  std::vector<std::uint64_t> positions;
  for (auto at = entries_.begin(); at != entries_.end() && at->first < end; ++at) positions.push_back(at->first);
  return positions;
}

void DiskLog::check_invariants() const {
  std::uint64_t bytes = 0, moved = 0;
  for (const auto& [position, entry] : entries_) {
    bytes += entry.bytes;
    moved += entry.number != position;
    KVASIR_ASSERT(position_of(entry.number) == position);
  }
  KVASIR_ASSERT(bytes == bytes_ && moved == moved_.size());
}

}  // namespace kvasir::disk
