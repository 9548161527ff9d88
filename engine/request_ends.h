#pragma once

#include <optional>
#include <unordered_map>

#include "engine/request_trace.h"
#include "engine/sequence.h"

namespace kvasir {

// How requests ended, for the cache's eviction policy and for the record of the traffic. Of those that stopped by
// themselves only the caller knows whether it was a tool call or the end of a turn; where it has promised to tell
// (GenerateRequest::tells_end), they wait here until it does. Owned by the owner thread; no locks.
class RequestEnds {
 public:
  // `traces` may be null; both outlive this.
  RequestEnds(PrefixCache& cache, RequestTraceSink* traces) : cache_(cache), traces_(traces) {}

  // REQUIRES: the sequence has not given its blocks back.
  void ended(const Sequence& sequence, FinishReason reason, const SequenceTail& tail, TimePoint now);
  // What the caller says of one that has ended: told, or cancelled, which it no longer can be. Unknown ids are ignored.
  void tell(SequenceId id, RequestEnd end);
  std::size_t untold() const { return untold_.size(); }

 private:
  struct Ended {
    AcquireId request{};
    RequestOutcome outcome;
    std::optional<RequestTrace> trace;
  };
  void settle(Ended ended);

  PrefixCache& cache_;
  RequestTraceSink* traces_;
  std::unordered_map<SequenceId, Ended> untold_;
};

}  // namespace kvasir
