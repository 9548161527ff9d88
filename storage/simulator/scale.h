#pragma once

#include <cstdint>

#include "storage/simulator/trace.h"

namespace kvasir {

// The same kind of traffic, `times` as much: each session comes `times` times. Copies have blocks of their own where
// only one session used them, and share what sessions share (a system prompt). The first copy is where it was; the
// others start at places of the trace's time that `seed` draws, each keeping its own pace.
Trace scale_trace(const Trace& trace, std::uint32_t times, std::uint64_t seed);

// Gives each request a session where the trace names none: that of the request which first used the deepest block of
// its path that was seen before, unless that is a place where many paths begin.
void derive_sessions(Trace& trace);

}  // namespace kvasir
