#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "storage/base/prng.h"
#include "storage/tiers/disk_tier.h"

namespace kvasir::testing {

// How the fake misbehaves. May be changed at any time.
struct FakeDiskOptions {
  std::uint32_t delay_steps_max = 0;       // an operation ends 1 + [0, max] steps after it was asked for
  bool reorder = false;                    // operations due in the same step end in random order
  bool stuck = false;                      // nothing ends; flush() still does
  std::uint32_t queue_max = 256;           // operations waiting; past it write() returns false
  std::uint32_t durable_after_steps = 4;   // a written record survives crash() after so many steps
  std::uint32_t records_max = UINT32_MAX;  // past it the oldest record is reclaimed (re-appended once when touched)
  std::uint32_t read_fault_percent = 0;    // a random RecordFault, with garbage left in the buffer
  std::uint32_t refuse_percent = 0;        // of writes
  std::uint32_t reclaim_percent = 0;       // chance per step that the oldest record goes
};

// A DiskTier in memory, on one thread, deterministic by its seed: nothing happens but in step() and flush(). Outlives
// the prefix caches attached to it, so a test restarts a cache by destroying it and making another; crash() first makes
// that a kill -9.
class FakeDiskTier final : public DiskTier {
 public:
  explicit FakeDiskTier(std::uint64_t seed, FakeDiskOptions fault_options = {});

  FakeDiskOptions options;
  void step();            // one unit of time: operations age, end, become durable
  bool idle() const;      // nothing waits, all is durable
  void run_until_idle();  // steps until idle(). REQUIRES: not stuck
  void crash();           // drops what is not durable and all operations
  void fail_next_reads(std::uint32_t count, RecordFault fault);
  void reclaim_oldest();  // unless it was touched: then it counts as appended again
  void reclaim(std::uint64_t number);
  const DiskRecord* find(const BlockKey& key) const;               // its newest record, or nothing
  std::vector<DiskRecord> records() const;                         // all, oldest first
  void insert(DiskRecord record, std::vector<std::byte> payload);  // as if an earlier process had written it
  std::uint64_t reads_started() const { return reads_started_; }
  std::uint32_t reads_waiting() const;
  std::uint32_t writes_waiting() const;
  std::uint64_t touches() const { return touches_; }

  std::vector<DiskRecord> attach(const Fingerprint& fingerprint, std::function<void()> on_completion_ready) override;
  void detach(const Fingerprint& fingerprint) override;
  void read(const DiskRecord& expected, std::span<std::byte> into, std::uint64_t tag) override;
  bool write(DiskRecord record, std::span<const std::byte> payload, std::uint64_t tag) override;
  void forget(const Fingerprint& fingerprint, const BlockKey& key, std::uint64_t number) override;
  void touch(std::uint64_t number) override;
  std::vector<DiskCompletion> drain(const Fingerprint& fingerprint) override;
  void flush() override;
  DiskStats stats() const override;

 private:
  struct Stored {
    DiskRecord meta;
    std::vector<std::byte> payload;
    std::uint32_t steps_until_durable = 0;
    bool durable = false;
    bool touched = false;
  };
  struct Operation {
    bool is_write;
    DiskRecord record;
    std::span<std::byte> into;
    std::span<const std::byte> payload;
    std::uint64_t tag;
    std::uint32_t steps_left;
  };
  struct Client {
    std::function<void()> wake;
    std::vector<DiskCompletion> completions;
  };

  void enqueue(Operation operation);
  std::vector<Operation> take_due();
  void perform(Operation& operation);
  void perform_read(Operation& operation);
  void perform_write(Operation& operation);
  std::optional<RecordFault> read_fault(const DiskRecord& expected);
  void age_records();
  void make_durable(Stored& stored);
  void complete(const Fingerprint& fingerprint, DiskCompletion completion);

  Prng prng_;
  std::map<std::uint64_t, Stored> stored_;  // by number: oldest first
  std::vector<Operation> operations_;
  std::map<Fingerprint, Client> clients_;
  std::uint64_t next_number_ = 1;
  std::uint32_t faults_to_inject_ = 0;
  RecordFault fault_to_inject_ = RecordFault::checksum;
  std::uint64_t reads_started_ = 0, touches_ = 0;
  DiskStats stats_;
};

}  // namespace kvasir::testing
