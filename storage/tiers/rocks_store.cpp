#include "storage/tiers/rocks_store.h"

#include <algorithm>

#include <rocksdb/cache.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table.h>

#include "storage/base/assert.h"

namespace kvasir::disk {
namespace {

constexpr const char* kMetaFamily = "meta";
constexpr const char* kPayloadFamily = "payload";

// Keeps RocksDB from trying to recover behind our back: the writer thread decides when to write again.
class NoOwnRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

rocksdb::DBOptions db_options(const StoreSizes& sizes, const RocksStore::OpenOptions& how) {
  rocksdb::DBOptions options;
  if (how.env) options.env = how.env;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.atomic_flush = !how.best_efforts;  // without a WAL, the families agree only if they are flushed together
  options.best_efforts_recovery = how.best_efforts;
  options.use_direct_reads = how.direct_io;
  options.use_direct_io_for_flush_and_compaction = how.direct_io;
  options.allow_fallocate = false;  // what du says is what is stored
  options.max_background_jobs = 2;
  options.max_open_files = 512;
  options.max_file_opening_threads = 1;
  options.skip_stats_update_on_db_open = true;
  options.skip_checking_sst_file_sizes_on_db_open = true;  // a damaged table costs its records, not the store
  options.paranoid_checks = true;
  options.max_bgerror_resume_count = 0;
  options.listeners = {std::make_shared<NoOwnRecovery>()};
  options.info_log_level = rocksdb::WARN_LEVEL;
  options.max_log_file_size = 64u << 10;
  options.keep_log_file_num = 2;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.max_manifest_file_size = sizes.manifest_bytes;
  options.delete_obsolete_files_period_micros = 0;
  options.avoid_flush_during_shutdown = true;
  return options;
}

rocksdb::ColumnFamilyOptions family_options(const StoreSizes& sizes, const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;  // keys and metadata only; payloads never enter it
  table.cache_index_and_filter_blocks = true;
  table.format_version = 5;
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.compression = rocksdb::kNoCompression;
  options.write_buffer_size = sizes.flush_bytes * 2;  // flushes are ours to start
  options.max_write_buffer_number = 2;
  options.arena_block_size = 256u << 10;
  options.level0_file_num_compaction_trigger = 8;
  options.level0_slowdown_writes_trigger = 64;
  options.level0_stop_writes_trigger = 128;
  options.target_file_size_base = 8u << 20;
  options.max_bytes_for_level_base = 1ull
                                     << 40;  // one level below 0: tables hold keys and metadata only, and are small
  options.num_levels = 2;
  return options;
}

rocksdb::ColumnFamilyOptions payload_options(const StoreSizes& sizes, const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions options = family_options(sizes, cache);
  options.enable_blob_files = true;
  options.min_blob_size = 0;
  options.blob_file_size = sizes.blob_file_bytes;
  options.blob_compression_type = rocksdb::kNoCompression;
  options.enable_blob_garbage_collection = false;
  return options;
}

rocksdb::Slice slice_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::span<const std::byte> bytes_of(const rocksdb::Slice& slice) {
  return std::as_bytes(std::span(slice.data(), slice.size()));
}

rocksdb::WriteOptions write_options() {
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  return options;
}

rocksdb::ReadOptions point_read() {
  rocksdb::ReadOptions options;
  options.verify_checksums = true;  // of tables; a payload's own checksum is verified where it is copied
  return options;
}

}  // namespace

StoreSizes StoreSizes::of(std::uint64_t capacity_bytes, std::uint64_t flush_bytes) {
  constexpr std::uint64_t mib = 1u << 20;
  StoreSizes sizes;
  sizes.flush_bytes = std::clamp<std::uint64_t>(std::min(flush_bytes, capacity_bytes / 32), mib / 2, 64 * mib);
  sizes.blob_file_bytes = std::clamp<std::uint64_t>(capacity_bytes / 32, mib / 2, 256 * mib);
  sizes.run_bytes = std::clamp<std::uint64_t>(capacity_bytes / 32, mib / 2, 128 * mib);
  sizes.manifest_bytes = std::clamp<std::uint64_t>(capacity_bytes / 256, mib / 8, 16 * mib);
  return sizes;
}

rocksdb::Status RocksStore::open(const std::string& path, const StoreSizes& sizes, const OpenOptions& how,
                                 std::unique_ptr<RocksStore>* out) {
  const auto cache = rocksdb::NewLRUCache(8u << 20, 2);
  std::unique_ptr<RocksStore> store(new RocksStore(sizes));
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = {
      {rocksdb::kDefaultColumnFamilyName, family_options(sizes, cache)},
      {kMetaFamily, family_options(sizes, cache)},
      {kPayloadFamily, payload_options(sizes, cache)}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const auto status = rocksdb::DB::Open(db_options(sizes, how), path, families, &handles, &db);
  if (!status.ok()) return status;
  store->db_.reset(db);
  store->default_ = handles[0];
  store->meta_ = handles[1];
  store->payload_ = handles[2];
  *out = std::move(store);
  return status;
}

RocksStore::~RocksStore() {
  if (!db_) return;
  for (auto* handle : {default_, meta_, payload_})
    if (handle) db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  db_->Close().PermitUncheckedError();
}

rocksdb::Status RocksStore::put(const MetaRecord& meta, std::span<const std::byte> payload) {
  const std::string key = payload_key(meta.record.number), header = encode_payload_header(meta);
  const rocksdb::Slice key_slice(key);
  const rocksdb::Slice parts[] = {header, slice_of(payload)};
  batch_.Clear();
  auto status = batch_.Put(payload_, rocksdb::SliceParts(&key_slice, 1), rocksdb::SliceParts(parts, 2));
  if (status.ok()) status = batch_.Put(meta_, meta_key(meta.record.fingerprint, meta.record.number), encode_meta(meta));
  return status.ok() ? db_->Write(write_options(), &batch_) : status;
}

rocksdb::Status RocksStore::put_stored(const MetaRecord& meta, const rocksdb::Slice& payload_record) {
  batch_.Clear();
  auto status = batch_.Put(payload_, payload_key(meta.record.number), payload_record);
  if (status.ok()) status = batch_.Put(meta_, meta_key(meta.record.fingerprint, meta.record.number), encode_meta(meta));
  return status.ok() ? db_->Write(write_options(), &batch_) : status;
}

rocksdb::Status RocksStore::get_payload(std::uint64_t position, rocksdb::PinnableSlice* value) {
  rocksdb::ReadOptions options = point_read();
  options.verify_checksums = false;
  return db_->Get(options, payload_, payload_key(position), value);
}

rocksdb::Status RocksStore::get_meta(const Fingerprint& fingerprint, std::uint64_t position,
                                     rocksdb::PinnableSlice* value) {
  return db_->Get(point_read(), meta_, meta_key(fingerprint, position), value);
}

rocksdb::Status RocksStore::erase(const Fingerprint& fingerprint, std::uint64_t position) {
  batch_.Clear();
  auto status = batch_.Delete(payload_, payload_key(position));
  if (status.ok()) status = batch_.Delete(meta_, meta_key(fingerprint, position));
  return status.ok() ? db_->Write(write_options(), &batch_) : status;
}

rocksdb::Status RocksStore::drop_below(std::uint64_t end, std::span<const MetaName> metas) {
  batch_.Clear();
  auto status = batch_.DeleteRange(payload_, payload_key(0), payload_key(end));
  for (const MetaName& meta : metas)
    if (status.ok()) status = batch_.Delete(meta_, meta_key(meta.fingerprint, meta.position));
  return status.ok() ? db_->Write(write_options(), &batch_) : status;
}

rocksdb::Status RocksStore::compact_below(std::uint64_t end) {
  const std::string from = payload_key(0), to = payload_key(end);
  const rocksdb::Slice from_slice(from), to_slice(to);
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.allow_write_stall = true;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  return db_->CompactRange(options, payload_, &from_slice, &to_slice);
}

rocksdb::Status RocksStore::flush() {
  rocksdb::FlushOptions options;
  options.wait = true;
  options.allow_write_stall = true;
  return db_->Flush(options, {meta_, payload_});
}

rocksdb::Status RocksStore::resume() { return db_->Resume(); }

// Every record takes one position and at least two of RocksDB's sequence numbers, so positions never pass those.
std::uint64_t RocksStore::next_position() const { return db_->GetLatestSequenceNumber() + 1; }

bool RocksStore::visit_metas(const Fingerprint* fingerprint, const MetaVisitor& visit) const {
  rocksdb::ReadOptions options = point_read();
  options.fill_cache = false;
  options.readahead_size = 1u << 20;
  options.total_order_seek = true;
  const std::string lower = fingerprint ? meta_key(*fingerprint, 0) : meta_key(Fingerprint{}, 0);
  const std::string upper = fingerprint ? meta_key(*fingerprint, ~0ull) : std::string(41, '\xff');
  const rocksdb::Slice upper_slice(upper);
  options.iterate_upper_bound = &upper_slice;
  std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options, meta_));
  for (at->Seek(lower); at->Valid(); at->Next()) visit(bytes_of(at->key()), bytes_of(at->value()));
  return at->status().ok();
}

void RocksStore::salvage_metas(const MetaVisitor& visit) const {
  std::vector<rocksdb::LiveFileMetaData> files;
  db_->GetLiveFilesMetaData(&files);
  for (const auto& file : files) {
    if (file.column_family_name != kMetaFamily) continue;
    rocksdb::SstFileReader reader(db_->GetOptions(meta_));
    if (!reader.Open(file.db_path + file.name).ok()) continue;
    std::unique_ptr<rocksdb::Iterator> at(reader.NewIterator(point_read()));
    std::string last;
    for (at->SeekToFirst(); at->Valid(); at->Next()) {
      visit(bytes_of(at->key()), bytes_of(at->value()));
      last = at->key().ToString();
    }
    if (at->status().ok()) continue;
    at.reset(reader.NewIterator(point_read()));  // what lies behind the damage is reached from the other end
    for (at->SeekToLast(); at->Valid() && at->key().ToString() > last; at->Prev())
      visit(bytes_of(at->key()), bytes_of(at->value()));
  }
}

rocksdb::Status RocksStore::rewrite_metas(const std::map<std::string, std::string>& metas) {
  auto status = db_->DropColumnFamily(meta_);
  if (!status.ok()) return status;
  status = db_->DestroyColumnFamilyHandle(meta_);
  meta_ = nullptr;
  if (!status.ok()) return status;
  status = db_->CreateColumnFamily(family_options(sizes_, rocksdb::NewLRUCache(4u << 20, 2)), kMetaFamily, &meta_);
  for (const auto& [key, value] : metas)
    if (status.ok()) status = db_->Put(write_options(), meta_, key, value);
  return status.ok() ? flush() : status;
}

}  // namespace kvasir::disk
