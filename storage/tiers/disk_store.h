#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <vector>

#include "storage/base/result.h"
#include "storage/base/time.h"
#include "storage/tiers/disk_folder.h"
#include "storage/tiers/disk_log.h"
#include "storage/tiers/disk_tier.h"
#include "storage/tiers/rocks_store.h"

namespace kvasir::disk {

inline constexpr std::uint64_t kCapacityMin = 16ull << 20;
inline constexpr std::chrono::seconds kProbeInterval{5};  // between attempts to write again after an error

// The log of blocks with its policy, without threads: what to write where, when to flush, what to drop to stay under
// the cap, how to go on after an error.
//
// write(), forget(), flush(), on_time() belong to one thread, the writer; the rest may be called from any.
// Life of a record:  write() -> written -> flush() -> durable -> reclaimed | forgotten
class DiskStore {
 public:
  // Called on the writer's thread.
  using Sink = std::function<void(const Fingerprint& fingerprint, DiskCompletion completion)>;

  // `env` may be null: the default. Errors as DiskTier::open.
  static Result<std::unique_ptr<DiskStore>> open(const DiskTierConfig& config, rocksdb::Env* env, Sink sink);
  ~DiskStore();

  // `asked` is when the block was committed: it is durable flush_interval later.
  void write(const DiskRecord& record, std::span<const std::byte> payload, std::uint64_t tag, TimePoint asked);
  void refuse(const DiskRecord& record, std::uint64_t tag);
  void forget(const Fingerprint& fingerprint, const BlockKey& key, std::uint64_t number);
  void flush();
  void on_time(TimePoint now);                 // flushes what is due, probes after an error
  std::optional<TimePoint> next_time() const;  // when on_time() has something to do

  std::optional<RecordFault> read(const DiskRecord& expected, std::span<std::byte> into) const;
  std::vector<DiskRecord> records_of(const Fingerprint& fingerprint) const;
  void touch(std::uint64_t number);
  DiskStats stats() const;
  void check_invariants() const;

 private:
  struct Pending {  // written, not durable
    Fingerprint fingerprint;
    BlockKey key;
    std::uint64_t number, tag;
  };

  DiskStore(const DiskTierConfig& config, StoreFolder folder, rocksdb::Env* env, Sink sink);
  rocksdb::Status open_store();  // whatever it takes, down to an empty store
  void load_log();               // the catalog from the meta records; drops damaged ones
  void mend_metas(const RocksStore::MetaVisitor& load);
  bool append(const DiskRecord& record, std::span<const std::byte> payload, std::uint64_t tag);
  void emit(DiskCompletion::Kind kind, const Pending& record);

  // Space.
  std::uint64_t reserve() const;  // kept free for what RocksDB writes besides records
  bool fits(std::uint64_t bytes) const;
  bool make_room(std::uint64_t bytes);
  bool reclaim();
  void append_again(std::uint64_t position, std::vector<RocksStore::MetaName>* replaced);
  bool commit_pending();  // flush; false after an error
  void measure();

  // Errors.
  void fail(const rocksdb::Status& status);
  void probe();
  void reset_store();

  const DiskTierConfig config_;
  const StoreFolder folder_;
  const StoreSizes sizes_;
  const RocksStore::OpenOptions how_;
  const Sink sink_;

  // Writer's.
  std::uint64_t next_position_ = 1;
  std::uint64_t emptied_below_ = 0;  // the last time that an empty catalog was dropped for good measure
  FolderUsage measured_;
  std::uint64_t unflushed_bytes_ = 0;
  std::vector<Pending> pending_;
  bool dirty_ = false;  // something to flush, be it a deletion
  std::optional<TimePoint> flush_at_, probe_at_;

  mutable std::shared_mutex store_mutex_;  // exclusive only to replace store_
  std::unique_ptr<RocksStore> store_;      // null after a reset that failed
  mutable std::mutex mutex_;               // protects log_ and stats_
  DiskLog log_;
  DiskStats stats_;
};

// For tests: a tier over an injected environment.
Result<std::unique_ptr<DiskTier>> open_disk_tier(const DiskTierConfig& config, rocksdb::Env* env);

}  // namespace kvasir::disk
