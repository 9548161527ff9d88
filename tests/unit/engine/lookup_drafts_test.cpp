#include "engine/lookup_drafts.h"

#include <algorithm>
#include <chrono>

#include <gtest/gtest.h>

#include "storage/base/prng.h"
#include "storage/base/time.h"
#include "tests/unit/engine/core_harness.h"

namespace kvasir::testing {
namespace {

using Ids = std::vector<TokenId>;

// The guesses for what comes after `ids`, of which the first `prompt` are the prompt.
Ids drafts_after(const Ids& ids, std::uint32_t prompt, std::uint32_t count) {
  LookupDrafts lookup(prompt);
  lookup.follow(ids);
  if (lookup.chance(0) == 0) return {};
  Ids all = ids;
  lookup.draft(all, count);
  EXPECT_TRUE(std::equal(ids.begin(), ids.end(), all.begin()));
  return {all.begin() + static_cast<std::ptrdiff_t>(ids.size()), all.end()};
}

Ids drafts_after(const Ids& ids, std::uint32_t count) {
  return drafts_after(ids, static_cast<std::uint32_t>(ids.size()), count);
}

TEST(LookupDrafts, WhatCameAfterTheLastTwo) { EXPECT_EQ(drafts_after({1, 2, 3, 4, 5, 1, 2}, 3), (Ids{3, 4, 5})); }

TEST(LookupDrafts, NothingWithoutAnEarlierOccurrence) {
  EXPECT_EQ(drafts_after({1, 2, 3, 4}, 3), Ids{});
  EXPECT_EQ(drafts_after({1, 2, 1, 3, 1}, 3), Ids{});  // one token is not enough
  EXPECT_EQ(drafts_after({7}, 3), Ids{});
  EXPECT_EQ(drafts_after({7, 7}, 3), Ids{});
}

TEST(LookupDrafts, TheLongestAgreementWinsThenTheLatest) {
  EXPECT_EQ(drafts_after({9, 1, 2, 3, 8, 1, 2, 4, 9, 1, 2}, 1), Ids{3});
  EXPECT_EQ(drafts_after({8, 1, 2, 3, 8, 1, 2, 4, 9, 1, 2}, 1), Ids{4});
}

TEST(LookupDrafts, AtTheEndOfTheTextTheyRepeatThemselves) {
  EXPECT_EQ(drafts_after({5, 1, 2, 3, 1, 2, 3}, 7), (Ids{1, 2, 3, 1, 2, 3, 1}));
  EXPECT_EQ(drafts_after({4, 4, 4}, 4), (Ids{4, 4, 4, 4}));
}

TEST(LookupDrafts, TheReplyCountsToo) { EXPECT_EQ(drafts_after({1, 2, 50, 60, 70, 9, 50, 60}, 2, 2), (Ids{70, 9})); }

// However the tokens come, one by one or many at once, the guesses are the same.
TEST(LookupDrafts, DoNotDependOnWhenTheyAreAsked) {
  Prng prng(1);
  for (int round = 0; round < 300; ++round) {
    const auto vocabulary = 2 + prng.below(6);
    const auto prompt = static_cast<std::uint32_t>(1 + prng.below(20));
    Ids ids;
    for (std::size_t i = 0; i < prompt + prng.below(40); ++i)
      ids.push_back(static_cast<TokenId>(prng.below(vocabulary)));
    if (ids.size() < prompt) ids.resize(prompt);
    LookupDrafts once(prompt), often(prompt);
    once.follow(ids);
    for (std::size_t end = prompt; end <= ids.size(); end += 1 + prng.below(3)) often.follow(std::span(ids).first(end));
    often.follow(ids);
    ASSERT_EQ(once.chance(0), often.chance(0)) << round;
    if (once.chance(0) == 0) continue;
    Ids a = ids, b = ids;
    once.draft(a, 5);
    often.draft(b, 5);
    ASSERT_EQ(a, b) << round;
  }
}

// Of all earlier places, with a vocabulary so small that hashes collide and chains are long.
TEST(LookupDrafts, AgreeWithASearchThroughEverything) {
  Prng prng(2);
  for (int round = 0; round < 500; ++round) {
    Ids ids(2 + prng.below(50));
    for (TokenId& id : ids) id = static_cast<TokenId>(prng.below(5));
    std::size_t best = 1, next = 0;
    for (std::size_t was = ids.size() - 2; was > 0; --was) {
      std::size_t length = 0;
      while (length < 32 && length <= was && ids[was - length] == ids[ids.size() - 1 - length]) ++length;
      if (length > best) best = length, next = was + 1;
    }
    EXPECT_EQ(drafts_after(ids, 1), best < 2 ? Ids{} : Ids{ids[next]}) << round;
  }
}

TEST(LookupDrafts, ChancesFollowWhatHappens) {
  LookupDrafts copied(64), random(64);
  Prng prng(3);
  Ids text = tokens(100, 64), noise = tokens(100, 64);
  copied.follow(text);
  EXPECT_EQ(copied.chance(0), 0);
  for (TokenId id = 100; id < 150; ++id) {  // the reply repeats the prompt
    text.push_back(id);
    copied.follow(text);
  }
  EXPECT_GT(copied.chance(0), 0.9);
  EXPECT_GT(copied.chance(14), 0.9);
  double first = 0, last = 0;
  for (int i = 0; i < 60; ++i) {  // the reply takes two tokens of the prompt, again and again, and goes on otherwise
    const auto at = static_cast<TokenId>(100 + prng.below(60));
    noise.insert(noise.end(), {at, static_cast<TokenId>(at + 1)});
    random.follow(noise);
    last = random.chance(0);
    if (i == 0) first = last;
    noise.push_back(static_cast<TokenId>(1000 + i));
    random.follow(noise);
  }
  EXPECT_GT(first, 0.1);
  EXPECT_LT(last, 0.05);
}

TEST(LookupDrafts, LongPromptsAreTakenInPieces) {
  Ids ids = tokens(1, 3 * LookupDrafts::kTokensPerCall);
  ids.insert(ids.end(), {5, 6, 7});
  LookupDrafts lookup(static_cast<std::uint32_t>(ids.size()));
  for (int i = 0; i < 3; ++i) {
    lookup.follow(ids);
    EXPECT_EQ(lookup.chance(0), 0);
  }
  lookup.follow(ids);
  ASSERT_GT(lookup.chance(0), 0);
  lookup.draft(ids, 2);
  EXPECT_EQ(ids[ids.size() - 2], 8);
}

// A bound far above what it takes, but far below anything that a step would feel, on text as repetitive as can be.
TEST(LookupDrafts, AreCheapAtTheEndOfALongContext) {
  Prng prng(4);
  Ids ids(32768);
  for (TokenId& id : ids) id = static_cast<TokenId>(prng.below(3));
  LookupDrafts lookup(static_cast<std::uint32_t>(ids.size()));
  while (lookup.chance(0) == 0) lookup.follow(ids);
  const TimePoint before = Clock::now();
  for (int i = 0; i < 1000; ++i) {
    ids.push_back(static_cast<TokenId>(prng.below(3)));
    lookup.follow(ids);
  }
  EXPECT_LT(seconds_between(before, Clock::now()), 0.5);
}

}  // namespace
}  // namespace kvasir::testing
