#include "storage/block_pool.h"

#include <gtest/gtest.h>

namespace kvasir {
namespace {

void expect_counts(const BlockPool& pool, std::uint32_t free, std::uint32_t filling, std::uint32_t leased,
                   std::uint32_t cached) {
  EXPECT_EQ(pool.counts().free, free);
  EXPECT_EQ(pool.counts().filling, filling);
  EXPECT_EQ(pool.counts().leased, leased);
  EXPECT_EQ(pool.counts().cached, cached);
  pool.counts().check_invariants();
}

TEST(BlockPool, LifeOfASlot) {
  BlockPool pool(2);
  expect_counts(pool, 2, 0, 0, 0);
  std::optional<BlockFill> fill = pool.prepare();
  ASSERT_TRUE(fill);
  const BlockId id = fill->id();
  expect_counts(pool, 1, 1, 0, 0);
  {
    const BlockLease lease = std::move(*fill).commit();
    EXPECT_EQ(lease.id(), id);
    expect_counts(pool, 1, 0, 1, 0);
    const BlockLease second = lease.share(), third = pool.lease(id);
    EXPECT_EQ(pool.lease_count(id), 3u);
    expect_counts(pool, 1, 0, 1, 0);
  }
  expect_counts(pool, 1, 0, 0, 1);
  {
    const BlockLease again = pool.lease(id);
    expect_counts(pool, 1, 0, 1, 0);
  }
  pool.release(id);
  expect_counts(pool, 2, 0, 0, 0);
}

TEST(BlockPool, DroppedFillIsFree) {
  BlockPool pool(1);
  {
    const std::optional<BlockFill> fill = pool.prepare();
    EXPECT_TRUE(fill);
    EXPECT_FALSE(pool.prepare());
  }
  EXPECT_TRUE(pool.prepare());
}

TEST(BlockPool, MovedLeasesCountOnce) {
  BlockPool pool(2);
  BlockLease a = std::move(*pool.prepare()).commit();
  BlockLease b = std::move(*pool.prepare()).commit();
  const BlockId first = a.id(), second = b.id();
  a = std::move(b);  // ends the lease on the first block at once
  EXPECT_TRUE(pool.is_cached(first));
  EXPECT_EQ(a.id(), second);
  BlockLease c = std::move(a);
  EXPECT_EQ(pool.lease_count(second), 1u);
}

TEST(BlockPool, MovedFillsCountOnce) {
  BlockPool pool(2);
  BlockFill a = std::move(*pool.prepare()), b = std::move(*pool.prepare());
  a = std::move(b);
  expect_counts(pool, 1, 1, 0, 0);
}

TEST(BlockPool, TellsWhatBecameCachedOnceAndInOrder) {
  BlockPool pool(3);
  std::vector<BlockId> unleased, expected;
  {
    const BlockLease a = std::move(*pool.prepare()).commit();
    const BlockLease b = std::move(*pool.prepare()).commit();
    expected = {b.id(), a.id()};  // scopes end in reverse
  }
  { const BlockLease again = pool.lease(expected[0]); }
  pool.take_unleased(unleased);
  EXPECT_EQ(unleased, expected);
  pool.take_unleased(unleased);
  EXPECT_TRUE(unleased.empty());
}

using BlockPoolDeathTest = ::testing::Test;

TEST(BlockPoolDeathTest, BrokenContractsStopTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  BlockPool pool(2);
  const BlockLease lease = std::move(*pool.prepare()).commit();
  EXPECT_DEATH(pool.release(lease.id()), "invariant broken");
  EXPECT_DEATH((void)pool.lease(BlockId{lease.id() == BlockId{0} ? 1u : 0u}), "invariant broken");
}

}  // namespace
}  // namespace kvasir
