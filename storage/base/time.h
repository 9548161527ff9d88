#pragma once

#include <chrono>
#include <cstdint>

namespace kvasir {

// Monotonic time, always an argument below the composition root: the simulator passes its own.
using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;

// Wall-clock seconds since 1970, for what outlives the process.
using UnixSeconds = std::int64_t;

inline double seconds_between(TimePoint from, TimePoint to) { return std::chrono::duration<double>(to - from).count(); }

}  // namespace kvasir
