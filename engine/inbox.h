#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "engine/sequence.h"

namespace kvasir {

struct CancelRequest {
  SequenceId id{};
};
struct ToldEnd {
  SequenceId id{};
  RequestEnd end = RequestEnd::unknown;
};
struct StopRequest {};
using InboxMessage = std::variant<std::unique_ptr<Sequence>, CancelRequest, ToldEnd, StopRequest>;

// How other threads reach the owner thread: messages, and a bell for completions that it fetches itself. All methods
// are thread-safe; wait() is the owner's. Bounded by its callers: the engine counts live sequences.
class Inbox {
 public:
  void push(InboxMessage message) {
    {
      const std::lock_guard lock(mutex_);
      messages_.push_back(std::move(message));
      rung_ = true;
    }
    changed_.notify_one();
  }

  void ring() {
    {
      const std::lock_guard lock(mutex_);
      rung_ = true;
    }
    changed_.notify_one();
  }

  // Returns what came since the last call, after a message, a ring or `until`, whichever is first.
  std::vector<InboxMessage> wait(std::optional<TimePoint> until) {
    std::unique_lock lock(mutex_);
    const auto rung = [this] { return rung_; };
    if (until) {
      changed_.wait_until(lock, *until, rung);
    } else {
      changed_.wait(lock, rung);
    }
    rung_ = false;
    return std::exchange(messages_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<InboxMessage> messages_;  // below: guarded by mutex_
  bool rung_ = false;
};

}  // namespace kvasir
