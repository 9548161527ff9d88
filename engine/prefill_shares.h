#pragma once

#include <cstdint>
#include <vector>

#include "engine/fair_share.h"
#include "storage/base/time.h"

namespace kvasir {

// A prompt that could be prefilled in this step.
struct PrefillDemand {
  FairShare::Account account{};  // whom it is charged to
  TimePoint due;                 // earlier ones first, within a tenant
  std::uint32_t tokens = 0;      // at most
  std::uint32_t granted = 0;     // out
};

// Shares a step's prefill out: to the tenants by their virtual time, as if it went on while they are given tokens, and
// within a tenant to what is due first. All of `budget` is given away as long as there is demand.
void share_prefill(std::uint32_t budget, const FairShare& shares, std::vector<PrefillDemand>& demands);

}  // namespace kvasir
