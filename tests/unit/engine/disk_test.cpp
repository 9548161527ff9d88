#include <gtest/gtest.h>

#include "tests/unit/engine/core_harness.h"

namespace kvasir::testing {
namespace {

using std::chrono::milliseconds;

// A disk that holds what an engine computed of `prompt`.
void warm(FakeDiskTier& disk, const std::vector<TokenId>& prompt) {
  HarnessConfig config;
  config.disk = &disk;
  CoreHarness engine(config);
  engine.submit(prompt, 1);
  engine.run_until_idle();
  disk.run_until_idle();
  engine.turn();
}

void run(CoreHarness& engine, FakeDiskTier& disk) {
  for (int left = 10000; engine.turn() || !engine.core->empty(); disk.step()) KVASIR_ASSERT(--left > 0);
}

TEST(Disk, ARestartedEngineReadsWhatItsPredecessorComputed) {
  FakeDiskTier disk(1);
  warm(disk, tokens(1, 21));
  HarnessConfig config;
  config.disk = &disk;
  CoreHarness engine(config);
  const Client client = engine.submit(tokens(1, 21), 6);
  run(engine, disk);
  EXPECT_EQ(client->usage->cached[static_cast<std::size_t>(Tier::disk)], 20u);
  EXPECT_EQ(client->usage->computed, 1u);
  EXPECT_EQ(client->ids, alone(tokens(1, 21), 6));
}

TEST(Disk, AFailedReadIsComputed) {
  FakeDiskTier disk(1);
  warm(disk, tokens(1, 21));
  disk.fail_next_reads(1, RecordFault::checksum);
  HarnessConfig config;
  config.disk = &disk;
  CoreHarness engine(config);
  const Client client = engine.submit(tokens(1, 21), 6);
  run(engine, disk);
  EXPECT_GE(client->usage->computed, 5u);
  EXPECT_EQ(client->ids, alone(tokens(1, 21), 6));
}

TEST(Disk, RunningSequencesGoOnWhileOneLoads) {
  FakeDiskTier disk(1);
  warm(disk, tokens(1, 21));
  disk.options.stuck = true;
  HarnessConfig config;
  config.disk = &disk;
  CoreHarness engine(config);
  const Client loading = engine.submit(tokens(1, 21), 6), running = engine.submit(tokens(300, 10), 6);
  engine.turns(20);
  EXPECT_EQ(running->ids, alone(tokens(300, 10), 6));
  EXPECT_FALSE(loading->usage);
  disk.options.stuck = false;
  run(engine, disk);
  EXPECT_EQ(loading->ids, alone(tokens(1, 21), 6));
}

TEST(Disk, AStuckDiskIsWaitedForSoLong) {
  FakeDiskTier disk(1);
  warm(disk, tokens(1, 41));
  HarnessConfig config;
  config.disk = &disk;
  config.engine.load_timeout = milliseconds(50);
  CoreHarness engine(config);
  engine.submit(tokens(1, 9), 1);  // the first two blocks and a token are in the pool now
  run(engine, disk);
  disk.options.stuck = true;
  const Client client = engine.submit(tokens(1, 41), 6);
  const TimePoint before = engine.now;
  engine.run_until_idle();
  EXPECT_EQ(client->ids, alone(tokens(1, 41), 6));
  EXPECT_EQ(client->usage->cached[static_cast<std::size_t>(Tier::host)], 9u);
  EXPECT_EQ(client->usage->computed, 32u);
  EXPECT_LT(client->finish->times.finished, before + milliseconds(100));
  disk.options.stuck = false;
  disk.run_until_idle();
  engine.turn();
}

}  // namespace
}  // namespace kvasir::testing
