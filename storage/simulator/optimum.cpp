#include "storage/simulator/optimum.h"

#include <set>
#include <vector>

#include "storage/base/assert.h"
#include "storage/simulator/running_requests.h"

namespace kvasir {
namespace {

constexpr std::size_t kProgressRequests = 256;

// Resident blocks by their next use, a request's index; all blocks of one use lie on one stack, tails on top.
class FarthestFirst {
 public:
  explicit FarthestFirst(const Trace& trace) : stacks_(trace.requests.size() + 1) {}

  void push(std::size_t next_use, std::uint32_t block) {
    if (stacks_[next_use].empty()) filled_.insert(next_use);
    stacks_[next_use].push_back(block);
  }
  bool empty() const { return filled_.empty(); }
  std::uint32_t pop() {
    const std::size_t farthest = *filled_.rbegin();
    std::vector<std::uint32_t>& stack = stacks_[farthest];
    const std::uint32_t block = stack.back();
    stack.pop_back();
    if (stack.empty()) filled_.erase(farthest);
    return block;
  }
  void clear(std::size_t next_use) {  // these blocks are being used
    stacks_[next_use].clear();
    filled_.erase(next_use);
  }

 private:
  std::vector<std::vector<std::uint32_t>> stacks_;
  std::set<std::size_t> filled_;
};

class OptimalTier {
 public:
  OptimalTier(const Trace& trace, std::uint32_t capacity)
      : trace_(trace),
        capacity_(capacity),
        candidates_(trace),
        next_use_(next_uses(trace)),
        coming_(trace.unique_blocks),
        resident_(trace.unique_blocks),
        pins_(trace.unique_blocks) {}

  std::uint32_t use(std::size_t index, bool pin) {
    const TraceRequest& request = trace_.requests[index];
    const auto path = trace_.path(request);
    candidates_.clear(index);
    std::uint32_t hits = 0;
    while (hits < path.size() && resident_[path[hits]]) ++hits;
    for (std::size_t i = 0; i < path.size(); ++i) {
      const std::uint32_t block = path[i];
      admitted_ += !resident_[block];
      blocks_ += !resident_[block];
      resident_[block] = true;
      coming_[block] = next_use_[request.first_block + i];
      pins_[block] += pin;
      if (!pin) candidates_.push(coming_[block], block);
    }
    evict();
    return hits;
  }

  // The blocks that a request's answer filled enter, unless what comes before them has gone.
  void answer(std::size_t index, std::size_t now) {
    const TraceRequest& request = trace_.requests[index];
    const auto path = trace_.path(request), answer = trace_.answer(request);
    if (answer.empty() || (!path.empty() && !resident_[path.back()])) return;
    for (std::size_t i = 0; i < answer.size(); ++i) {
      const std::uint32_t block = answer[i];
      if (resident_[block]) continue;
      ++admitted_;
      ++blocks_;
      resident_[block] = true;
      const std::uint32_t next = next_use_[request.first_block + request.blocks + i];
      coming_[block] = next >= now ? next : static_cast<std::uint32_t>(trace_.requests.size());
      candidates_.push(coming_[block], block);
    }
    evict();
  }

  void release(std::size_t index) {
    for (const std::uint32_t block : trace_.path(trace_.requests[index]))
      if (--pins_[block] == 0) candidates_.push(coming_[block], block);
    evict();
  }
  std::uint64_t admitted() const { return admitted_; }

 private:
  // For each use of a block the index of the next request that uses it; the number of requests for none.
  static std::vector<std::uint32_t> next_uses(const Trace& trace) {
    const auto never = static_cast<std::uint32_t>(trace.requests.size());
    std::vector<std::uint32_t> next(trace.blocks.size()), coming(trace.unique_blocks, never);
    for (std::size_t i = trace.requests.size(); i > 0; --i) {
      const TraceRequest& request = trace.requests[i - 1];
      for (std::size_t k = request.first_block + request.blocks;
           k < request.first_block + request.blocks + request.answer_blocks; ++k)
        next[k] = coming[trace.blocks[k]];
      for (std::size_t k = request.first_block; k < request.first_block + request.blocks; ++k) {
        next[k] = coming[trace.blocks[k]];
        coming[trace.blocks[k]] = static_cast<std::uint32_t>(i - 1);
      }
    }
    return next;
  }

  void evict() {
    while (blocks_ > capacity_ && !candidates_.empty()) {
      const std::uint32_t block = candidates_.pop();
      if (pins_[block] > 0) continue;  // comes back when it is released
      resident_[block] = false;
      --blocks_;
    }
  }

  const Trace& trace_;
  const std::uint32_t capacity_;
  FarthestFirst candidates_;
  const std::vector<std::uint32_t> next_use_;  // by position in the trace's blocks
  std::vector<std::uint32_t> coming_;          // by block: its next use
  std::vector<bool> resident_;
  std::vector<std::uint32_t> pins_;
  std::uint32_t blocks_ = 0;
  std::uint64_t admitted_ = 0;
};

}  // namespace

ReplayTotals replay_optimum(const Trace& trace, std::uint32_t capacity, Regime regime, const Progress& progress) {
  const bool pin = regime == Regime::pinned;
  OptimalTier tier(trace, capacity);
  RunningRequests running(trace);
  ReplayTotals totals;
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    running.advance(trace.requests[i].arrival, [&](std::size_t ended, Duration) {
      tier.answer(ended, i);
      if (pin) tier.release(ended);
    });
    totals.add(trace, trace.requests[i], tier.use(i, pin));
    running.begin(i);
    if (progress && (i + 1) % kProgressRequests == 0) progress(i + 1);
  }
  totals.admitted = tier.admitted();
  return totals;
}

ReplayTotals replay_infinite(const Trace& trace) {
  return replay_optimum(trace, trace.unique_blocks, Regime::unpinned);
}

}  // namespace kvasir
