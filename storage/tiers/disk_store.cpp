#include "storage/tiers/disk_store.h"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "storage/base/assert.h"

namespace kvasir::disk {
namespace {

std::span<const std::byte> bytes_of(const rocksdb::Slice& slice) {
  return std::as_bytes(std::span(slice.data(), slice.size()));
}

UnixSeconds unix_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// What a record takes in the store, the keys and RocksDB's own framing included.
std::uint64_t stored_bytes(const DiskRecord& record) {
  return record.payload_bytes + 2 * record.ids.size() * sizeof(TokenId) + 512;
}

RecordFault fault_of(const rocksdb::Status& status) {
  if (status.IsNotFound() || status.IsPathNotFound()) return RecordFault::missing;
  if (status.IsCorruption())  // RocksDB says Corruption also of a file that is too short or gone
    return status.ToString().find("No such file") != std::string::npos ? RecordFault::missing : RecordFault::checksum;
  return RecordFault::io;
}

bool is_damage(const rocksdb::Status& status) {
  return status.IsCorruption() || status.IsPathNotFound() || status.IsInvalidArgument() || status.IsNotFound();
}

}  // namespace

Result<std::unique_ptr<DiskStore>> DiskStore::open(const DiskTierConfig& config, rocksdb::Env* env, Sink sink) {
  if (config.capacity_bytes < kCapacityMin)
    return error(
        ErrorCode::invalid_argument,
        fmt::format("disk tier: capacity is {} bytes; the least is {} (16MiB)", config.capacity_bytes, kCapacityMin),
        "capacity");
  Result<StoreFolder> folder = StoreFolder::open(config.path);
  if (!folder) return folder.error();
  std::unique_ptr<DiskStore> store(new DiskStore(config, std::move(*folder), env, std::move(sink)));
  if (const auto status = store->open_store(); !status.ok())
    return error(ErrorCode::io,
                 fmt::format("disk tier: cannot open the store in {}: {}", config.path, status.ToString()));
  store->load_log();
  store->measure();
  store->make_room(0);
  return store;
}

DiskStore::DiskStore(const DiskTierConfig& config, StoreFolder folder, rocksdb::Env* env, Sink sink)
    : config_(config),
      folder_(std::move(folder)),
      sizes_(StoreSizes::of(config.capacity_bytes, config.flush_bytes)),
      how_{env, folder_.direct_io(), false},
      sink_(std::move(sink)) {
  stats_.capacity_bytes = config.capacity_bytes;
  stats_.stores_dropped = folder_.store_dropped();
}

DiskStore::~DiskStore() {
  if (store_ && dirty_) commit_pending();
}

// First as it is, then mended by RocksDB (which cannot flush atomically while it does that), then empty.
rocksdb::Status DiskStore::open_store() {
  auto status = RocksStore::open(folder_.path(), sizes_, how_, &store_);
  if (!status.ok() && is_damage(status)) {
    spdlog::warn("disk tier: the store in {} is damaged ({}); mending it", folder_.path(), status.ToString());
    auto mending = how_;
    mending.best_efforts = true;
    status = RocksStore::open(folder_.path(), sizes_, mending, &store_);
    store_.reset();
    if (status.ok()) status = RocksStore::open(folder_.path(), sizes_, how_, &store_);
  }
  if (!status.ok() && is_damage(status)) {
    spdlog::warn("disk tier: the store in {} is beyond mending ({}); starting empty", folder_.path(),
                 status.ToString());
    folder_.clear();
    ++stats_.stores_dropped;
    status = RocksStore::open(folder_.path(), sizes_, how_, &store_);
  }
  return status;
}

void DiskStore::load_log() {
  next_position_ = store_->next_position();
  std::uint64_t damaged = 0;
  const auto load = [&](std::span<const std::byte> key, std::span<const std::byte> value) {
    MetaRecord meta;
    if (const auto fault = decode_meta(key, value, &meta)) {
      ++stats_.open_faults[static_cast<std::size_t>(*fault)];
      ++damaged;
      return;
    }
    const std::uint64_t position = meta.record.number;
    if (log_.find(position)) return;
    log_.add(position, {meta.record.fingerprint, meta.record.key, position, stored_bytes(meta.record), 0});
    next_position_ = std::max(next_position_, position + 1);
  };
  if (store_->visit_metas(nullptr, load) && damaged == 0) return;
  log_.clear();
  mend_metas(load);
}

void DiskStore::mend_metas(const RocksStore::MetaVisitor& load) {
  std::map<std::string, std::string> whole;
  stats_.open_faults = {};
  store_->salvage_metas([&](auto key, auto value) {
    load(key, value);
    MetaRecord meta;
    if (!decode_meta(key, value, &meta))
      whole.emplace(std::string(reinterpret_cast<const char*>(key.data()), key.size()),
                    std::string(reinterpret_cast<const char*>(value.data()), value.size()));
  });
  if (stats_.open_faults == decltype(stats_.open_faults){})
    ++stats_.open_faults[static_cast<std::size_t>(RecordFault::checksum)];
  spdlog::warn("disk tier: damaged metadata in {}; {} records are whole", folder_.path(), whole.size());
  if (const auto status = store_->rewrite_metas(whole); !status.ok()) reset_store();
}

void DiskStore::emit(DiskCompletion::Kind kind, const Pending& record) {
  sink_(record.fingerprint, {kind, record.key, record.number, record.tag, std::nullopt});
}

void DiskStore::refuse(const DiskRecord& record, std::uint64_t tag) {
  {
    std::lock_guard lock(mutex_);
    ++stats_.writes_refused;
  }
  emit(DiskCompletion::Kind::refused, {record.fingerprint, record.key, 0, tag});
}

void DiskStore::write(const DiskRecord& record, std::span<const std::byte> payload, std::uint64_t tag,
                      TimePoint asked) {
  KVASIR_ASSERT(record.payload_bytes == payload.size());
  const std::uint64_t bytes = stored_bytes(record);
  if (probe_at_ || !store_ || bytes > config_.capacity_bytes / 8 || !make_room(bytes) || !append(record, payload, tag))
    return refuse(record, tag);
  if (!flush_at_) flush_at_ = asked + config_.flush_interval * 3 / 4;
  if (unflushed_bytes_ >= sizes_.flush_bytes) commit_pending();
}

bool DiskStore::append(const DiskRecord& record, std::span<const std::byte> payload, std::uint64_t tag) {
  const std::uint64_t position = next_position_++, bytes = stored_bytes(record);
  MetaRecord meta{record, payload_checksum(payload), unix_now()};
  meta.record.number = position;
  if (const auto status = store_->put(meta, payload); !status.ok()) {
    fail(status);
    return false;
  }
  {
    std::lock_guard lock(mutex_);
    log_.add(position, {record.fingerprint, record.key, position, bytes, 0});
    stats_.bytes_written += bytes;
  }
  dirty_ = true;
  unflushed_bytes_ += bytes;
  pending_.push_back({record.fingerprint, record.key, position, tag});
  emit(DiskCompletion::Kind::written, pending_.back());
  return true;
}

void DiskStore::forget(const Fingerprint& fingerprint, const BlockKey& key, std::uint64_t number) {
  std::optional<std::uint64_t> position;
  {
    std::lock_guard lock(mutex_);
    position = log_.position_of(number);
    if (!position) return;
    const LogEntry* entry = log_.find(*position);
    if (entry->fingerprint != fingerprint || entry->key != key) return;
    log_.remove(*position);
  }
  std::erase_if(pending_, [&](const Pending& p) { return p.number == number; });
  if (!store_) return;
  if (const auto status = store_->erase(fingerprint, *position); !status.ok()) return fail(status);
  dirty_ = true;
  if (!flush_at_) flush_at_ = Clock::now() + config_.flush_interval * 3 / 4;
}

std::optional<RecordFault> DiskStore::read(const DiskRecord& expected, std::span<std::byte> into) const {
  std::uint64_t tried = 0;
  for (;;) {
    std::shared_lock store_lock(store_mutex_);
    std::optional<std::uint64_t> position;
    {
      std::lock_guard lock(mutex_);
      position = log_.position_of(expected.number);
    }
    if (!position || position == tried) return RecordFault::missing;
    if (!store_) return RecordFault::io;
    rocksdb::PinnableSlice value;
    const auto status = store_->get_payload(*position, &value);
    if (status.ok()) return decode_payload(bytes_of(value), expected, into);
    if (!status.IsNotFound()) return fault_of(status);
    tried = *position;  // perhaps appended again in between: look once more
  }
}

std::vector<DiskRecord> DiskStore::records_of(const Fingerprint& fingerprint) const {
  std::vector<DiskRecord> records;
  std::shared_lock store_lock(store_mutex_);
  if (!store_) return records;
  store_->visit_metas(&fingerprint, [&](auto key, auto value) {
    MetaRecord meta;
    if (decode_meta(key, value, &meta)) return;
    std::lock_guard lock(mutex_);
    const LogEntry* entry = log_.find(meta.record.number);
    if (!entry) return;
    meta.record.number = entry->number;
    records.push_back(std::move(meta.record));
  });
  return records;
}

void DiskStore::touch(std::uint64_t number) {
  std::lock_guard lock(mutex_);
  log_.touch(number);
}

DiskStats DiskStore::stats() const {
  std::lock_guard lock(mutex_);
  DiskStats stats = stats_;
  stats.records = log_.records();
  return stats;
}

void DiskStore::check_invariants() const {
  std::lock_guard lock(mutex_);
  log_.check_invariants();
  KVASIR_ASSERT(stats_.physical_bytes <= config_.capacity_bytes);
}

}  // namespace kvasir::disk
