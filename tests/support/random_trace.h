#pragma once

#include <cstdint>
#include <vector>

#include "storage/base/prng.h"
#include "storage/simulator/trace.h"

namespace kvasir::testing {

struct RandomTraceShape {
  std::uint32_t requests = 200, sessions = 8;
  std::uint32_t blocks_max = 12;      // of a path
  std::uint32_t branch_percent = 15;  // of requests that leave their session's path somewhere
  std::uint32_t shared_blocks = 2;    // that all sessions begin with
};

// Sessions whose paths grow, are cut and branch, one request after another at random times. Every block is full.
class RandomTrace {
 public:
  RandomTrace(std::uint64_t seed, const RandomTraceShape& shape) : prng_(mix64(seed)), shape_(shape) {
    trace_.name = "random";
    trace_.block_tokens = 16;
    trace_.sessions = shape.sessions;
    std::vector<std::uint32_t> shared(shape.shared_blocks);
    for (std::uint32_t& block : shared) block = trace_.unique_blocks++;
    paths_.assign(shape.sessions, shared);
    for (std::uint32_t i = 0; i < shape.requests; ++i) add_request();
  }
  Trace take() { return std::move(trace_); }

 private:
  void add_request() {
    const auto session = static_cast<std::uint32_t>(prng_.below(shape_.sessions));
    std::vector<std::uint32_t>& path = paths_[session];
    if (prng_.chance(shape_.branch_percent) && path.size() > shape_.shared_blocks)
      path.resize(shape_.shared_blocks + prng_.below(path.size() - shape_.shared_blocks));
    for (std::uint64_t more = prng_.below(4); more > 0 && path.size() < shape_.blocks_max; --more)
      path.push_back(trace_.unique_blocks++);
    now_ += std::chrono::milliseconds(prng_.below(4'000));
    TraceRequest request;
    request.arrival = now_;
    request.duration = std::chrono::milliseconds(prng_.below(6'000));
    request.input_tokens = static_cast<std::uint32_t>(path.size()) * trace_.block_tokens;
    request.outcome = {static_cast<RequestEnd>(prng_.below(5)), static_cast<std::uint32_t>(prng_.below(700))};
    request.session = session;
    request.first_block = trace_.blocks.size();
    request.blocks = static_cast<std::uint32_t>(path.size());
    trace_.blocks.insert(trace_.blocks.end(), path.begin(), path.end());
    trace_.requests.push_back(request);
  }

  Prng prng_;
  RandomTraceShape shape_;
  Trace trace_;
  std::vector<std::vector<std::uint32_t>> paths_;
  Duration now_{};
};

inline Trace random_trace(std::uint64_t seed, const RandomTraceShape& shape = {}) {
  return RandomTrace(seed, shape).take();
}

}  // namespace kvasir::testing
