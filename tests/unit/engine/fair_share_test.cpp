#include "engine/fair_share.h"

#include <gtest/gtest.h>

#include "engine/prefill_shares.h"

namespace kvasir::testing {
namespace {

using std::chrono::milliseconds;

TEST(FairShare, ATenantHasOneAccount) {
  FairShare shares({}, 100);
  const auto a = shares.account_of("a"), b = shares.account_of("b");
  EXPECT_NE(a, b);
  EXPECT_EQ(shares.account_of("a"), a);
  EXPECT_EQ(shares.tenant(b), "b");
  EXPECT_EQ(shares.size(), 2u);
}

TEST(FairShare, TimeIsTokensByWeight) {
  FairShare shares({{"a", 4}}, 100);
  const auto a = shares.account_of("a"), b = shares.account_of("b");
  shares.charge(a, 20);
  shares.charge(b, 5);
  EXPECT_EQ(shares.time(a), shares.time(b));
  EXPECT_EQ(shares.time(a, 4), shares.time(b, 1));
  EXPECT_EQ(shares.tokens(a), 20u);
}

TEST(FairShare, WhoComesToWaitStartsWhereTheOthersStand) {
  FairShare shares({}, 1000);
  const auto a = shares.account_of("a"), b = shares.account_of("b");
  shares.settle({true, false});
  shares.charge(a, 500);
  shares.settle({true, true});
  EXPECT_EQ(shares.time(b), 500);
  shares.charge(a, 100);
  shares.settle({true, true});
  EXPECT_EQ(shares.time(b), 500);  // what it lacks while it waits is its due
}

TEST(FairShare, WhoDecodesOnlySavesNothingUpEither) {
  FairShare shares({}, 100'000);
  const auto a = shares.account_of("a"), b = shares.account_of("b");
  for (int step = 0; step < 100; ++step) {
    shares.settle({true, false});
    shares.charge(a, 100);
    shares.charge(b, 1);
  }
  shares.settle({true, true});
  EXPECT_GE(shares.time(b), shares.time(a) - 100);
}

TEST(FairShare, ALeadIsRememberedUpToItsBound) {
  FairShare shares({{"b", 2}}, 1000);
  const auto a = shares.account_of("a"), b = shares.account_of("b");
  shares.settle({true, true});
  shares.charge(a, 100'000);
  shares.settle({true, true});
  EXPECT_EQ(shares.time(a), shares.time(b) + 1000);
}

std::vector<std::uint32_t> granted(std::uint32_t budget, const FairShare& shares, std::vector<PrefillDemand> demands) {
  share_prefill(budget, shares, demands);
  std::vector<std::uint32_t> granted;
  for (const PrefillDemand& demand : demands) granted.push_back(demand.granted);
  return granted;
}

TimePoint at(int ms) { return TimePoint{} + milliseconds(ms); }
using Granted = std::vector<std::uint32_t>;

TEST(SharePrefill, WithinATenantWhatIsDueFirst) {
  FairShare shares({}, 1000);
  const auto a = shares.account_of("a");
  EXPECT_EQ(granted(100, shares, {{a, at(3), 80}, {a, at(1), 50}, {a, at(2), 30}}), (Granted{20, 50, 30}));
}

TEST(SharePrefill, BetweenTenantsByWeight) {
  FairShare shares({{"a", 3}}, 1000);
  const auto a = shares.account_of("a"), b = shares.account_of("b");
  EXPECT_EQ(granted(64, shares, {{b, at(1), 500}, {a, at(2), 500}}), (Granted{16, 48}));
}

TEST(SharePrefill, WhoIsBehindCatchesUpFirst) {
  FairShare shares({}, 1000);
  const auto a = shares.account_of("a"), b = shares.account_of("b");
  shares.charge(a, 40);
  EXPECT_EQ(granted(60, shares, {{a, at(1), 500}, {b, at(2), 500}}), (Granted{10, 50}));
}

TEST(SharePrefill, NothingIsLeftWhileThereIsDemand) {
  FairShare shares({}, 1000);
  const auto a = shares.account_of("a"), b = shares.account_of("b");
  EXPECT_EQ(granted(100, shares, {{a, at(1), 10}, {b, at(2), 500}}), (Granted{10, 90}));
  EXPECT_EQ(granted(100, shares, {{a, at(1), 10}, {b, at(2), 20}}), (Granted{10, 20}));
  EXPECT_EQ(granted(0, shares, {{a, at(1), 10}}), (Granted{0}));
  EXPECT_EQ(granted(10, shares, {}), Granted{});
}

}  // namespace
}  // namespace kvasir::testing
