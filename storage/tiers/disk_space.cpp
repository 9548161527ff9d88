// DiskStore's care for space and for errors: the cap is hard, a full or failing disk stops writes and nothing else.
#include <algorithm>
#include <cstring>

#include <spdlog/spdlog.h>

#include "storage/tiers/disk_store.h"

namespace kvasir::disk {
namespace {

constexpr std::uint64_t kFixedReserve = 768u << 10;  // info logs, OPTIONS files, the rounding of files to device blocks
constexpr int kReclaimsMax = 64;                     // for one write; each drops a run

std::span<const std::byte> bytes_of(const rocksdb::Slice& slice) {
  return std::as_bytes(std::span(slice.data(), slice.size()));
}

// A stored payload record is what `meta` says: its header byte by byte, its payload by checksum.
bool matches(const MetaRecord& meta, const rocksdb::Slice& stored) {
  const std::string header = encode_payload_header(meta);
  return stored.size() == header.size() + meta.record.payload_bytes &&
         std::memcmp(stored.data(), header.data(), header.size()) == 0 &&
         payload_checksum(bytes_of(stored).subspan(header.size())) == meta.payload_checksum;
}

}  // namespace

std::uint64_t DiskStore::reserve() const {
  return kFixedReserve + measured_.table_bytes + sizes_.manifest_bytes + sizes_.run_bytes / 2;
}

bool DiskStore::fits(std::uint64_t bytes) const {
  return measured_.bytes + unflushed_bytes_ + bytes + reserve() <= config_.capacity_bytes;
}

bool DiskStore::make_room(std::uint64_t bytes) {
  if (fits(bytes)) return true;
  if (dirty_ && !commit_pending()) return false;
  for (int i = 0; i < kReclaimsMax && !fits(bytes); ++i)
    if (!reclaim()) return false;
  return fits(bytes);
}

bool DiskStore::reclaim() {
  ReclaimPlan plan;
  {
    std::lock_guard lock(mutex_);
    plan = log_.plan_reclaim(sizes_.run_bytes);
  }
  if (!store_ || probe_at_) return false;
  if (plan.end == 0) {  // payloads that lost their metadata take the room
    if (emptied_below_ == next_position_) return false;
    plan.end = emptied_below_ = next_position_;
  }
  std::vector<RocksStore::MetaName> metas;
  for (const std::uint64_t position : plan.keep) append_again(position, &metas);
  if (!store_ || probe_at_) return false;
  std::vector<Pending> dropped;
  {
    std::lock_guard lock(mutex_);
    for (const std::uint64_t position : log_.positions_below(plan.end)) {
      const LogEntry& entry = *log_.find(position);
      metas.push_back({entry.fingerprint, position});
      dropped.push_back({entry.fingerprint, entry.key, entry.number, 0});
      log_.remove(position);
    }
    stats_.records_reclaimed += dropped.size();
  }
  for (const Pending& record : dropped) emit(DiskCompletion::Kind::reclaimed, record);
  if (const auto status = store_->drop_below(plan.end, metas); !status.ok()) return fail(status), false;
  dirty_ = true;
  if (!commit_pending()) return false;
  if (const auto status = store_->compact_below(plan.end); !status.ok()) return fail(status), false;
  measure();
  return true;
}

void DiskStore::append_again(std::uint64_t from, std::vector<RocksStore::MetaName>* replaced) {
  LogEntry entry;
  {
    std::lock_guard lock(mutex_);
    const LogEntry* found = log_.find(from);
    if (!found) return;
    entry = *found;
  }
  MetaRecord meta;
  rocksdb::PinnableSlice value;
  const std::string key = meta_key(entry.fingerprint, from);
  if (!store_->get_meta(entry.fingerprint, from, &value).ok() ||
      decode_meta(std::as_bytes(std::span(key)), bytes_of(value), &meta))
    return;
  value.Reset();
  if (!store_->get_payload(from, &value).ok() || !matches(meta, value)) return;  // damaged: goes with its run
  meta.record.number = next_position_++;
  if (const auto status = store_->put_stored(meta, value); !status.ok()) return fail(status);
  dirty_ = true;
  unflushed_bytes_ += entry.bytes;
  replaced->push_back({entry.fingerprint, from});
  std::lock_guard lock(mutex_);
  log_.move(from, meta.record.number);
  ++stats_.records_reappended;
  stats_.bytes_written += entry.bytes;
}

bool DiskStore::commit_pending() {
  flush_at_.reset();
  if (!store_) return false;
  if (const auto status = store_->flush(); !status.ok()) return fail(status), false;
  dirty_ = false;
  unflushed_bytes_ = 0;
  measure();
  for (const Pending& record : pending_) emit(DiskCompletion::Kind::durable, record);
  pending_.clear();
  return true;
}

void DiskStore::flush() {
  if (dirty_ && !probe_at_) commit_pending();
}

void DiskStore::measure() {
  measured_ = measure_folder(folder_.path());
  std::lock_guard lock(mutex_);
  stats_.physical_bytes = measured_.bytes;
}

std::optional<TimePoint> DiskStore::next_time() const { return probe_at_ ? probe_at_ : flush_at_; }

void DiskStore::on_time(TimePoint now) {
  if (probe_at_ && now >= *probe_at_) probe();
  if (!probe_at_ && flush_at_ && now >= *flush_at_) commit_pending();
}

void DiskStore::fail(const rocksdb::Status& status) {
  spdlog::warn("disk tier: writing to {} failed ({}); not writing for now", folder_.path(), status.ToString());
  {
    std::lock_guard lock(mutex_);
    ++stats_.write_errors;
    stats_.writable = false;
  }
  probe_at_ = Clock::now() + kProbeInterval;
  if (status.IsCorruption()) reset_store();
}

// RocksDB holds what it could not flush; the first flush that succeeds makes it durable.
void DiskStore::probe() {
  probe_at_ = Clock::now() + kProbeInterval;
  if (!store_) return reset_store();
  auto status = store_->resume();
  if (status.ok()) status = store_->flush();
  if (!status.ok()) {
    spdlog::info("disk tier: still not writing to {} ({})", folder_.path(), status.ToString());
    return;
  }
  probe_at_.reset();
  {
    std::lock_guard lock(mutex_);
    stats_.writable = true;
  }
  commit_pending();
  spdlog::info("disk tier: writing to {} again", folder_.path());
}

// Damage that RocksDB met while writing or compacting, and would meet again: only an empty store gets past it.
void DiskStore::reset_store() {
  std::vector<Pending> dropped;
  {
    std::unique_lock store_lock(store_mutex_);
    std::lock_guard lock(mutex_);
    for (const std::uint64_t position : log_.positions_below(~0ull)) {
      const LogEntry& entry = *log_.find(position);
      dropped.push_back({entry.fingerprint, entry.key, entry.number, 0});
    }
    log_.clear();
    store_.reset();
    folder_.clear();
    ++stats_.stores_dropped;
    if (RocksStore::open(folder_.path(), sizes_, how_, &store_).ok()) {
      stats_.writable = true;
      probe_at_.reset();
    }
  }
  pending_.clear();
  unflushed_bytes_ = 0;
  dirty_ = false;
  flush_at_.reset();
  measure();
  for (const Pending& record : dropped) emit(DiskCompletion::Kind::reclaimed, record);
}

}  // namespace kvasir::disk
