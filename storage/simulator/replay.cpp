#include "storage/simulator/replay.h"

#include "storage/simulator/running_requests.h"

namespace kvasir {
namespace {

constexpr std::size_t kProgressRequests = 256;

PolicyRequest request_id(std::size_t index) { return PolicyRequest{index + 1}; }

}  // namespace

void ReplayTotals::add(const Trace& trace, const TraceRequest& request, std::uint32_t hits) {
  ++requests;
  input_tokens += request.input_tokens;
  hit_tokens += kvasir::hit_tokens(trace, request, hits);
  block_uses += request.blocks;
  hit_blocks += hits;
  hits_by_request.push_back(hits);
}

ReplayTotals replay(const Trace& trace, PolicyKind policy, std::uint32_t capacity, Regime regime,
                    const Progress& progress) {
  const bool pin = regime == Regime::pinned;
  SimulatedTier tier(policy, capacity, trace.unique_blocks, regime);
  RunningRequests running(trace);
  ReplayTotals totals;
  const auto end_until = [&](Duration now) {
    running.advance(now, [&](std::size_t ended, Duration at) {
      const TraceRequest& r = trace.requests[ended];
      tier.answer(trace, r, {request_id(ended), TimePoint(at)});
      tier.ends(request_id(ended), r.outcome, TimePoint(at));
      if (pin) tier.release(trace, r);
    });
  };
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    const TraceRequest& request = trace.requests[i];
    end_until(request.arrival);
    totals.add(trace, request, tier.use(trace, request, {request_id(i), TimePoint(request.arrival)}));
    running.begin(i);
    if (progress && (i + 1) % kProgressRequests == 0) progress(i + 1);
  }
  end_until(Duration::max());
  totals.admitted = tier.admitted();
  totals.evicted = tier.evicted();
  return totals;
}

}  // namespace kvasir
