#pragma once

#include <cstdint>
#include <functional>
#include <optional>

namespace kvasir {

// The smallest capacity from 1 to `most` whose ratio is at least `wanted`, by bisection; nothing when `most` does not
// reach it. `ratio` must not fall with the capacity, which holds for LRU and the optimum. Where it does fall here and
// there, the answer still reaches `wanted` and one block less does not, but an even smaller capacity might.
inline std::optional<std::uint32_t> find_capacity(double wanted, std::uint32_t most,
                                                  const std::function<double(std::uint32_t)>& ratio) {
  if (most == 0 || ratio(most) < wanted) return std::nullopt;
  std::uint32_t below = 0, reaches = most;
  while (reaches - below > 1) {
    const std::uint32_t middle = below + (reaches - below) / 2;
    (ratio(middle) >= wanted ? reaches : below) = middle;
  }
  return reaches;
}

}  // namespace kvasir
