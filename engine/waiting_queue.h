#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "engine/sequence.h"

namespace kvasir {

// Sequences that wait to be admitted: preempted ones first (the last one preempted before the others: victims are taken
// latest first), then by whatever order is asked for, and of equals the one that came first. Holds no sequence alive.
// Owned by the scheduler, on the owner thread.
class WaitingQueue {
 public:
  using Eligible = std::function<bool(const Sequence&)>;
  using Before = std::function<bool(const Sequence&, const Sequence&)>;

  void push(Sequence& sequence) { arrived_.push_back(&sequence); }
  void push_preempted(Sequence& sequence) { preempted_.push_front(&sequence); }
  void remove(const Sequence& sequence);  // REQUIRES: is in the queue

  // The next sequence to admit among those that `eligible` takes; null when there is none.
  Sequence* next(const Eligible& eligible, const Before& before) const;

  void for_each(const std::function<void(Sequence&)>& visit) const;  // preempted ones, then in order of arrival
  std::uint32_t size() const { return static_cast<std::uint32_t>(preempted_.size() + arrived_.size()); }

 private:
  std::deque<Sequence*> preempted_, arrived_;
};

}  // namespace kvasir
