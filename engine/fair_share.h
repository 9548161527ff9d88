#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir {

// Fairness between tenants by virtual time: the tokens computed for a tenant, prefill and decode, divided by its
// weight. Who has the least goes first. A tenant that lacks nothing saves nothing up for later: when it comes to wait,
// it starts where those stand who wait already. What one had beyond its share while others waited is remembered up to
// `lead_max` tokens, so that nobody waits without a bound. Owned by the scheduler, on the owner thread.
class FairShare {
 public:
  using Account = std::uint32_t;  // a tenant's index

  FairShare(std::map<std::string, std::uint32_t> weights, std::uint32_t lead_max)
      : weights_(std::move(weights)), lead_max_(lead_max) {}

  Account account_of(std::string_view tenant);  // the same for the same name; weight 1 unless configured
  void charge(Account account, std::uint32_t tokens);
  // Once a step: which tenants have prefill to do, by account. Missing ones have none.
  void settle(const std::vector<bool>& backlogged);

  // A tenant's time, were `tokens` more computed for it.
  double time(Account account, std::uint64_t tokens = 0) const {
    return accounts_[account].time + static_cast<double>(tokens) / accounts_[account].weight;
  }
  std::uint32_t size() const { return static_cast<std::uint32_t>(accounts_.size()); }
  const std::string& tenant(Account account) const { return accounts_[account].tenant; }
  std::uint64_t tokens(Account account) const { return accounts_[account].tokens; }  // computed, ever

 private:
  struct Entry {
    std::string tenant;
    double weight = 1;
    double time = 0;
    std::uint64_t tokens = 0;
    bool backlogged = false;
  };

  std::map<std::string, std::uint32_t> weights_;
  double lead_max_;
  std::vector<Entry> accounts_;
  double now_ = 0;  // virtual
};

}  // namespace kvasir
