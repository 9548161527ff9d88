#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "engine/backend.h"

namespace kvasir {

// The submit / poll half of a Backend: one step in flight, computed on a thread of its own. The owner thread calls
// submit() and poll(), which return at once; `compute` runs on the worker thread, and then wakeup, also there.
//
// Life of a step:  idle -> submit() -> running -> ready -> poll() returns it -> idle
class StepWorker {
 public:
  using Compute = std::function<BatchResult(const Batch&)>;

  explicit StepWorker(Compute compute);
  ~StepWorker();  // waits for a running step, drops its result
  StepWorker(const StepWorker&) = delete;
  StepWorker& operator=(const StepWorker&) = delete;

  void set_wakeup(std::function<void()> wakeup);   // once, before the first submit
  Ticket submit(Batch batch);                      // REQUIRES: no step in flight, batch not empty
  std::optional<BatchResult> poll(Ticket ticket);  // REQUIRES: the ticket of the last submit

 private:
  enum class State : std::uint8_t { idle, running, ready, stopping };

  void run();

  const Compute compute_;
  std::function<void()> wakeup_;
  std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  State state_ = State::idle;
  Batch batch_;
  BatchResult result_;
  std::uint64_t ticket_ = 0;
  std::thread thread_;  // last: starts when everything else is there
};

}  // namespace kvasir
