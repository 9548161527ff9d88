#include <gtest/gtest.h>

#include "tests/unit/engine/core_harness.h"

namespace kvasir::testing {
namespace {

std::uint32_t tokens_of(const Step& step) {
  std::uint32_t sum = 0;
  for (const StepPart& part : step) sum += part.tokens();
  return sum;
}

TEST(Scheduler, GeneratesWhatTheModelSays) {
  CoreHarness engine({});
  const auto prompt = tokens(1, 10);
  const Client client = engine.submit(prompt, 20);
  engine.run_until_idle();
  EXPECT_EQ(client->ids, alone(prompt, 20));
  ASSERT_TRUE(client->finish);
  EXPECT_EQ(client->finish->reason, FinishReason::length);
  EXPECT_EQ(client->finish->generated_tokens, 20u);
  EXPECT_EQ(client->usage->computed, 10u);
}

TEST(Scheduler, TimesOfARequestAscend) {
  CoreHarness engine({});
  const Client client = engine.submit(tokens(1, 10), 5);
  engine.run_until_idle();
  const RequestTimes& times = client->finish->times;
  EXPECT_LT(times.arrived, times.admitted);
  EXPECT_LT(times.admitted, times.first_token);
  EXPECT_LT(times.first_token, times.finished);
}

TEST(Scheduler, PromptIsComputedInChunksOfTheStep) {
  HarnessConfig config;
  config.engine.step_tokens_max = 8;
  CoreHarness engine(config);
  const Client client = engine.submit(tokens(1, 20), 2);
  engine.run_until_idle();
  const std::vector<Step> expected{
      {{client.id, 0, 8}}, {{client.id, 8, 16}}, {{client.id, 16, 20}}, {{client.id, 20, 21}}};
  EXPECT_EQ(engine.backend.steps, expected);
}

TEST(Scheduler, PrefillIsSmallerWhileDecodesRun) {
  HarnessConfig config;
  config.engine.step_tokens_max = 32;
  CoreHarness engine(config);
  const Client decoding = engine.submit(tokens(1, 4), 30);
  engine.turns(5);  // a prompt and some decodes, so that undisturbed is known
  const Client prefilling = engine.submit(tokens(100, 20), 3);
  engine.turn();
  EXPECT_EQ(engine.backend.steps.back(), (Step{{decoding.id, 8, 9}, {prefilling.id, 0, 8}}));
  engine.turn();
  EXPECT_EQ(engine.backend.steps.back(), (Step{{decoding.id, 9, 10}, {prefilling.id, 8, 20}}));
  engine.run_until_idle();
  EXPECT_EQ(prefilling->ids, alone(tokens(100, 20), 3));
}

TEST(Scheduler, UndisturbedIsMeasuredBeforePromptsJoinDecodes) {
  CoreHarness engine({});
  const Client decoding = engine.submit(tokens(1, 4), 30);
  engine.turns(2);
  const Client prefilling = engine.submit(tokens(100, 20), 3);
  engine.turns(3);
  for (std::size_t step = 1; step < 4; ++step) EXPECT_EQ(engine.backend.steps[step].size(), 1u);
  EXPECT_EQ(engine.backend.steps[4].size(), 2u);
  engine.run_until_idle();
}

TEST(Scheduler, NoStepIsOverItsBudget) {
  HarnessConfig config;
  config.engine.step_tokens_max = 16;
  config.engine.running_max = 6;
  CoreHarness engine(config);
  for (std::uint32_t i = 0; i < 12; ++i) engine.submit(tokens(static_cast<TokenId>(1 + 50 * i), 5 + 3 * i), 4);
  engine.run_until_idle();
  for (const Step& step : engine.backend.steps) {
    EXPECT_LE(tokens_of(step), 16u);
    EXPECT_LE(step.size(), 6u);
  }
}

TEST(Scheduler, EveryDecodeIsInEveryStep) {
  CoreHarness engine({});
  for (TokenId i = 0; i < 5; ++i) engine.submit(tokens(1 + 50 * i, 4), 6);
  engine.run_until_idle();
  ASSERT_EQ(engine.backend.steps.size(), 6u);
  for (const Step& step : engine.backend.steps) EXPECT_EQ(step.size(), 5u);
}

std::vector<SequenceId> first_steps(const CoreHarness& engine) {
  std::vector<SequenceId> order;
  for (const Step& step : engine.backend.steps)
    for (const StepPart& part : step)
      if (part.first == 0) order.push_back(part.id);
  return order;
}

TEST(Scheduler, TenantsTakeTurns) {
  HarnessConfig config;
  config.engine.running_max = 1;
  CoreHarness engine(config);
  const Client a1 = engine.submit(tokens(1, 4), 2, "a"), a2 = engine.submit(tokens(50, 4), 2, "a");
  const Client a3 = engine.submit(tokens(100, 4), 2, "a");
  const Client b1 = engine.submit(tokens(150, 4), 2, "b"), b2 = engine.submit(tokens(200, 4), 2, "b");
  const Client c1 = engine.submit(tokens(250, 4), 2, "c");
  engine.run_until_idle();
  EXPECT_EQ(first_steps(engine), (std::vector{a1.id, b1.id, c1.id, a2.id, b2.id, a3.id}));
}

TEST(Scheduler, PrefillIsSplitBetweenTenants) {
  HarnessConfig config;
  config.engine.step_tokens_max = 16;
  CoreHarness engine(config);
  const Client longer = engine.submit(tokens(1, 60), 1, "a");
  engine.turn();
  EXPECT_EQ(engine.backend.steps.back(), (Step{{longer.id, 0, 16}}));
  const Client shorter = engine.submit(tokens(100, 12), 1, "b");
  engine.turn();
  EXPECT_EQ(engine.backend.steps.back(), (Step{{longer.id, 16, 24}, {shorter.id, 0, 8}}));
  engine.turn();  // the shorter one comes to its first token: the step is at most twice what it needs itself
  EXPECT_EQ(engine.backend.steps.back(), (Step{{longer.id, 24, 28}, {shorter.id, 8, 12}}));
  engine.run_until_idle();
}

TEST(Scheduler, OneTenantHasOneStepOfPrefillAdmitted) {
  HarnessConfig config;
  config.engine.step_tokens_max = 16;
  CoreHarness engine(config);
  for (TokenId i = 0; i < 4; ++i) engine.submit(tokens(1 + 100 * i, 30), 1, "a");
  engine.turn();
  EXPECT_EQ(engine.stats().running, 1u);
  EXPECT_EQ(engine.stats().waiting, 3u);
  engine.submit(tokens(900, 30), 1, "b");
  engine.turn();
  EXPECT_EQ(engine.stats().running, 3u);  // b at once; a's second, now that less than a step is left of its first
  engine.run_until_idle();
}

TEST(Scheduler, OutputEndsWithTheContext) {
  HarnessConfig config;
  config.engine.context_tokens_max = 16;
  CoreHarness engine(config);
  const Client client = engine.submit(tokens(1, 10), 100);
  engine.run_until_idle();
  EXPECT_EQ(client->ids, alone(tokens(1, 10), 6));
  EXPECT_EQ(client->finish->reason, FinishReason::length);
}

TEST(Scheduler, StopTokenIsDeliveredAndEnds) {
  CoreHarness engine({});
  const auto expected = alone(tokens(1, 10), 8);
  GenerateRequest request = CoreHarness::request(tokens(1, 10), 100);
  request.stop_tokens = {expected[4]};
  const Client client = engine.submit(request);
  engine.run_until_idle();
  EXPECT_EQ(client->ids, std::vector<TokenId>(expected.begin(), expected.begin() + 5));
  EXPECT_EQ(client->finish->reason, FinishReason::stop);
  EXPECT_EQ(client->finish->generated_tokens, 5u);
}

TEST(Scheduler, SampledIdsDependOnTheSeedOnly) {
  CoreHarness engine({});
  GenerateRequest request = CoreHarness::request(tokens(1, 10), 12);
  request.sampling.temperature = 1.0f;
  request.sampling.seed = 7;
  const Client seven = engine.submit(request), again = engine.submit(request);
  request.sampling.seed = 8;
  const Client eight = engine.submit(request);
  engine.run_until_idle();
  EXPECT_EQ(seven->ids, again->ids);
  EXPECT_NE(seven->ids, eight->ids);
}

TEST(Scheduler, TenantsAreToldOfUpToAHundred) {
  HarnessConfig config;
  config.engine.running_max = 1;
  CoreHarness engine(config);
  for (int i = 0; i < 103; ++i) engine.submit(tokens(1 + 7 * i, 4), 3, "tenant" + std::to_string(i));
  engine.turn();
  const TimePoint arrived{};
  std::vector<TenantStats> tenants = engine.stats().tenants;
  ASSERT_EQ(tenants.size(), 101u);
  EXPECT_EQ(tenants[0].tenant, "tenant0");
  EXPECT_EQ(tenants[0].waiting, 0u);
  EXPECT_EQ(tenants[1].waiting, 1u);
  EXPECT_EQ(tenants[1].oldest_waiting, arrived);
  EXPECT_EQ(tenants[100].tenant, "other");
  EXPECT_EQ(tenants[100].waiting, 3u);
  engine.run_until_idle();
  tenants = engine.stats().tenants;
  EXPECT_EQ(tenants[5].tokens_computed, 4u + 2);
  EXPECT_EQ(tenants[100].tokens_computed, 3 * (4u + 2));
  EXPECT_EQ(tenants[100].waiting, 0u);
  EXPECT_FALSE(tenants[100].oldest_waiting);
}

TEST(Scheduler, FinishedRequestsLeaveOnlyFreeAndCachedBlocks) {
  CoreHarness engine({});
  for (TokenId i = 0; i < 5; ++i) engine.submit(tokens(1 + 50 * i, 10), 6);
  engine.run_until_idle();
  const PoolCounts blocks = engine.stats().cache.host;
  EXPECT_EQ(blocks.filling + blocks.leased, 0u);
  EXPECT_EQ(blocks.cached, 5 * 4u);  // 10 + 6 tokens each, the last one's KV was never needed: 3 blocks and a tail
  EXPECT_EQ(engine.stats().requests_finished, 5u);
}

}  // namespace
}  // namespace kvasir::testing
