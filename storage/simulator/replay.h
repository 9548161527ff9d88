#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "storage/simulator/simulated_tier.h"
#include "storage/simulator/trace.h"

namespace kvasir {

struct ReplayTotals {
  std::uint64_t requests = 0;
  std::uint64_t input_tokens = 0, hit_tokens = 0;
  std::uint64_t block_uses = 0, hit_blocks = 0;
  std::uint64_t admitted = 0;                  // blocks that entered the tier
  std::uint64_t evicted = 0;                   // that left it
  std::vector<std::uint32_t> hits_by_request;  // blocks

  double token_hit_ratio() const {
    return input_tokens == 0 ? 0 : static_cast<double>(hit_tokens) / static_cast<double>(input_tokens);
  }
  void add(const Trace& trace, const TraceRequest& request, std::uint32_t hits);
};

// Called now and then with the requests done so far.
using Progress = std::function<void(std::size_t requests)>;

// A whole trace through one tier of the server's own index and policy.
ReplayTotals replay(const Trace& trace, PolicyKind policy, std::uint32_t capacity, Regime regime,
                    const Progress& progress = {});

}  // namespace kvasir
