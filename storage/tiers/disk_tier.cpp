// Why it is laid out as it is (figures in storage/FORMAT.md):
// - Payloads lie under monotone positions in a blob family, so files die in order of age and space comes back by
//   dropping whole files; nothing is rewritten except what is worth keeping.
// - No WAL: it would double the bytes written. A flush of both families at once is the commit.
// - Reads are plain Get calls on several threads: Debian's RocksDB has no io_uring, and one thread leaves the device
// idle.
// - The queue holds spans, not copies: a payload stays in its owner's block until RocksDB has it.
#include "storage/tiers/disk_tier.h"

#include <condition_variable>
#include <deque>
#include <future>
#include <thread>
#include <variant>

#include "storage/base/assert.h"
#include "storage/tiers/disk_clients.h"
#include "storage/tiers/disk_store.h"

namespace kvasir {
namespace {

constexpr std::size_t kWriteQueueMax = 256;

struct WriteJob {
  disk::DiskClients::Use use;
  DiskRecord record;
  std::span<const std::byte> payload;
  std::uint64_t tag;
  TimePoint asked;
};
struct ForgetJob {
  Fingerprint fingerprint;
  BlockKey key;
  std::uint64_t number;
};
struct FlushJob {
  std::promise<void>* done;
};
using WriterJob = std::variant<WriteJob, ForgetJob, FlushJob>;

struct ReadJob {
  disk::DiskClients::Use use;
  DiskRecord expected;
  std::span<std::byte> into;
  std::uint64_t tag;
};

class RocksDiskTier final : public DiskTier {
 public:
  static Result<std::unique_ptr<DiskTier>> open(const DiskTierConfig& config, rocksdb::Env* env) {
    std::unique_ptr<RocksDiskTier> tier(new RocksDiskTier);
    auto store = disk::DiskStore::open(
        config, env, [clients = &tier->clients_](const Fingerprint& fingerprint, DiskCompletion completion) {
          clients->post(fingerprint, completion);
        });
    if (!store) return store.error();
    tier->start(std::move(*store), config.reader_threads);
    return std::unique_ptr<DiskTier>(std::move(tier));
  }

  ~RocksDiskTier() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    writer_wakeup_.notify_all();
    reader_wakeup_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  std::vector<DiskRecord> attach(const Fingerprint& fingerprint, std::function<void()> on_completion_ready) override {
    clients_.add(fingerprint, std::move(on_completion_ready));
    return store_->records_of(fingerprint);
  }

  void detach(const Fingerprint& fingerprint) override { clients_.remove(fingerprint); }

  void read(const DiskRecord& expected, std::span<std::byte> into, std::uint64_t tag) override {
    {
      ReadJob job{{clients_, expected.fingerprint}, expected, into, tag};
      std::lock_guard lock(mutex_);
      reads_.push_back(std::move(job));
    }
    reader_wakeup_.notify_one();
  }

  bool write(DiskRecord record, std::span<const std::byte> payload, std::uint64_t tag) override {
    disk::DiskClients::Use use(clients_, record.fingerprint);
    {
      std::lock_guard lock(mutex_);
      if (jobs_.size() >= kWriteQueueMax) return false;
      jobs_.emplace_back(WriteJob{std::move(use), std::move(record), payload, tag, Clock::now()});
    }
    writer_wakeup_.notify_one();
    return true;
  }

  void forget(const Fingerprint& fingerprint, const BlockKey& key, std::uint64_t number) override {
    enqueue(ForgetJob{fingerprint, key, number});
  }

  void touch(std::uint64_t number) override { store_->touch(number); }
  std::vector<DiskCompletion> drain(const Fingerprint& fingerprint) override { return clients_.drain(fingerprint); }

  void flush() override {
    std::promise<void> done;
    enqueue(FlushJob{&done});
    done.get_future().wait();
  }

  DiskStats stats() const override { return store_->stats(); }

 private:
  RocksDiskTier() = default;

  void start(std::unique_ptr<disk::DiskStore> store, std::uint32_t readers) {
    store_ = std::move(store);
    threads_.emplace_back([this] { run_writer(); });
    for (std::uint32_t i = 0; i < std::max(readers, 1u); ++i) threads_.emplace_back([this] { run_reader(); });
  }

  void enqueue(WriterJob job) {
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    writer_wakeup_.notify_one();
  }

  // What is queued when the tier stops is refused (writes) or done (the rest).
  void run_writer() {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto ready = [&] { return stopping_ || !jobs_.empty(); };
      if (const auto time = store_->next_time())
        writer_wakeup_.wait_until(lock, *time, ready);
      else
        writer_wakeup_.wait(lock, ready);
      if (jobs_.empty() && stopping_) return;
      std::optional<WriterJob> job;
      if (!jobs_.empty()) {
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      const bool stopping = stopping_;
      lock.unlock();
      if (job) std::visit([&](auto& j) { run(j, stopping); }, *job);
      store_->on_time(Clock::now());
      lock.lock();
    }
  }

  void run(WriteJob& job, bool stopping) {
    if (stopping)
      store_->refuse(job.record, job.tag);
    else
      store_->write(job.record, job.payload, job.tag, job.asked);
  }
  void run(ForgetJob& job, bool) { store_->forget(job.fingerprint, job.key, job.number); }
  void run(FlushJob& job, bool) {
    store_->flush();
    job.done->set_value();
  }

  void run_reader() {
    std::unique_lock lock(mutex_);
    for (;;) {
      reader_wakeup_.wait(lock, [&] { return stopping_ || !reads_.empty(); });
      if (reads_.empty()) return;
      ReadJob job = std::move(reads_.front());
      reads_.pop_front();
      lock.unlock();
      run(job);
      lock.lock();
    }
  }

  void run(ReadJob& job) {
    const auto fault = store_->read(job.expected, job.into);
    clients_.post(job.expected.fingerprint,
                  {DiskCompletion::Kind::read, job.expected.key, job.expected.number, job.tag, fault});
  }

  disk::DiskClients clients_;
  std::unique_ptr<disk::DiskStore> store_;
  std::mutex mutex_;  // protects the queues
  std::condition_variable writer_wakeup_, reader_wakeup_;
  std::deque<WriterJob> jobs_;
  std::deque<ReadJob> reads_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<DiskTier>> DiskTier::open(const DiskTierConfig& config) {
  return RocksDiskTier::open(config, nullptr);
}

namespace disk {
Result<std::unique_ptr<DiskTier>> open_disk_tier(const DiskTierConfig& config, rocksdb::Env* env) {
  return RocksDiskTier::open(config, env);
}
}  // namespace disk

}  // namespace kvasir
