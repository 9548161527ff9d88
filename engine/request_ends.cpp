#include "engine/request_ends.h"

#include <utility>

namespace kvasir {
namespace {

// A stop may be the end of a turn or a tool call; only the gateway knows which.
RequestEnd request_end(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return RequestEnd::unknown;
    case FinishReason::length:
      return RequestEnd::length;
    case FinishReason::cancelled:
    case FinishReason::failed:
      return RequestEnd::cancelled;
  }
  KVASIR_ASSERT(false);
}

RequestTrace trace_of(const Sequence& sequence, const SequenceTail& tail, TimePoint now) {
  RequestTrace trace;
  trace.times = sequence.times;
  trace.times.finished = now;
  trace.usage = *sequence.usage;
  trace.prompt_blocks = static_cast<std::uint32_t>(sequence.prompt_keys().size());
  trace.blocks.assign(sequence.keys().begin(), sequence.keys().end());
  trace.copied = sequence.copied;
  trace.tail_tokens = tail.tokens;
  trace.tail = tail.kept;
  return trace;
}

}  // namespace

void RequestEnds::ended(const Sequence& sequence, FinishReason reason, const SequenceTail& tail, TimePoint now) {
  Ended ended{sequence.held_by(), {request_end(reason), sequence.generated()}, {}};
  if (traces_ && sequence.usage) ended.trace = trace_of(sequence, tail, now);
  if (sequence.end_told) {
    ended.outcome.end = *sequence.end_told;
  } else if (reason == FinishReason::stop && sequence.request().tells_end) {
    untold_.emplace(sequence.id(), std::move(ended));
    return;
  }
  settle(std::move(ended));
}

void RequestEnds::tell(SequenceId id, RequestEnd end) {
  auto found = untold_.extract(id);
  if (found.empty()) return;
  found.mapped().outcome.end = end;
  settle(std::move(found.mapped()));
}

void RequestEnds::settle(Ended ended) {
  cache_.end_request(ended.request, ended.outcome);
  if (!ended.trace) return;
  ended.trace->outcome = ended.outcome;
  traces_->record(std::move(*ended.trace));
}

}  // namespace kvasir
