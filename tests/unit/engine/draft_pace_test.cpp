#include "engine/draft_pace.h"

#include <gtest/gtest.h>

#include "tests/unit/engine/core_harness.h"

namespace kvasir::testing {
namespace {

// A reply that has repeated its prompt for so long, and one that has not.
LookupDrafts copying(std::uint32_t tokens_copied = 100) {
  std::vector<TokenId> ids = tokens(1, 300);
  LookupDrafts lookup(300);
  for (std::uint32_t i = 0; i < tokens_copied; ++i) {
    ids.push_back(static_cast<TokenId>(50 + i));
    lookup.follow(ids);
  }
  return lookup;
}

LookupDrafts guessing_wrong() {
  std::vector<TokenId> ids = tokens(1, 300);
  LookupDrafts lookup(300);
  for (TokenId i = 0; i < 50; ++i) {
    ids.insert(ids.end(), {10 + i, 11 + i, 1000 + i});
    lookup.follow(ids);
  }
  ids.insert(ids.end(), {10, 11});
  lookup.follow(ids);
  return lookup;
}

std::uint32_t granted(const DraftPace& pace, const LookupDrafts& lookup, std::uint32_t decodes = 1,
                      double stretch_most = 100, std::uint32_t most = 100, std::uint32_t left = 100) {
  std::vector<DraftOffer> offers{{&lookup, most}};
  pace.share(decodes, left, stretch_most, offers);
  return offers[0].granted;
}

// Steps of one decode that take so much longer for each draft.
DraftPace learned(double seconds, double each, std::uint32_t decodes = 1) {
  DraftPace pace;
  for (int round = 0; round < 20; ++round)
    for (std::uint32_t drafted = 0; drafted <= DraftPace::kDraftsMost; ++drafted)
      pace.learn(decodes, drafted, seconds * (1 + each * drafted));
  return pace;
}

TEST(DraftPace, LearnsHowMuchLongerStepsTake) {
  const DraftPace pace = learned(5e-3, 0.3);
  for (const std::uint32_t drafted : {0u, 1u, 4u, 15u}) EXPECT_NEAR(pace.stretch(1, drafted), 1 + 0.3 * drafted, 0.5);
}

TEST(DraftPace, ALikelyReplyGetsAsManyAsPay) {
  const LookupDrafts lookup = copying();
  EXPECT_GE(granted(learned(5e-3, 0.01), lookup), 12u);
  EXPECT_EQ(granted(learned(5e-3, 1.5), lookup), 0u);  // a draft costs more than the token would
}

TEST(DraftPace, WrongGuessesGetNone) {
  const LookupDrafts lookup = guessing_wrong();
  ASSERT_GT(lookup.chance(0), 0);
  EXPECT_EQ(granted(learned(5e-3, 0.1), lookup), 0u);
}

TEST(DraftPace, KeepsWithinAllThatIsAllowed) {
  const DraftPace pace = learned(5e-3, 0.1);
  const LookupDrafts lookup = copying();
  EXPECT_EQ(granted(pace, lookup, 1, 100, 3), 3u);
  EXPECT_EQ(granted(pace, lookup, 1, 100, 100, 2), 2u);
  EXPECT_EQ(granted(pace, lookup, 1, 100, 0), 0u);
  EXPECT_EQ(granted(pace, lookup, 1, 1.0), 0u);
  const std::uint32_t within = granted(pace, lookup, 1, 1.5);
  EXPECT_GE(within, 2u);
  EXPECT_LE(pace.stretch(1, within), 1.5);
}

TEST(DraftPace, TheLikelierOfTwoGoesFirst) {
  const LookupDrafts good = copying(), bad = guessing_wrong();
  const DraftPace pace = learned(5e-3, 0.05, 2);
  std::vector<DraftOffer> offers{{&bad, 100}, {&good, 6}};
  pace.share(2, 100, 100, offers);
  EXPECT_EQ(offers[0].granted, 0u);
  EXPECT_EQ(offers[1].granted, 6u);
}

// What a draft for one costs all the others is weighed against what it brings.
TEST(DraftPace, AmongManyOnlyCheapOnesPay) {
  const LookupDrafts lookup = copying();
  EXPECT_GT(granted(learned(5e-3, 0.01, 8), lookup, 8), 0u);
  EXPECT_EQ(granted(learned(5e-3, 0.2, 8), lookup, 8), 0u);
}

TEST(DraftPace, WhatWasLearnedFromAHiccupIsForgotten) {
  DraftPace pace = learned(5e-3, 0.05);
  for (int i = 0; i < 3; ++i) pace.learn(1, 8, 1.0);
  const LookupDrafts lookup = copying();
  std::uint32_t steps = 0;
  for (; granted(pace, lookup) < 8 && steps < 1000; ++steps) {
    const std::uint32_t drafted = granted(pace, lookup);
    pace.learn(1, drafted, 5e-3 * (1 + 0.05 * drafted));
  }
  EXPECT_LT(steps, 300u);
}

}  // namespace
}  // namespace kvasir::testing
