#include "storage/prefix_cache.h"

#include <numeric>

#include <gtest/gtest.h>

#include "tests/support/cache_rig.h"

namespace kvasir::testing {
namespace {

using Tokens = std::array<std::uint32_t, kTierCount>;

RigConfig host_only(std::uint32_t blocks) {
  RigConfig config;
  config.blocks = blocks;
  config.disk = false;
  return config;
}

std::vector<TokenId> prompt(std::size_t count, TokenId first = 100) {
  std::vector<TokenId> ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

std::vector<TokenId> joined(std::vector<TokenId> a, const std::vector<TokenId>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(PrefixCache, EmptyCacheMatchesNothing) {
  CacheRig rig(host_only(4));
  EXPECT_EQ(rig.match(prompt(10)), (Tokens{0, 0}));
  EXPECT_EQ(rig.match({}), (Tokens{0, 0}));
  const HeldPrompt held = rig.run(prompt(10));
  EXPECT_EQ(held.tokens_cached(), 0u);
  EXPECT_EQ(held.blocks.size(), 2u);
  EXPECT_EQ(rig.cache().stats().blocks_committed, 2u);
}

TEST(PrefixCache, SecondRunReusesTheFirst) {
  CacheRig rig(host_only(8));
  { const HeldPrompt first = rig.run(prompt(10)); }
  EXPECT_EQ(rig.match(prompt(10)), (Tokens{8, 0}));
  EXPECT_EQ(rig.match(prompt(7)), (Tokens{6, 0}));  // one full block and two tokens of the next
  const HeldPrompt second = rig.run(prompt(10));
  EXPECT_EQ(second.tokens_by_tier, (Tokens{8, 0}));
  EXPECT_EQ(rig.cache().stats().blocks_committed, 2u);
  rig.cache().check_invariants();
}

TEST(PrefixCache, BlockIsVisibleFromCommitOnWhileItsMakerRuns) {
  CacheRig rig(host_only(8));
  const HeldPrompt first = rig.run(prompt(8));
  const HeldPrompt second = rig.run(prompt(9));
  EXPECT_EQ(second.tokens_cached(), 8u);
  EXPECT_EQ(first.blocks[1].id(), second.blocks[1].id());
}

TEST(PrefixCache, LastPromptTokenIsAlwaysComputed) {
  CacheRig rig(host_only(8));
  { const HeldPrompt first = rig.run(prompt(8)); }
  EXPECT_EQ(rig.match(prompt(8)), (Tokens{7, 0}));
  const AcquireId id = rig.cache().begin_acquire(rig.query(prompt(8), rig.salted(1)), rig.now);
  const PrefixHold hold = rig.take(id, prompt(8), rig.salted(1));
  EXPECT_EQ(hold.blocks.size(), 1u);
  EXPECT_EQ(hold.partial_tokens, 3u);
  EXPECT_EQ(hold.tokens(), 7u);
}

TEST(PrefixCache, PartialMatchTakesTheLongestChild) {
  CacheRig rig(host_only(16));
  const std::vector<TokenId> head = prompt(4);
  { const HeldPrompt a = rig.run(joined(head, {7, 8, 1, 1})); }
  { const HeldPrompt b = rig.run(joined(head, {7, 8, 9, 1})); }
  { const HeldPrompt c = rig.run(joined(head, {7, 9, 9, 9})); }
  EXPECT_EQ(rig.match(joined(head, {7, 8, 9, 2, 5})), (Tokens{7, 0}));
  EXPECT_EQ(rig.match(joined(head, {7, 8, 2, 2, 5})), (Tokens{6, 0}));
  EXPECT_EQ(rig.match(joined(head, {7, 8})), (Tokens{5, 0}));  // the last token is computed
  EXPECT_EQ(rig.match(joined(head, {6, 8, 9, 2, 5})), (Tokens{4, 0}));
  const std::vector<TokenId> ids = joined(head, {7, 8, 9, 2, 5});
  const HeldPrompt held = rig.run(ids);  // continues in the copy; the rig checks the bytes
  EXPECT_EQ(held.tokens_cached(), 7u);
  EXPECT_EQ(rig.match(ids), (Tokens{8, 0}));
  rig.cache().check_invariants();
}

TEST(PrefixCache, PartialMatchNeedsABlockForTheCopy) {
  CacheRig rig(host_only(2));
  const HeldPrompt held = rig.run(prompt(8));
  const AcquireId id = rig.cache().begin_acquire(rig.query(prompt(8), rig.salted(1)), rig.now);
  const PrefixHold hold = rig.take(id, prompt(8), rig.salted(1));
  EXPECT_EQ(hold.tokens(), 4u);
  EXPECT_FALSE(hold.partial);
}

TEST(PrefixCache, SaltsSeparateTenants) {
  CacheRig rig(host_only(16));
  { const HeldPrompt first = rig.run(prompt(12), 1); }
  EXPECT_EQ(rig.match(prompt(12), 2), (Tokens{0, 0}));
  // A shared scope for the first 6 tokens: only the first block is all of it.
  const std::vector<SaltRange> a{{0, salt_named(9)}, {6, salt_named(1)}}, b{{0, salt_named(9)}, {6, salt_named(2)}};
  { const HeldPrompt first = rig.run(prompt(12), a); }
  const HeldPrompt second = rig.run(prompt(12), b);
  EXPECT_EQ(second.tokens_cached(), 4u);
  rig.cache().check_invariants();
}

// Runs `ids` and keeps its tail, as a sequence that ends does.
void run_to_the_end(CacheRig& rig, const std::vector<TokenId>& ids, std::uint8_t salt = 1) {
  const HeldPrompt held = rig.run(ids, salt);
  const auto keys = block_keys(rig.cache().root(), ids, rig.salted(salt), rig.block_tokens());
  const BlockKey parent = keys.empty() ? rig.cache().root() : keys.back();
  const auto tail = std::span(ids).subspan(keys.size() * rig.block_tokens());
  std::optional<BlockFill> fill = rig.cache().prepare(rig.now);
  ASSERT_TRUE(fill);
  write_token_bytes(rig.bytes(fill->id()), parent, salt_named(salt), tail);
  rig.cache().commit_tail(std::move(*fill), parent, salt_named(salt), tail);
}

TEST(PrefixCache, AKeptTailGivesEveryTokenButTheLast) {
  CacheRig rig(host_only(16));
  run_to_the_end(rig, prompt(11));
  EXPECT_EQ(rig.match(prompt(11)), (Tokens{10, 0}));
  EXPECT_EQ(rig.match(prompt(20)), (Tokens{11, 0}));
  EXPECT_EQ(rig.match(prompt(11), 2), (Tokens{0, 0}));
  const AcquireId id = rig.cache().begin_acquire(rig.query(prompt(20), rig.salted(1)), rig.now);
  const PrefixHold hold = rig.take(id, prompt(20), rig.salted(1));  // verifies the bytes
  EXPECT_EQ(hold.tokens(), 11u);
  EXPECT_EQ(hold.partial_tokens, 3u);
  rig.cache().check_invariants();
}

TEST(PrefixCache, ATailThatAnotherBlockBeginsWithIsDropped) {
  CacheRig rig(host_only(16));
  run_to_the_end(rig, prompt(11));
  const std::uint32_t cached = rig.cache().stats().host.cached;
  run_to_the_end(rig, prompt(11));
  run_to_the_end(rig, prompt(10));
  EXPECT_EQ(rig.cache().stats().host.cached, cached);
  rig.cache().check_invariants();
}

TEST(PrefixCache, ATailIsEvictedAndNeverWritten) {
  CacheRig rig;
  run_to_the_end(rig, prompt(11));
  rig.settle();
  EXPECT_EQ(rig.cache().stats().disk_blocks, 2u);
  { const HeldPrompt other = rig.run(prompt(64, 500)); }  // the whole pool
  EXPECT_EQ(rig.match(prompt(11))[0], 0u);
  rig.cache().check_invariants();
  rig.settle();
  rig.restart();
  EXPECT_EQ(rig.match(prompt(11)), (Tokens{0, 8}));
}

TEST(PrefixCache, SecondCommitOfABlockIsDropped) {
  CacheRig rig(host_only(8));
  const std::vector<TokenId> ids = prompt(9);
  const auto salts = rig.salted(1);
  PrefixHold nothing_a = rig.take(rig.cache().begin_acquire({ids, salts}, rig.now), ids, salts);
  PrefixHold nothing_b = rig.take(rig.cache().begin_acquire({ids, salts}, rig.now), ids, salts);
  const HeldPrompt a = rig.compute(std::move(nothing_a), ids, salts);
  const HeldPrompt b = rig.compute(std::move(nothing_b), ids, salts);
  EXPECT_EQ(a.blocks[0].id(), b.blocks[0].id());
  EXPECT_EQ(rig.cache().stats().blocks_duplicate, 2u);
  EXPECT_EQ(rig.cache().stats().host.leased, 2u);
  rig.cache().check_invariants();
}

TEST(PrefixCache, EvictsTheTailOfTheLeastRecentlyUsed) {
  CacheRig rig(host_only(4));
  { const HeldPrompt a = rig.run(prompt(8, 100)); }
  { const HeldPrompt b = rig.run(prompt(8, 200)); }
  { const HeldPrompt a = rig.run(prompt(9, 100)); }  // a is now the more recent
  { const auto fill = rig.cache().prepare(rig.now); }
  EXPECT_EQ(rig.match(prompt(9, 200)), (Tokens{4, 0}));
  EXPECT_EQ(rig.match(prompt(9, 100)), (Tokens{8, 0}));
  {
    const auto one = rig.cache().prepare(rig.now), two = rig.cache().prepare(rig.now),
               three = rig.cache().prepare(rig.now);
    EXPECT_EQ(rig.match(prompt(9, 200)), (Tokens{0, 0}));
    EXPECT_EQ(rig.match(prompt(9, 100)), (Tokens{4, 0}));
  }
  EXPECT_EQ(rig.cache().stats().evictions[0][0], 3u);
  rig.cache().check_invariants();
}

TEST(PrefixCache, LeasedBlocksAreNeverEvicted) {
  CacheRig rig(host_only(4));
  const HeldPrompt a = rig.run(prompt(8));
  EXPECT_EQ(rig.cache().available_blocks(), 2u);
  const auto one = rig.cache().prepare(rig.now), two = rig.cache().prepare(rig.now);
  EXPECT_TRUE(one && two);
  EXPECT_EQ(rig.cache().available_blocks(), 0u);
  EXPECT_FALSE(rig.cache().prepare(rig.now));
  EXPECT_EQ(rig.match(prompt(9)), (Tokens{8, 0}));
}

TEST(PrefixCache, MatchLeavesRecencyAlone) {
  CacheRig rig(host_only(2));
  { const HeldPrompt a = rig.run(prompt(4, 100)); }
  { const HeldPrompt b = rig.run(prompt(4, 200)); }
  EXPECT_EQ(rig.match(prompt(5, 100)), (Tokens{4, 0}));
  { const auto fill = rig.cache().prepare(rig.now); }
  EXPECT_EQ(rig.match(prompt(5, 100)), (Tokens{0, 0}));
  EXPECT_EQ(rig.match(prompt(5, 200)), (Tokens{4, 0}));
}

TEST(PrefixCache, AbandonReturnsEveryLease) {
  CacheRig rig(host_only(4));
  { const HeldPrompt a = rig.run(prompt(8)); }
  const AcquireId id = rig.cache().begin_acquire(rig.query(prompt(9), rig.salted(1)), rig.now);
  EXPECT_EQ(rig.cache().stats().host.leased, 2u);
  rig.cache().abandon(id);
  EXPECT_EQ(rig.cache().stats().host.leased, 0u);
  EXPECT_EQ(rig.cache().available_blocks(), 4u);
}

TEST(PrefixCache, ThousandsOfSiblings) {
  CacheRig rig(host_only(5000));
  for (TokenId i = 0; i < 4000; ++i) const HeldPrompt held = rig.run(std::vector<TokenId>{7, i, i, i});
  EXPECT_EQ(rig.match(std::vector<TokenId>{7, 1234, 1234, 9, 9}), (Tokens{3, 0}));
  EXPECT_EQ(rig.match(std::vector<TokenId>{7, 9999, 1, 1, 1}), (Tokens{1, 0}));
  rig.cache().check_invariants();
}

TEST(PrefixCacheDeathTest, CommitNeedsALeasedParent) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  CacheRig rig(host_only(2));
  const std::vector<TokenId> ids = prompt(4);
  BlockKey unknown;
  EXPECT_DEATH((void)rig.cache().commit_block(std::move(*rig.cache().prepare(rig.now)), unknown, salt_named(1), ids,
                                              nullptr, rig.now),
               "invariant broken");
}

TEST(Names, AreDistinct) {
  EXPECT_EQ(to_string(Tier::host), "host");
  EXPECT_EQ(to_string(Tier::disk), "disk");
  EXPECT_EQ(to_string(EvictionReason::capacity), "capacity");
  EXPECT_EQ(to_string(EvictionReason::corrupt), "corrupt");
  std::set<std::string_view> faults;
  for (std::size_t i = 0; i < kRecordFaultCount; ++i) faults.insert(to_string(static_cast<RecordFault>(i)));
  EXPECT_EQ(faults.size(), kRecordFaultCount);
}

}  // namespace
}  // namespace kvasir::testing
