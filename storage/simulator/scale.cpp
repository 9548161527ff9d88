#include "storage/simulator/scale.h"

#include <algorithm>

#include "storage/base/assert.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

constexpr std::uint32_t kNone = UINT32_MAX;
constexpr std::uint32_t kHubChildren = 8;  // as many paths go on from a system prompt, hardly from a conversation

// The session of each block that one session alone uses; kNone for shared ones.
std::vector<std::uint32_t> owners(const Trace& trace) {
  std::vector<std::uint32_t> owner(trace.unique_blocks, kNone);
  std::vector<bool> shared(trace.unique_blocks);
  for (const TraceRequest& request : trace.requests)
    for (const std::uint32_t block : trace.all_blocks(request)) {
      if (owner[block] == kNone && !shared[block]) owner[block] = request.session;
      if (owner[block] == request.session) continue;
      owner[block] = kNone;
      shared[block] = true;
    }
  return owner;
}

std::vector<Duration> session_starts(const Trace& trace) {
  std::vector<Duration> starts(trace.sessions, Duration::max());
  for (const TraceRequest& r : trace.requests) starts[r.session] = std::min(starts[r.session], r.arrival);
  return starts;
}

// Numbers of the blocks of a further copy: new ones for those with an owner.
std::vector<std::uint32_t> renumbered(const std::vector<std::uint32_t>& owner, std::uint32_t& next) {
  std::vector<std::uint32_t> numbers(owner.size());
  for (std::size_t block = 0; block < owner.size(); ++block)
    numbers[block] = owner[block] == kNone ? static_cast<std::uint32_t>(block) : next++;
  return numbers;
}

struct Copy {
  const std::vector<std::uint32_t>& numbers;
  const std::vector<Duration>& moved;  // by session: later by so much
  std::uint32_t first_session;
};

void append(Trace& out, const Trace& trace, const Copy& copy) {
  for (const TraceRequest& request : trace.requests) {
    TraceRequest r = request;
    r.arrival += copy.moved[request.session];
    r.session += copy.first_session;
    r.first_block = out.blocks.size();
    for (const std::uint32_t block : trace.all_blocks(request)) out.blocks.push_back(copy.numbers[block]);
    out.requests.push_back(r);
  }
}

}  // namespace

Trace scale_trace(const Trace& trace, std::uint32_t times, std::uint64_t seed) {
  KVASIR_ASSERT(times > 0);
  const std::vector<std::uint32_t> owner = owners(trace);
  const std::vector<Duration> starts = session_starts(trace);
  Prng prng(mix64(seed));
  Trace out = trace;
  for (std::uint32_t i = 1; i < times; ++i) {
    const std::vector<std::uint32_t> numbers = renumbered(owner, out.unique_blocks);
    std::vector<Duration> moved(trace.sessions);
    const auto span = static_cast<std::uint64_t>(trace.span().count());
    for (std::size_t s = 0; s < moved.size(); ++s)
      moved[s] = Duration(static_cast<Duration::rep>(prng.below(span + 1))) - starts[s];
    append(out, trace, {numbers, moved, i * trace.sessions});
  }
  out.sessions = trace.sessions * times;
  std::stable_sort(out.requests.begin(), out.requests.end(),
                   [](const TraceRequest& a, const TraceRequest& b) { return a.arrival < b.arrival; });
  return out;
}

void derive_sessions(Trace& trace) {
  std::vector<std::uint32_t> session(trace.unique_blocks, kNone), children(trace.unique_blocks);
  std::vector<bool> seen(trace.unique_blocks);
  for (const TraceRequest& r : trace.requests) {  // children of each block, in the whole trace
    const auto path = trace.all_blocks(r);
    for (std::size_t i = 1; i < path.size(); ++i) {
      if (seen[path[i]]) continue;
      seen[path[i]] = true;
      ++children[path[i - 1]];
    }
  }
  trace.sessions = 0;
  for (TraceRequest& r : trace.requests) {
    std::uint32_t known = kNone;
    for (const std::uint32_t block : trace.path(r))
      if (session[block] != kNone) known = children[block] < kHubChildren ? session[block] : kNone;
    r.session = known != kNone ? known : trace.sessions++;
    for (const std::uint32_t block : trace.all_blocks(r))
      if (session[block] == kNone) session[block] = r.session;
  }
}

}  // namespace kvasir
