#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "storage/tiers/disk_tier.h"

namespace kvasir::testing {

// Records and payloads that follow from a seed, so that a reader can tell right bytes from wrong ones.
Fingerprint fingerprint_of(std::uint64_t seed);
DiskRecord record_of(const Fingerprint& fingerprint, std::uint64_t seed, std::size_t payload_bytes);
std::vector<std::byte> payload_of(std::uint64_t seed, std::size_t payload_bytes);

// Bytes of a folder, counted as du counts.
std::uint64_t disk_usage(const std::string& path);

// A client of a disk tier for tests: blocking calls over the asynchronous ones, and a tally of what the tier said.
// One thread at a time.
class DiskClient {
 public:
  DiskClient(DiskTier& tier, const Fingerprint& fingerprint);
  ~DiskClient();

  const Fingerprint& fingerprint() const { return fingerprint_; }
  const std::vector<DiskRecord>& attached() const { return attached_; }  // what the tier held at the start

  // Queues a write of record_of/payload_of(seed) and returns at once.
  void start_write(std::uint64_t seed, std::size_t payload_bytes);
  // Waits until it is written; the number, or 0 when refused.
  std::uint64_t write(std::uint64_t seed, std::size_t payload_bytes);
  // Waits until nothing queued is unanswered.
  void settle();
  // Reads; the fault, or none when the bytes arrived. `got` receives them.
  std::optional<RecordFault> read(const DiskRecord& record, std::vector<std::byte>* got);
  // Reads record_of(seed) under `number` and checks that the bytes are payload_of(seed): never others.
  std::optional<RecordFault> read_checked(std::uint64_t seed, std::uint64_t number, std::size_t payload_bytes);
  // Takes what is there without waiting.
  void poll();

  // What the tier said so far, by seed.
  std::map<std::uint64_t, std::uint64_t> written;  // seed -> number, those not refused
  std::set<std::uint64_t> durable, reclaimed, refused;

 private:
  void wait();
  void apply(const DiskCompletion& completion);

  DiskTier& tier_;
  const Fingerprint fingerprint_;
  std::mutex mutex_;
  std::condition_variable ready_;
  bool signalled_ = false;
  std::vector<DiskRecord> attached_;
  std::map<std::uint64_t, std::vector<std::byte>> payloads_in_use_;  // by seed
  std::map<std::uint64_t, std::uint64_t> seed_of_number_;
  std::map<std::uint64_t, std::optional<RecordFault>> reads_done_;  // by tag
  std::uint64_t read_tag_ = 0;
};

}  // namespace kvasir::testing
