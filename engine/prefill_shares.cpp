#include "engine/prefill_shares.h"

#include <algorithm>

namespace kvasir {
namespace {

constexpr std::uint32_t kPortions = 64;  // of a budget; a step is shared out no finer, the steps together are

// The next to be given tokens; null when nobody wants any.
PrefillDemand* next(const FairShare& shares, const std::vector<std::uint32_t>& given,
                    std::vector<PrefillDemand>& demands) {
  PrefillDemand* best = nullptr;
  const auto before = [&](const PrefillDemand& a, const PrefillDemand& b) {
    if (a.account == b.account) return a.due < b.due;
    return shares.time(a.account, given[a.account]) < shares.time(b.account, given[b.account]);
  };
  for (PrefillDemand& demand : demands)
    if (demand.granted < demand.tokens && (!best || before(demand, *best))) best = &demand;
  return best;
}

}  // namespace

void share_prefill(std::uint32_t budget, const FairShare& shares, std::vector<PrefillDemand>& demands) {
  const bool alone = std::all_of(demands.begin(), demands.end(),
                                 [&](const PrefillDemand& d) { return d.account == demands.front().account; });
  const std::uint32_t portion = alone ? budget : std::max(1u, budget / kPortions);
  std::vector<std::uint32_t> given(shares.size());
  while (budget > 0) {
    PrefillDemand* demand = next(shares, given, demands);
    if (!demand) return;
    const std::uint32_t tokens = std::min({portion, budget, demand->tokens - demand->granted});
    demand->granted += tokens;
    given[demand->account] += tokens;
    budget -= tokens;
  }
}

}  // namespace kvasir
