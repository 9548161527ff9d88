#include "storage/simulator/tiers.h"

#include "storage/simulator/running_requests.h"
#include "storage/simulator/simulated_tier.h"

namespace kvasir {
namespace {

constexpr std::size_t kProgressRequests = 256;

PolicyRequest request_id(std::size_t index) { return PolicyRequest{index + 1}; }

}  // namespace

TierTotals replay_tiers(const Trace& trace, PolicyKind host_policy, TierCapacities capacities,
                        const Progress& progress) {
  SimulatedTier host(host_policy, capacities.host, trace.unique_blocks, Regime::pinned);
  SimulatedTier disk(PolicyKind::lru, capacities.disk, trace.unique_blocks, Regime::unpinned);
  RunningRequests running(trace);
  TierTotals totals;
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    const TraceRequest& request = trace.requests[i];
    running.advance(request.arrival, [&](std::size_t ended, Duration at) {
      const TraceRequest& r = trace.requests[ended];
      const BlockUse end{request_id(ended), TimePoint(at)};
      host.answer(trace, r, end);
      disk.answer(trace, r, end);
      host.ends(request_id(ended), r.outcome, TimePoint(at));
      host.release(trace, r);
    });
    const auto path = trace.path(request);
    const BlockUse use{request_id(i), TimePoint(request.arrival)};
    std::uint32_t found = host.use(trace, request, use);
    const std::uint64_t host_tokens = hit_tokens(trace, request, found);
    while (found < path.size() && disk.resident(path[found])) {
      ++found;
      ++totals.blocks_loaded;
    }
    disk.use(trace, request, use);
    totals.all.add(trace, request, found);
    totals.host_hit_tokens += host_tokens;
    totals.disk_hit_tokens += hit_tokens(trace, request, found) - host_tokens;
    running.begin(i);
    if (progress && (i + 1) % kProgressRequests == 0) progress(i + 1);
  }
  totals.all.admitted = host.admitted();
  totals.blocks_written = disk.admitted();
  return totals;
}

}  // namespace kvasir
