#include <gtest/gtest.h>

#include "tests/unit/engine/core_harness.h"

namespace kvasir::testing {
namespace {

HarnessConfig with_blocks(std::uint32_t count) {
  HarnessConfig config;
  config.backend.block_count = count;
  return config;
}

TEST(Preemption, AloneInAFullPoolIsLength) {
  CoreHarness engine(with_blocks(5));
  const Client client = engine.submit(tokens(1, 10), 100);
  engine.run_until_idle();
  EXPECT_EQ(client->ids, alone(tokens(1, 10), 11));  // the KV of 20 tokens gives the 21st
  EXPECT_EQ(client->finish->reason, FinishReason::length);
  EXPECT_EQ(engine.stats().preemptions, 0u);
}

TEST(Preemption, TheQueueGoesOnAfterOneFilledThePool) {
  CoreHarness engine(with_blocks(5));
  const Client first = engine.submit(tokens(1, 10), 100), second = engine.submit(tokens(100, 18), 100);
  engine.run_until_idle();
  EXPECT_EQ(first->ids, alone(tokens(1, 10), 11));
  EXPECT_EQ(second->ids, alone(tokens(100, 18), 3));
}

TEST(Preemption, TheLatestAdmissionGivesWay) {
  CoreHarness engine(with_blocks(8));
  const Client first = engine.submit(tokens(1, 6), 18), second = engine.submit(tokens(100, 6), 18);
  engine.run_until_idle();
  EXPECT_EQ(first->ids, alone(tokens(1, 6), 18));
  EXPECT_EQ(second->ids, alone(tokens(100, 6), 18));
  EXPECT_LT(first->finish->times.finished, second->finish->times.finished);
  EXPECT_GT(engine.stats().preemptions, 0u);
}

TEST(Preemption, RepeatedWorkIsCountedApart) {
  CoreHarness engine(with_blocks(8));
  for (TokenId i = 0; i < 4; ++i) engine.submit(tokens(1 + 100 * i, 6), 18);
  engine.run_until_idle();
  const EngineStats stats = engine.stats();
  EXPECT_GT(stats.tokens_recomputed, 0u);
  EXPECT_EQ(stats.prompt_tokens_computed + stats.prompt_tokens_cached[0] + stats.prompt_tokens_cached[1], 24u);
  EXPECT_EQ(stats.tokens_generated, 72u);
  // What ran is what was asked for once, less each last token, and the repeated work.
  EXPECT_EQ(engine.backend.null->tokens_computed(), stats.prompt_tokens_computed + 72 - 4 + stats.tokens_recomputed);
}

TEST(Preemption, AStormEndsWithEveryoneServed) {
  HarnessConfig config = with_blocks(9);
  config.engine.step_tokens_max = 16;
  CoreHarness engine(config);
  std::vector<Client> clients;
  for (TokenId i = 0; i < 12; ++i) clients.push_back(engine.submit(tokens(1 + 50 * i, 9), 20, i % 2 ? "a" : "b"));
  engine.run_until_idle();
  for (TokenId i = 0; i < 12; ++i)
    EXPECT_EQ(clients[static_cast<std::size_t>(i)]->ids, alone(tokens(1 + 50 * i, 9), 20));
}

TEST(Preemption, PreemptedGoBeforeNewOnes) {
  CoreHarness engine(with_blocks(8));
  engine.submit(tokens(1, 6), 22);
  const Client preempted = engine.submit(tokens(100, 6), 18);
  while (engine.stats().preemptions == 0) engine.turn();
  const Client later = engine.submit(tokens(200, 18), 2, "b");
  engine.run_until_idle();
  EXPECT_EQ(preempted->ids, alone(tokens(100, 6), 18));
  EXPECT_EQ(later->ids, alone(tokens(200, 18), 2));
  EXPECT_LT(preempted->finish->times.admitted, later->finish->times.admitted);
  EXPECT_LT(preempted->finish->times.first_token, later->finish->times.first_token);
}

TEST(Preemption, ABigPromptIsNotPassedByForEver) {
  CoreHarness engine(with_blocks(10));
  engine.submit(tokens(1, 10), 10);
  const Client big = engine.submit(tokens(100, 30), 2);
  std::vector<Client> small;
  for (TokenId i = 0; i < 400; ++i) {
    small.push_back(engine.submit(tokens(200 + i, 2), 4));
    engine.turn();
  }
  ASSERT_TRUE(big->finish);
  EXPECT_LT(small.front()->finish->times.admitted, big->finish->times.admitted);  // it is passed, but not by all
  EXPECT_LT(big->finish->times.finished, TimePoint{} + std::chrono::milliseconds(200));
  engine.run_until_idle();
}

}  // namespace
}  // namespace kvasir::testing
