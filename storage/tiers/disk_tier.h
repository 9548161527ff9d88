#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "storage/base/ids.h"
#include "storage/base/result.h"
#include "storage/base/time.h"
#include "storage/prefix_cache.h"

namespace kvasir {

struct DiskTierConfig {
  std::string path;                            // folder, made with mode 0700
  std::uint64_t capacity_bytes = 20ull << 30;  // hard cap on what du says of the folder
  std::uint32_t reader_threads = 4;
  std::chrono::milliseconds flush_interval{1000};  // a block is durable at most this long after its commit
  std::uint64_t flush_bytes = 32ull << 20;
};

// Identity of one stored block: what the index is rebuilt from.
struct DiskRecord {
  std::uint64_t number = 0;  // monotone; the payload's key
  Fingerprint fingerprint;
  BlockKey key, parent;
  Salt salt;
  std::vector<TokenId> ids;
  std::uint64_t payload_bytes = 0;
};

struct DiskStats {
  std::uint64_t physical_bytes = 0;  // of the folder, as du counts
  std::uint64_t capacity_bytes = 0;
  std::uint64_t records = 0;
  std::uint64_t write_errors = 0, writes_refused = 0, records_reclaimed = 0, records_reappended = 0, bytes_written = 0;
  bool writable = true;              // false while the disk is full or failing
  std::uint64_t stores_dropped = 0;  // whole stores removed because of their format or of damage beyond single records
  std::array<std::uint64_t, kRecordFaultCount> open_faults{};  // records that open() found damaged and dropped
};

// Completed work, handed to the owner of the prefix cache that asked.
struct DiskCompletion {
  enum class Kind : std::uint8_t {
    read,       // `fault` empty: the payload is in the buffer, verified
    written,    // readable, not yet durable
    durable,    // survives kill -9 from here on
    refused,    // not written: full, failing or shutting down
    reclaimed,  // the log dropped this record to make room
  };
  Kind kind;
  BlockKey key;
  std::uint64_t number = 0;
  std::uint64_t tag = 0;  // the caller's, from read() or write()
  std::optional<RecordFault> fault;
};

// RocksDB on NVMe as a log of blocks; format in storage/FORMAT.md. Opened by the process itself, shared by all models
// (clients are told apart by fingerprint). All public methods are thread-safe and return at once unless noted; work
// runs on one writer and `reader_threads` reader threads. See DESIGN notes in disk_tier.cpp for why it is laid out as
// it is.
class DiskTier {
 public:
  // Opens or creates the store; drops what cannot be read. Errors: io (folder, lock), invalid_argument (capacity
  // under 16 MiB), corrupt only when the folder holds something that is not ours. Blocking.
  static Result<std::unique_ptr<DiskTier>> open(const DiskTierConfig& config);
  virtual ~DiskTier() = default;

  // Registers a client; `on_completion_ready` is called from disk threads when drain(client) has something.
  // Returns the records stored under its fingerprint, oldest first (blocking; metadata only).
  virtual std::vector<DiskRecord> attach(const Fingerprint& fingerprint, std::function<void()> on_completion_ready) = 0;
  virtual void detach(const Fingerprint& fingerprint) = 0;  // waits until no buffer of this client is in use

  // Reads a payload straight into `into` (exactly payload_bytes, stays valid until the completion) and verifies
  // checksum, ids and fingerprint against `expected`.
  virtual void read(const DiskRecord& expected, std::span<std::byte> into, std::uint64_t tag) = 0;

  // Appends a record; `payload` stays valid and unchanged until `written` or `refused`. False when the queue is full.
  virtual bool write(DiskRecord record, std::span<const std::byte> payload, std::uint64_t tag) = 0;

  // Forgets a record (corrupt, purged): durable with the next flush.
  virtual void forget(const Fingerprint& fingerprint, const BlockKey& key, std::uint64_t number) = 0;

  // Marks a record as used, so that the log re-appends it instead of dropping it when its run is reclaimed.
  virtual void touch(std::uint64_t number) = 0;

  virtual std::vector<DiskCompletion> drain(const Fingerprint& fingerprint) = 0;
  virtual void flush() = 0;  // blocking: everything written before is durable on return, if the disk is writable
  virtual DiskStats stats() const = 0;
};

}  // namespace kvasir
