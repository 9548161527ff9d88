#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <rocksdb/db.h>

#include "storage/base/result.h"
#include "storage/tiers/disk_record.h"

namespace kvasir::disk {

// Sizes that follow from the cap, so that small stores work and large ones have few files.
struct StoreSizes {
  std::uint64_t flush_bytes = 0;      // memory before a flush
  std::uint64_t blob_file_bytes = 0;  // the grain in which space comes back
  std::uint64_t run_bytes = 0;        // reclaimed at a time
  std::uint64_t manifest_bytes = 0;   // RocksDB starts a new manifest past it
  static StoreSizes of(std::uint64_t capacity_bytes, std::uint64_t flush_bytes);
};

// One embedded RocksDB with the column families `meta` and `payload`. No policy and no threads of its own besides
// RocksDB's. Writes from one thread at a time; reads from any.
class RocksStore {
 public:
  struct OpenOptions {
    rocksdb::Env* env = nullptr;  // null: the default; outlives the store
    bool direct_io = true;
    bool best_efforts = false;  // to mend only: the newest state whose tables are all there, instead of an error
  };
  // Opens or creates. The status is RocksDB's.
  static rocksdb::Status open(const std::string& path, const StoreSizes& sizes, const OpenOptions& how,
                              std::unique_ptr<RocksStore>* out);
  ~RocksStore();
  RocksStore(const RocksStore&) = delete;
  RocksStore& operator=(const RocksStore&) = delete;

  // meta.record.number is the position. Readable on return, durable after flush().
  rocksdb::Status put(const MetaRecord& meta, std::span<const std::byte> payload);
  // The same from a stored payload record: header and payload as they are.
  rocksdb::Status put_stored(const MetaRecord& meta, const rocksdb::Slice& payload_record);
  rocksdb::Status get_payload(std::uint64_t position, rocksdb::PinnableSlice* value);
  rocksdb::Status get_meta(const Fingerprint& fingerprint, std::uint64_t position, rocksdb::PinnableSlice* value);
  rocksdb::Status erase(const Fingerprint& fingerprint, std::uint64_t position);

  // Drops all payloads below `end` and these metas; the files go with flush() and compact_below().
  struct MetaName {
    Fingerprint fingerprint;
    std::uint64_t position;
  };
  rocksdb::Status drop_below(std::uint64_t end, std::span<const MetaName> metas);
  rocksdb::Status compact_below(std::uint64_t end);

  rocksdb::Status flush();              // blocking; both families at once
  rocksdb::Status resume();             // after a write error
  std::uint64_t next_position() const;  // above every position ever used

  // Visits the meta records of one fingerprint, or of all, in order of key. False when part of them could not be read.
  using MetaVisitor = std::function<void(std::span<const std::byte> key, std::span<const std::byte> value)>;
  bool visit_metas(const Fingerprint* fingerprint, const MetaVisitor& visit) const;

  // After damage: visits what can be read of each table for itself, in no order; forgotten records may be among it.
  void salvage_metas(const MetaVisitor& visit) const;

  // Replaces the whole meta family: the way to be rid of damaged tables in it.
  rocksdb::Status rewrite_metas(const std::map<std::string, std::string>& metas);

 private:
  explicit RocksStore(const StoreSizes& sizes) : sizes_(sizes) {}
  StoreSizes sizes_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* default_ = nullptr;
  rocksdb::ColumnFamilyHandle* meta_ = nullptr;
  rocksdb::ColumnFamilyHandle* payload_ = nullptr;
  rocksdb::WriteBatch batch_;
};

}  // namespace kvasir::disk
