#include "engine/cpu/step_worker.h"

#include <utility>

#include "storage/base/assert.h"

namespace kvasir {

StepWorker::StepWorker(Compute compute) : compute_(std::move(compute)), thread_([this] { run(); }) {}

StepWorker::~StepWorker() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return state_ != State::running; });
    state_ = State::stopping;
  }
  changed_.notify_all();
  thread_.join();
}

void StepWorker::set_wakeup(std::function<void()> wakeup) {
  const std::lock_guard lock(mutex_);
  KVASIR_ASSERT(ticket_ == 0);
  wakeup_ = std::move(wakeup);
}

Ticket StepWorker::submit(Batch batch) {
  KVASIR_ASSERT(!batch.sequences.empty());
  std::uint64_t ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    KVASIR_ASSERT(state_ == State::idle);
    batch_ = std::move(batch);
    state_ = State::running;
    ticket = ++ticket_;
  }
  changed_.notify_all();
  return Ticket{ticket};
}

std::optional<BatchResult> StepWorker::poll(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  KVASIR_ASSERT(static_cast<std::uint64_t>(ticket) == ticket_ && state_ != State::idle);
  if (state_ != State::ready) return std::nullopt;
  state_ = State::idle;
  return std::exchange(result_, {});
}

// batch_ and result_ are the worker's alone while the state is running.
void StepWorker::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return state_ == State::running || state_ == State::stopping; });
    if (state_ == State::stopping) return;
    lock.unlock();
    BatchResult result = compute_(batch_);
    lock.lock();
    result_ = std::move(result);
    batch_ = {};
    state_ = State::ready;
    changed_.notify_all();
    lock.unlock();
    if (wakeup_) wakeup_();
    lock.lock();
  }
}

}  // namespace kvasir
