#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/simulate/simulation.h"

namespace kvasir {

// What turns blocks and tokens into bytes and seconds.
struct SimulationUnits {
  std::uint64_t block_bytes = 0;         // 0: unknown, no bytes are told
  double prefill_tokens_per_second = 0;  // 0: unknown, no seconds are told
  std::uint32_t scale = 1;               // as the traces were scaled
};

// One JSON object on one line.
std::string to_json(const SimulationRow& row, const SimulationUnits& units);

// A table for each trace.
std::string to_text(const std::vector<SimulationRow>& rows, const SimulationUnits& units);

// Curves of hits over capacity, a panel for each trace and a line for each policy, the optimum and the infinite cache:
// an SVG document that needs no other file.
std::string to_svg(const std::vector<SimulationRow>& rows);

}  // namespace kvasir
