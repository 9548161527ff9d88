#include <gtest/gtest.h>

#include "tests/unit/engine/core_harness.h"

namespace kvasir::testing {
namespace {

using std::chrono::milliseconds;

void expect_nothing_held(const CoreHarness& engine) {
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.running + stats.waiting + stats.loading, 0u);
  EXPECT_EQ(stats.cache.host.filling + stats.cache.host.leased, 0u);
}

HarnessConfig manual() {
  HarnessConfig config;
  config.backend.completion = NullBackendConfig::Completion::manual;
  return config;
}

TEST(Cancel, WhileWaiting) {
  HarnessConfig config;
  config.engine.running_max = 1;
  CoreHarness engine(config);
  engine.submit(tokens(1, 10), 50);
  const Client waiting = engine.submit(tokens(100, 10), 5);
  engine.turns(3);
  engine.cancel(waiting);
  engine.turn();
  ASSERT_TRUE(waiting->finish);
  EXPECT_EQ(waiting->finish->reason, FinishReason::cancelled);
  EXPECT_FALSE(waiting->usage);
  EXPECT_EQ(engine.stats().waiting, 0u);
  engine.run_until_idle();
}

TEST(Cancel, InTheStepInFlightTakesEffectWithItsResult) {
  CoreHarness engine(manual());
  const Client client = engine.submit(tokens(1, 10), 5);
  engine.turn();
  engine.cancel(client);
  engine.turns(3);
  EXPECT_FALSE(client->finish);  // the backend still writes to its blocks
  EXPECT_GT(engine.stats().cache.host.filling, 0u);
  ASSERT_TRUE(engine.backend.null->complete());
  engine.turn();
  ASSERT_TRUE(client->finish);
  EXPECT_EQ(client->finish->reason, FinishReason::cancelled);
  EXPECT_TRUE(client->ids.empty());
  expect_nothing_held(engine);
  EXPECT_EQ(engine.stats().cache.host.cached, 3u);  // all that was computed is kept
}

TEST(Cancel, OneOfABatchLeavesTheOthers) {
  CoreHarness engine(manual());
  const Client stays = engine.submit(tokens(1, 10), 5), goes = engine.submit(tokens(100, 10), 5);
  engine.turn();
  engine.cancel(goes);
  while (!engine.core->empty()) {
    engine.backend.null->complete();
    engine.turn();
  }
  EXPECT_EQ(stays->ids, alone(tokens(1, 10), 5));
  EXPECT_TRUE(goes->ids.empty());
  expect_nothing_held(engine);
}

TEST(Cancel, TwiceOrAfterTheEndIsIgnored) {
  CoreHarness engine(manual());
  const Client client = engine.submit(tokens(1, 10), 1);
  engine.turn();
  engine.cancel(client);
  engine.cancel(client);
  engine.backend.null->complete();
  engine.turn();
  engine.cancel(client);
  engine.turn();
  EXPECT_EQ(client->finish->reason, FinishReason::cancelled);
  EXPECT_EQ(engine.stats().requests_finished, 1u);
}

TEST(Cancel, WhileItsBlocksAreRead) {
  FakeDiskTier disk(1);
  HarnessConfig config;
  config.disk = &disk;
  {
    CoreHarness before(config);
    before.submit(tokens(1, 20), 1);
    before.run_until_idle();
    disk.run_until_idle();
    before.turn();
  }
  disk.options.stuck = true;
  CoreHarness engine(config);
  const Client client = engine.submit(tokens(1, 20), 1);
  engine.turn();
  EXPECT_EQ(engine.stats().loading, 1u);
  engine.cancel(client);
  engine.turn();
  EXPECT_EQ(client->finish->reason, FinishReason::cancelled);
  disk.options.stuck = false;
  disk.run_until_idle();
  engine.turn();
  expect_nothing_held(engine);
}

TEST(Cancel, WhilePreempted) {
  HarnessConfig config;
  config.backend.block_count = 8;
  CoreHarness engine(config);
  const Client first = engine.submit(tokens(1, 6), 20), second = engine.submit(tokens(100, 6), 20);
  while (engine.stats().preemptions == 0) engine.turn();
  ASSERT_EQ(engine.stats().waiting, 1u);
  engine.cancel(second);
  engine.turn();
  EXPECT_EQ(second->finish->reason, FinishReason::cancelled);
  EXPECT_TRUE(second->usage);
  engine.run_until_idle();
  EXPECT_EQ(first->ids, alone(tokens(1, 6), 20));
  expect_nothing_held(engine);
}

TEST(Cancel, AListenerThatIsGone) {
  CoreHarness engine({});
  const Client client = engine.submit(tokens(1, 10), 100);
  client->tokens_taken_max = 3;
  engine.run_until_idle();
  EXPECT_EQ(client->ids, alone(tokens(1, 10), 3));
  EXPECT_EQ(client->finish->reason, FinishReason::cancelled);
  EXPECT_LE(client->finish->generated_tokens, 4u);  // at most the one in flight
  expect_nothing_held(engine);
}

TEST(Cancel, StopEndsEverythingAsFailed) {
  HarnessConfig config = manual();
  config.engine.running_max = 1;
  CoreHarness engine(config);
  const Client running = engine.submit(tokens(1, 10), 100), waiting = engine.submit(tokens(100, 10), 100);
  engine.turn();
  engine.core->stop(engine.now);
  engine.backend.null->complete();
  engine.run_until_idle();
  EXPECT_EQ(running->finish->reason, FinishReason::failed);
  EXPECT_EQ(waiting->finish->reason, FinishReason::failed);
  expect_nothing_held(engine);
}

TEST(Deadline, EndsRunningAndWaitingAlike) {
  HarnessConfig config;
  config.engine.running_max = 1;
  CoreHarness engine(config);
  GenerateRequest request = CoreHarness::request(tokens(1, 10), 100);
  request.deadline = engine.now + milliseconds(10);
  const Client running = engine.submit(request);
  request.prompt = tokens(100, 10);
  const Client waiting = engine.submit(request);
  EXPECT_EQ(engine.core->next_deadline(), request.deadline);
  engine.run_until_idle();
  for (const Client& client : {running, waiting}) {
    EXPECT_EQ(client->finish->reason, FinishReason::failed);
    EXPECT_NE(client->finish->message.find("deadline"), std::string::npos);
    EXPECT_GE(client->finish->times.finished, *request.deadline);
  }
  EXPECT_EQ(running->ids.size(), 9u);  // those of turns 2 to 10
  EXPECT_TRUE(waiting->ids.empty());
  EXPECT_EQ(engine.core->next_deadline(), std::nullopt);
  expect_nothing_held(engine);
}

}  // namespace
}  // namespace kvasir::testing
