#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "storage/simulator/trace.h"

namespace kvasir {

// Requests of a trace between their arrival and their end, in order of the ends.
class RunningRequests {
 public:
  explicit RunningRequests(const Trace& trace) : trace_(trace) {}

  void begin(std::size_t request) {
    const TraceRequest& r = trace_.requests[request];
    ends_.emplace(r.arrival + r.duration, request);
  }
  // Calls ended(request, time) for all that end up to `now`, in order.
  template <class Ended>
  void advance(Duration now, Ended ended) {
    for (; !ends_.empty() && ends_.top().first <= now; ends_.pop()) ended(ends_.top().second, ends_.top().first);
  }

 private:
  using End = std::pair<Duration, std::size_t>;
  const Trace& trace_;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
};

}  // namespace kvasir
