#include <numeric>

#include <gtest/gtest.h>

#include "storage/prefix_cache.h"
#include "tests/support/cache_rig.h"

namespace kvasir::testing {
namespace {

using Tokens = std::array<std::uint32_t, kTierCount>;

constexpr std::size_t kDisk = static_cast<std::size_t>(Tier::disk);
constexpr std::size_t kCapacity = static_cast<std::size_t>(EvictionReason::capacity);
constexpr std::size_t kCorrupt = static_cast<std::size_t>(EvictionReason::corrupt);

std::vector<TokenId> prompt(std::size_t count, TokenId first = 100) {
  std::vector<TokenId> ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

std::uint64_t faults(CacheRig& rig, RecordFault fault) {
  return rig.cache().stats().record_faults[static_cast<std::size_t>(fault)];
}

// A rig whose disk holds the blocks of prompt(count) and whose pool is empty.
void fill_disk(CacheRig& rig, std::size_t count) {
  { const HeldPrompt held = rig.run(prompt(count)); }
  rig.restart();
}

AcquireId begin(CacheRig& rig, const std::vector<TokenId>& ids) {
  return rig.cache().begin_acquire(rig.query(ids, rig.salted(1)), rig.now);
}

TEST(PrefixCacheDisk, ServesFromDiskAfterARestart) {
  CacheRig rig;
  fill_disk(rig, 14);
  EXPECT_EQ(rig.match(prompt(14)), (Tokens{0, 12}));
  {
    const HeldPrompt held = rig.run(prompt(14));
    EXPECT_EQ(held.tokens_by_tier, (Tokens{0, 12}));
  }
  const HeldPrompt again = rig.run(prompt(14));
  EXPECT_EQ(again.tokens_by_tier, (Tokens{12, 0}));
  const PrefixCacheStats stats = rig.cache().stats();
  EXPECT_EQ(stats.disk_blocks_loaded, 3u);
  EXPECT_EQ(stats.disk_bytes_read, 3 * 4 * kTokenBytes);
  EXPECT_EQ(stats.disk_blocks, 3u);
  rig.cache().check_invariants();
}

TEST(PrefixCacheDisk, AHardKillLosesOnlyWhatIsNotDurable) {
  CacheRig rig;
  { const HeldPrompt held = rig.run(prompt(8)); }
  rig.settle();
  EXPECT_EQ(rig.cache().stats().disk_blocks_durable, 2u);
  { const HeldPrompt held = rig.run(prompt(13)); }
  rig.step();  // written, not durable
  EXPECT_EQ(rig.cache().stats().disk_blocks_written, 3u);
  rig.kill();
  EXPECT_EQ(rig.match(prompt(13)), (Tokens{0, 8}));
}

TEST(PrefixCacheDisk, AFullLastBlockComesFromDiskToo) {
  CacheRig rig;
  fill_disk(rig, 12);
  EXPECT_EQ(rig.match(prompt(12)), (Tokens{0, 11}));
  const auto ids = prompt(12);
  const PrefixHold hold = rig.take(begin(rig, ids), ids, rig.salted(1));
  EXPECT_EQ(hold.tokens_by_tier, (Tokens{0, 11}));
  EXPECT_EQ(hold.partial_tokens, 3u);
}

TEST(PrefixCacheDisk, AFaultShortensTheHoldAndIsForgotten) {
  CacheRig rig({.disk_options = {.delay_steps_max = 3}});
  fill_disk(rig, 17);
  const auto ids = prompt(17);
  const AcquireId id = begin(rig, ids);
  rig.disk().fail_next_reads(1, RecordFault::checksum);  // whichever ends first
  const HeldPrompt held = rig.compute(rig.take(id, ids, rig.salted(1)), ids, rig.salted(1));
  EXPECT_LT(held.tokens_cached(), 16u);
  EXPECT_EQ(held.blocks.size(), 4u);  // the rest was computed
  rig.settle();
  const PrefixCacheStats stats = rig.cache().stats();
  EXPECT_EQ(faults(rig, RecordFault::checksum), 1u);
  EXPECT_EQ(stats.evictions[kDisk][kCorrupt], 1u);
  EXPECT_EQ(stats.disk_blocks, 4u);  // recomputed and written again
  EXPECT_EQ(rig.match(ids), (Tokens{16, 0}));
  rig.cache().check_invariants();
}

TEST(PrefixCacheDisk, BlocksAfterAFaultStayCachedAndServeAgain) {
  CacheRig rig;
  fill_disk(rig, 17);
  const auto ids = prompt(17);
  const AcquireId id = begin(rig, ids);
  rig.disk().fail_next_reads(1, RecordFault::truncated);  // the first block, as nothing is reordered
  while (!rig.cache().acquire_ready(id)) rig.step();
  EXPECT_EQ(rig.match(ids), (Tokens{0, 0}));
  const HeldPrompt held = rig.compute(rig.take(id, ids, rig.salted(1)), ids, rig.salted(1));
  EXPECT_EQ(held.tokens_cached(), 0u);
  EXPECT_EQ(rig.cache().stats().blocks_committed, 1u);
  EXPECT_EQ(rig.cache().stats().blocks_duplicate, 3u);
  rig.cache().check_invariants();
}

TEST(PrefixCacheDisk, AnIoErrorKeepsTheRecord) {
  CacheRig rig;
  fill_disk(rig, 9);
  const auto ids = prompt(9);
  const AcquireId id = begin(rig, ids);
  rig.disk().fail_next_reads(2, RecordFault::io);
  {
    const PrefixHold hold = rig.take(id, ids, rig.salted(1));
    EXPECT_EQ(hold.tokens(), 0u);
  }
  EXPECT_EQ(rig.match(ids), (Tokens{0, 8}));
  EXPECT_EQ(faults(rig, RecordFault::io), 1u + (rig.cache().stats().disk_blocks_loaded == 0));
  EXPECT_EQ(rig.cache().stats().evictions[kDisk][kCorrupt], 0u);
}

TEST(PrefixCacheDisk, OneReadServesAllThatWait) {
  CacheRig rig({.disk_options = {.delay_steps_max = 2}});
  fill_disk(rig, 9);
  const auto ids = prompt(9);
  const AcquireId a = begin(rig, ids), b = begin(rig, ids);
  EXPECT_EQ(rig.disk().reads_started(), 2u);
  const PrefixHold hold_a = rig.take(a, ids, rig.salted(1)), hold_b = rig.take(b, ids, rig.salted(1));
  EXPECT_EQ(hold_b.tokens_by_tier, (Tokens{0, 8}));
  EXPECT_EQ(hold_a.blocks[1].id(), hold_b.blocks[1].id());
  rig.cache().check_invariants();
}

TEST(PrefixCacheDisk, ReadsInFlightAreBounded) {
  RigConfig config;
  config.cache.loads_inflight_max = 2;
  CacheRig rig(config);
  fill_disk(rig, 33);
  const auto ids = prompt(33);
  const AcquireId id = begin(rig, ids);
  std::uint32_t steps = 0;
  for (; !rig.cache().acquire_ready(id); ++steps) {
    EXPECT_LE(rig.disk().reads_waiting(), 2u);
    rig.step();
  }
  EXPECT_GE(steps, 4u);
  EXPECT_EQ(rig.take(id, ids, rig.salted(1)).tokens(), 32u);
}

TEST(PrefixCacheDisk, TickTellsWhenAnAcquisitionBecomesReady) {
  CacheRig rig;
  fill_disk(rig, 9);
  const AcquireId id = begin(rig, prompt(9));
  EXPECT_FALSE(rig.cache().acquire_ready(id));
  EXPECT_TRUE(rig.step());
  EXPECT_TRUE(rig.cache().acquire_ready(id));
  EXPECT_FALSE(rig.step());
  rig.cache().abandon(id);
}

TEST(PrefixCacheDisk, AbandonedReadsLandQueuedOnesAreCancelled) {
  RigConfig config;
  config.cache.loads_inflight_max = 2;
  CacheRig rig(config);
  fill_disk(rig, 33);
  rig.cache().abandon(begin(rig, prompt(33)));
  EXPECT_EQ(rig.cache().stats().host.filling, 2u);
  EXPECT_EQ(rig.cache().transient_blocks(), 2u);
  rig.settle();
  EXPECT_EQ(rig.cache().stats().host.filling, 0u);
  EXPECT_EQ(rig.match(prompt(33)), (Tokens{8, 24}));
  EXPECT_EQ(rig.disk().reads_started(), 2u);
  rig.cache().check_invariants();
}

TEST(PrefixCacheDisk, ALateTakeGivesWhatThereIsSoFar) {
  CacheRig rig;
  fill_disk(rig, 13);
  { const HeldPrompt held = rig.run(prompt(5)); }  // the first block is in the pool now
  rig.disk().options.stuck = true;
  const auto ids = prompt(13);
  const AcquireId id = begin(rig, ids);
  rig.step();
  EXPECT_FALSE(rig.cache().acquire_ready(id));
  const PrefixHold hold = rig.cache().take(id, rig.now);
  rig.verify(hold, ids, rig.salted(1));
  EXPECT_EQ(hold.tokens_by_tier, (Tokens{4, 0}));
  rig.cache().check_invariants();
  rig.disk().options.stuck = false;
  rig.settle();
  EXPECT_EQ(rig.match(prompt(13)), (Tokens{12, 0}));
}

TEST(PrefixCacheDisk, StopsShortWhereNoBlockCanBeHad) {
  CacheRig rig({.blocks = 6});
  fill_disk(rig, 25);
  const HeldPrompt other = rig.run(prompt(12, 900));
  rig.settle();
  const HeldPrompt held = rig.run(prompt(25));
  EXPECT_EQ(held.tokens_by_tier, (Tokens{0, 12}));
  rig.cache().check_invariants();
}

TEST(PrefixCacheDisk, HostBlocksAfterADiskBlockAreHeldToo) {
  CacheRig rig;
  fill_disk(rig, 13);
  const AcquireId id = begin(rig, prompt(13));
  rig.disk().fail_next_reads(1, RecordFault::io);  // the first block stays on disk, the others land
  while (!rig.cache().acquire_ready(id)) rig.step();
  rig.cache().abandon(id);
  rig.settle();
  EXPECT_EQ(rig.match(prompt(13)), (Tokens{8, 4}));
  const HeldPrompt held = rig.run(prompt(13));
  EXPECT_EQ(held.tokens_by_tier, (Tokens{8, 4}));
  EXPECT_EQ(held.blocks.size(), 3u);
  rig.cache().check_invariants();
}

TEST(PrefixCacheDisk, ACommitServesThoseThatWaitForTheDisk) {
  CacheRig rig;
  fill_disk(rig, 5);
  const auto ids = prompt(5);
  const auto salts = rig.salted(1);
  rig.disk().options.stuck = true;
  const AcquireId waiting = begin(rig, ids);
  const HeldPrompt computed = rig.compute({}, ids, salts);  // a sequence that did not wait
  EXPECT_TRUE(rig.cache().acquire_ready(waiting));
  EXPECT_TRUE(rig.step());
  rig.disk().options.stuck = false;
  const PrefixHold hold = rig.take(waiting, ids, salts);
  EXPECT_EQ(hold.blocks.at(0).id(), computed.blocks.at(0).id());
  rig.settle();
  EXPECT_EQ(rig.cache().stats().host.filling, 0u);
  rig.cache().check_invariants();
}

TEST(PrefixCacheDisk, ForgedAndOrphanRecordsAreForgotten) {
  CacheRig rig;
  fill_disk(rig, 13);
  std::vector<DiskRecord> records = rig.disk().records();
  ASSERT_EQ(records.size(), 3u);
  DiskRecord forged = records[2], resized = records[2];
  forged.ids[1] ^= 1;
  resized.payload_bytes = 8;
  rig.disk().insert(forged, std::vector<std::byte>(4 * kTokenBytes));
  rig.disk().insert(resized, std::vector<std::byte>(8));
  rig.disk().forget(records[1].fingerprint, records[1].key, records[1].number);  // the third loses its parent
  rig.restart();
  EXPECT_EQ(faults(rig, RecordFault::wrong_tokens), 1u);
  EXPECT_EQ(faults(rig, RecordFault::wrong_size), 1u);
  EXPECT_EQ(rig.cache().stats().evictions[kDisk][kCorrupt], 2u);
  EXPECT_EQ(rig.cache().stats().evictions[kDisk][kCapacity], 1u);
  EXPECT_EQ(rig.cache().stats().disk_blocks, 1u);
  EXPECT_EQ(rig.disk().records().size(), 1u);
  EXPECT_EQ(rig.match(prompt(13)), (Tokens{0, 4}));
  rig.cache().check_invariants();
}

TEST(PrefixCacheDisk, OfTwoRecordsOfABlockTheNewerStays) {
  CacheRig rig;
  fill_disk(rig, 5);
  const DiskRecord old = rig.disk().records().at(0);
  std::vector<std::byte> payload(4 * kTokenBytes);
  write_token_bytes(payload, old.parent, old.salt, old.ids);
  rig.disk().insert(old, payload);
  rig.restart();
  ASSERT_EQ(rig.disk().records().size(), 1u);
  EXPECT_GT(rig.disk().records().at(0).number, old.number);
  EXPECT_EQ(rig.run(prompt(5)).tokens_by_tier, (Tokens{0, 4}));
}

TEST(PrefixCacheDisk, OnReuseWritesAtTheSecondUse) {
  RigConfig config;
  config.cache.write_policy = WritePolicy::on_reuse;
  CacheRig rig(config);
  { const HeldPrompt once = rig.run(prompt(9)); }
  rig.settle();
  EXPECT_EQ(rig.cache().stats().disk_blocks, 0u);
  { const HeldPrompt twice = rig.run(prompt(5)); }
  rig.settle();
  EXPECT_EQ(rig.cache().stats().disk_blocks, 1u);
  { const HeldPrompt thrice = rig.run(prompt(13)); }
  rig.settle();
  EXPECT_EQ(rig.cache().stats().disk_blocks, 2u);  // the third block was used once
}

TEST(PrefixCacheDisk, ARefusalStopsWritesForAWhileNotService) {
  CacheRig rig;
  rig.disk().options.refuse_percent = 100;
  {
    const HeldPrompt held = rig.run(prompt(9));
    EXPECT_EQ(held.blocks.size(), 2u);
  }
  rig.settle();
  EXPECT_EQ(rig.cache().stats().disk_writes_skipped, 2u);
  EXPECT_EQ(rig.match(prompt(9)), (Tokens{8, 0}));
  rig.disk().options.refuse_percent = 0;
  { const HeldPrompt held = rig.run(prompt(9)); }
  rig.settle();
  EXPECT_EQ(rig.cache().stats().disk_blocks, 0u);
  rig.now += std::chrono::seconds(2);
  { const HeldPrompt held = rig.run(prompt(9)); }  // reuse makes up for the skipped writes, parents first
  rig.settle();
  EXPECT_EQ(rig.cache().stats().disk_blocks, 2u);
  rig.cache().check_invariants();
}

TEST(PrefixCacheDisk, APendingWriteKeepsNothingAlive) {
  CacheRig rig({.blocks = 8});  // one copy in flight
  rig.disk().options.stuck = true;
  { const HeldPrompt held = rig.run(prompt(16)); }
  EXPECT_EQ(rig.disk().writes_waiting(), 1u);
  EXPECT_EQ(rig.cache().available_blocks(), 7u);
  {
    std::vector<BlockFill> fills;
    while (auto fill = rig.cache().prepare(rig.now)) fills.push_back(std::move(*fill));
    EXPECT_EQ(fills.size(), 7u);
    rig.cache().check_invariants();
  }
  EXPECT_EQ(rig.cache().stats().disk_writes_skipped, 3u);
  rig.disk().options.stuck = false;
  rig.settle();
  EXPECT_EQ(rig.match(prompt(16)), (Tokens{4, 0}));
  rig.cache().check_invariants();
}

TEST(PrefixCacheDisk, AStuckCopyOfATailDoesNotKeepItsChain) {
  CacheRig rig({.blocks = 8});
  { const HeldPrompt held = rig.run(prompt(8)); }
  rig.settle();
  rig.disk().options.stuck = true;
  { const HeldPrompt held = rig.run(prompt(12)); }  // the copy of the third block is in flight
  EXPECT_EQ(rig.cache().available_blocks(), 7u);
  EXPECT_EQ(rig.cache().transient_blocks(), 1u);
  {
    std::vector<BlockFill> fills;
    while (auto fill = rig.cache().prepare(rig.now)) fills.push_back(std::move(*fill));
    EXPECT_EQ(fills.size(), 7u);  // the first two blocks among them
    rig.cache().check_invariants();
    EXPECT_EQ(rig.match(prompt(13)), (Tokens{0, 8}));
  }
  rig.disk().options.stuck = false;
  rig.settle();
  EXPECT_EQ(rig.cache().stats().host.free, 8u);
  EXPECT_EQ(rig.match(prompt(13)), (Tokens{0, 12}));  // it arrived all the same
  rig.cache().check_invariants();
}

TEST(PrefixCacheDisk, ReclaimedRecordsAreNoLongerFound) {
  CacheRig rig;
  fill_disk(rig, 9);
  rig.disk().reclaim_oldest();
  rig.step();
  EXPECT_EQ(rig.match(prompt(9)), (Tokens{0, 0}));
  EXPECT_EQ(rig.cache().stats().evictions[kDisk][kCapacity], 1u);
  rig.cache().check_invariants();
  { const HeldPrompt held = rig.run(prompt(9)); }  // recomputing the head makes the tail reachable again
  rig.settle();
  EXPECT_EQ(rig.cache().stats().disk_blocks, 2u);
  EXPECT_EQ(rig.match(prompt(9)), (Tokens{8, 0}));
}

TEST(PrefixCacheDisk, AQueuedReadOfAReclaimedRecordEndsTheHold) {
  RigConfig config;
  config.cache.loads_inflight_max = 1;
  CacheRig rig(config);
  fill_disk(rig, 13);
  const auto ids = prompt(13);
  const AcquireId id = begin(rig, ids);
  rig.step();  // the first block landed, the second is being read
  rig.disk().reclaim(rig.disk().records().at(2).number);
  const PrefixHold hold = rig.take(id, ids, rig.salted(1));
  EXPECT_EQ(hold.tokens(), 8u);
  rig.cache().check_invariants();
}

TEST(PrefixCacheDisk, FlushWritesAllThatIsQueued) {
  CacheRig rig({.blocks = 64});
  rig.disk().options.queue_max = 3;
  { const HeldPrompt held = rig.run(prompt(200)); }
  rig.restart();
  EXPECT_EQ(rig.match(prompt(201)), (Tokens{0, 200}));
}

TEST(PrefixCacheDisk, HitsTouchTheirRecords) {
  CacheRig rig;
  fill_disk(rig, 13);
  const std::uint64_t before = rig.disk().touches();
  { const HeldPrompt held = rig.run(prompt(9)); }
  EXPECT_EQ(rig.disk().touches(), before + 2);
}

TEST(PrefixCacheDisk, WakesItsOwner) {
  CacheRig rig;
  int calls = 0;
  rig.cache().set_wakeup([&] { ++calls; });
  { const HeldPrompt held = rig.run(prompt(5)); }
  EXPECT_EQ(calls, 0);
  rig.disk().step();
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace kvasir::testing
