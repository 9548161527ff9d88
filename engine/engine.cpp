#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "engine/engine_core.h"
#include "engine/inbox.h"

namespace kvasir {
namespace {

// How long the owner sleeps at most while sequences wait for something other than a step: a lost bell costs this much.
constexpr auto kStalledTurn = std::chrono::milliseconds(20);

// Unique within the process, whatever the number of engines.
SequenceId next_sequence_id() {
  static std::atomic<std::uint64_t> last{0};
  return SequenceId{++last};
}

class OwnerThreadEngine final : public Engine {
 public:
  OwnerThreadEngine(const EngineConfig& config, Backend& backend, const Fingerprint& fingerprint,
                    const PrefixCacheConfig& cache, DiskTier* disk)
      : live_max_(std::uint64_t{config.running_max} + config.waiting_max),
        inbox_(std::make_shared<Inbox>()),
        core_(config, backend, fingerprint, cache, disk),
        stats_(core_.stats()) {
    // The bell outlives the engine: a backend thread may still be ringing when the last step's result was taken.
    const auto ring = [inbox = inbox_] { inbox->ring(); };
    backend.set_wakeup(ring);
    core_.cache().set_wakeup(ring);
    owner_ = std::thread([this] { loop(); });
  }

  ~OwnerThreadEngine() override {
    drain();
    inbox_->push(StopRequest{});
    owner_.join();
  }

  Result<SequenceId> submit(GenerateRequest request, std::shared_ptr<TokenListener> listener) override;
  void cancel(SequenceId id) override { inbox_->push(CancelRequest{id}); }
  void tell_end(SequenceId id, RequestEnd end) override { inbox_->push(ToldEnd{id, end}); }
  void drain() override {
    const std::lock_guard lock(mutex_);
    draining_ = true;
  }
  EngineStats stats() const override {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  const BackendInfo& backend() const override { return core_.backend(); }
  std::uint32_t context_tokens() const override { return core_.context_tokens(); }

 private:
  void loop();
  void receive(std::vector<InboxMessage> messages, TimePoint now);
  void publish();
  std::optional<TimePoint> sleep_until(TimePoint now) const;

  const std::uint64_t live_max_;
  const std::shared_ptr<Inbox> inbox_;
  EngineCore core_;        // the owner thread's, but for its thread-safe methods
  bool stopping_ = false;  // the owner thread's
  mutable std::mutex mutex_;
  bool draining_ = false;  // below: guarded by mutex_
  std::uint64_t submitted_ = 0;
  EngineStats stats_;
  std::thread owner_;
};

Result<SequenceId> OwnerThreadEngine::submit(GenerateRequest request, std::shared_ptr<TokenListener> listener) {
  if (Status status = core_.check(request); !status) return std::move(status).error();
  {
    const std::lock_guard lock(mutex_);
    if (draining_) return error(ErrorCode::shutting_down, "the server is shutting down");
    if (submitted_ - stats_.requests_finished >= live_max_)
      return error(ErrorCode::queue_full, std::to_string(live_max_) + " requests are running or waiting already");
    ++submitted_;
  }
  const SequenceId id = next_sequence_id();
  inbox_->push(core_.make_sequence(id, std::move(request), std::move(listener)));
  return id;
}

void OwnerThreadEngine::loop() {
  bool again = false;
  while (!stopping_ || !core_.empty() || again) {
    const TimePoint before = Clock::now();
    std::vector<InboxMessage> messages = inbox_->wait(again ? before : sleep_until(before));
    const TimePoint now = Clock::now();
    receive(std::move(messages), now);
    core_.advance(now);
    publish();  // before the listeners hear: who was told that it ended finds its blocks given back
    again = core_.deliver(now);
  }
  core_.cache().flush();
}

void OwnerThreadEngine::receive(std::vector<InboxMessage> messages, TimePoint now) {
  for (InboxMessage& message : messages) {
    if (auto* sequence = std::get_if<std::unique_ptr<Sequence>>(&message)) {
      core_.submit(std::move(*sequence));
    } else if (const auto* cancelled = std::get_if<CancelRequest>(&message)) {
      core_.cancel(cancelled->id, now);
    } else if (const auto* told = std::get_if<ToldEnd>(&message)) {
      core_.tell_end(told->id, told->end);
    } else {
      stopping_ = true;
    }
  }
  if (stopping_) core_.stop(now);
}

void OwnerThreadEngine::publish() {
  const EngineStats stats = core_.stats();
  const std::lock_guard lock(mutex_);
  stats_ = stats;
}

std::optional<TimePoint> OwnerThreadEngine::sleep_until(TimePoint now) const {
  std::optional<TimePoint> until = core_.next_deadline();
  if (!core_.empty() && !core_.step_in_flight())
    until = std::min(until.value_or(now + kStalledTurn), now + kStalledTurn);
  return until;
}

}  // namespace

std::unique_ptr<Engine> Engine::start(EngineConfig config, Backend& backend, Fingerprint fingerprint,
                                      PrefixCacheConfig cache, DiskTier* disk) {
  return std::make_unique<OwnerThreadEngine>(config, backend, fingerprint, cache, disk);
}

}  // namespace kvasir
