#include "engine/fair_share.h"

#include <algorithm>
#include <optional>

namespace kvasir {

FairShare::Account FairShare::account_of(std::string_view tenant) {
  const auto at = std::find_if(accounts_.begin(), accounts_.end(), [&](const Entry& e) { return e.tenant == tenant; });
  if (at != accounts_.end()) return static_cast<Account>(at - accounts_.begin());
  Entry entry{.tenant = std::string(tenant), .time = now_};
  if (const auto weight = weights_.find(entry.tenant); weight != weights_.end()) entry.weight = weight->second;
  accounts_.push_back(std::move(entry));
  return size() - 1;
}

void FairShare::charge(Account account, std::uint32_t tokens) {
  Entry& entry = accounts_[account];
  entry.time += tokens / entry.weight;
  entry.tokens += tokens;
}

// Virtual time is that of the one furthest behind of those who wait and did before; when there is none, of the one
// furthest ahead.
void FairShare::settle(const std::vector<bool>& backlogged) {
  const auto waits = [&](std::size_t a) { return a < backlogged.size() && backlogged[a]; };
  std::optional<double> behind, ahead;
  for (std::size_t a = 0; a < accounts_.size(); ++a) {
    const double time = accounts_[a].time;
    if (waits(a) && accounts_[a].backlogged) behind = std::min(behind.value_or(time), time);
    ahead = std::max(ahead.value_or(time), time);
  }
  if (ahead) now_ = std::max(now_, behind.value_or(*ahead));
  for (std::size_t a = 0; a < accounts_.size(); ++a) {
    Entry& entry = accounts_[a];
    if (!waits(a) || !entry.backlogged) entry.time = std::max(entry.time, now_);
    entry.time = std::min(entry.time, now_ + lead_max_ / entry.weight);
    entry.backlogged = waits(a);
  }
}

}  // namespace kvasir
