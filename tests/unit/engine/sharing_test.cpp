#include <gtest/gtest.h>

#include "tests/unit/engine/core_harness.h"

namespace kvasir::testing {
namespace {

HarnessConfig small_steps() {
  HarnessConfig config;
  config.engine.step_tokens_max = 8;
  return config;
}

TEST(Sharing, ARepeatedPromptIsComputedOnce) {
  CoreHarness engine({});
  const auto prompt = tokens(1, 21);
  engine.submit(prompt, 4);
  engine.run_until_idle();
  const Client again = engine.submit(prompt, 4);
  engine.run_until_idle();
  EXPECT_EQ(again->usage->cached[0], 20u);
  EXPECT_EQ(again->usage->computed, 1u);
  EXPECT_EQ(again->ids, alone(prompt, 4));
}

TEST(Sharing, TheAnswerIsCachedToo) {
  CoreHarness engine({});
  auto chat = tokens(1, 10);
  const Client first = engine.submit(chat, 14);
  engine.run_until_idle();
  chat.insert(chat.end(), first->ids.begin(), first->ids.end());
  chat.push_back(500);
  const Client second = engine.submit(chat, 4);
  engine.run_until_idle();
  EXPECT_EQ(second->usage->cached[0], 23u);  // of 24 tokens the last was not computed
  EXPECT_EQ(second->ids, alone(chat, 4));
}

TEST(Sharing, SimultaneousEqualPromptsAreComputedOnce) {
  CoreHarness engine(small_steps());
  const auto prompt = tokens(1, 41);
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(engine.submit(prompt, 3));
  engine.run_until_idle();
  for (const Client& client : clients) EXPECT_EQ(client->ids, alone(prompt, 3));
  EXPECT_EQ(clients[0]->usage->computed, 41u);
  for (std::size_t i = 1; i < clients.size(); ++i) EXPECT_EQ(clients[i]->usage->computed, 1u);
  EXPECT_EQ(engine.stats().cache.blocks_duplicate, 0u);
}

TEST(Sharing, WaitingIsForTheSharedBlocksOnly) {
  CoreHarness engine(small_steps());
  auto longer = tokens(1, 60), shorter = tokens(1, 8);
  shorter.push_back(900);
  const Client computing = engine.submit(longer, 1, "a"), waiting = engine.submit(shorter, 1, "b");
  engine.turn();
  EXPECT_EQ(engine.stats().running, 1u);
  engine.turn();  // the first 8 tokens are committed
  EXPECT_EQ(engine.stats().running, 2u);
  engine.run_until_idle();
  EXPECT_EQ(waiting->usage->cached[0], 8u);
  EXPECT_LT(waiting->finish->times.finished, computing->finish->times.finished);
}

TEST(Sharing, OthersPassAWaitingOne) {
  CoreHarness engine(small_steps());
  engine.submit(tokens(1, 7), 1);
  const Client waiting = engine.submit(tokens(1, 7), 1), other = engine.submit(tokens(300, 4), 1);
  engine.turn();
  EXPECT_FALSE(waiting->usage);
  EXPECT_TRUE(other->usage);
  engine.run_until_idle();
  EXPECT_EQ(waiting->usage->cached[0], 6u);
}

TEST(Sharing, TheFirstWaiterTakesOverFromACancelledOne) {
  CoreHarness engine(small_steps());
  const auto prompt = tokens(1, 60);
  const Client computing = engine.submit(prompt, 2);
  const Client first = engine.submit(prompt, 2), second = engine.submit(prompt, 2);
  engine.turns(3);  // 16 tokens are committed, 8 in flight
  engine.cancel(computing);
  engine.run_until_idle();
  EXPECT_EQ(computing->finish->reason, FinishReason::cancelled);
  EXPECT_EQ(first->usage->cached[0], 24u);
  EXPECT_EQ(second->usage->computed, 1u);
  EXPECT_EQ(first->ids, alone(prompt, 2));
  EXPECT_EQ(second->ids, alone(prompt, 2));
}

TEST(Sharing, OtherSaltsShareNothing) {
  CoreHarness engine({});
  const auto prompt = tokens(1, 21);
  const Client mine = engine.submit(prompt, 2);
  GenerateRequest request = CoreHarness::request(prompt, 2, "b");
  request.salts[0].salt.bytes[0] = 1;
  const Client theirs = engine.submit(request);
  engine.turn();
  EXPECT_TRUE(mine->usage && theirs->usage);  // nobody waits for another tenant's prompt
  engine.run_until_idle();
  EXPECT_EQ(theirs->usage->computed, 21u);
}

TEST(Sharing, DeclaredScopeIsSharedAndTheRestIsNot) {
  CoreHarness engine({});
  GenerateRequest a = CoreHarness::request(tokens(1, 21), 2, "a"), b = CoreHarness::request(tokens(1, 21), 2, "b");
  a.salts.push_back({8, {}});
  b.salts.push_back({8, {}});
  a.salts[1].salt.bytes[0] = 1;
  b.salts[1].salt.bytes[0] = 2;
  engine.submit(a);
  engine.run_until_idle();
  const Client client = engine.submit(b);
  engine.run_until_idle();
  EXPECT_EQ(client->usage->cached[0], 8u);
}

}  // namespace
}  // namespace kvasir::testing
