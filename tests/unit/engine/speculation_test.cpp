// Drafts change how many steps an answer takes, and nothing else.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/unit/engine/core_harness.h"

namespace kvasir::testing {
namespace {

constexpr std::uint32_t kVocabulary = 9;

// Replies that repeat themselves soon.
HarnessConfig repetitive(bool speculation, std::uint32_t decided_by = 1) {
  HarnessConfig config;
  config.backend.vocabulary = kVocabulary;
  config.backend.decided_by = decided_by;
  config.engine.speculation = speculation;
  config.engine.itl_target.factor = 100;
  return config;
}

std::vector<TokenId> expected(const GenerateRequest& request, std::uint32_t decided_by = 1) {
  return null_generate(request.prompt, request.sampling, kVocabulary, request.max_tokens, decided_by);
}

std::uint32_t longest_part(const CoreHarness& engine, std::size_t from_step) {
  std::uint32_t longest = 0;
  for (std::size_t i = from_step; i < engine.backend.steps.size(); ++i)
    for (const StepPart& part : engine.backend.steps[i]) longest = std::max(longest, part.tokens());
  return longest;
}

TEST(Speculation, TheSameAnswerInFewerSteps) {
  CoreHarness engine(repetitive(true));
  const GenerateRequest request = CoreHarness::request({1, 2, 3, 4, 5}, 100);
  const Client client = engine.submit(request);
  engine.run_until_idle();
  EXPECT_EQ(client->ids, expected(request));
  EXPECT_EQ(client->finish->reason, FinishReason::length);
  EXPECT_LT(engine.backend.steps.size(), 60u);
  const EngineStats stats = engine.stats();
  EXPECT_GT(stats.tokens_accepted, 40u);
  EXPECT_GE(stats.tokens_drafted, stats.tokens_accepted);
  EXPECT_EQ(stats.tokens_generated, 100u);
  EXPECT_EQ(stats.tokens_generated, stats.steps + stats.tokens_accepted);  // the only sequence
}

TEST(Speculation, OffIsOff) {
  CoreHarness engine(repetitive(false));
  const GenerateRequest request = CoreHarness::request({1, 2, 3, 4, 5}, 50);
  const Client client = engine.submit(request);
  engine.run_until_idle();
  EXPECT_EQ(client->ids, expected(request));
  EXPECT_EQ(engine.stats().tokens_drafted, 0u);
  EXPECT_EQ(longest_part(engine, 1), 1u);
}

// All that can be seen of one engine after a row of requests, each alone.
struct Seen {
  std::vector<std::vector<TokenId>> ids;
  std::vector<FinishReason> reasons;
  std::vector<std::uint32_t> generated, cached, found_later;
  std::uint64_t committed = 0, evicted = 0, recomputed = 0;
  PoolCounts pool;
};

Seen run_all(const std::vector<GenerateRequest>& requests, HarnessConfig config) {
  CoreHarness engine(config);
  Seen seen;
  for (const GenerateRequest& request : requests) {
    const Client client = engine.submit(request);
    engine.run_until_idle();
    seen.ids.push_back(client->ids);
    seen.reasons.push_back(client->finish->reason);
    seen.generated.push_back(client->finish->generated_tokens);
    seen.cached.push_back(client->usage->cached_total());
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    std::vector<TokenId> all = requests[i].prompt;
    all.insert(all.end(), seen.ids[i].begin(), seen.ids[i].end());
    seen.found_later.push_back(engine.core->cache().match({all, requests[i].salts})[0]);
  }
  const EngineStats stats = engine.stats();
  seen.committed = stats.cache.blocks_committed;
  seen.recomputed = stats.tokens_recomputed;
  for (const auto& reasons : stats.cache.evictions)
    for (const std::uint64_t count : reasons) seen.evicted += count;
  seen.pool = stats.cache.host;
  EXPECT_EQ(stats.tokens_accepted > 0, config.engine.speculation);
  return seen;
}

// Answers, reasons, blocks in the pool and what was evicted for them, with pools that are full most of the time.
TEST(Speculation, LeavesNoTraceInTheCache) {
  std::uint64_t evicted = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Prng prng(seed);
    const auto below = [&](std::uint32_t bound) { return static_cast<std::uint32_t>(prng.below(bound)); };
    std::vector<GenerateRequest> requests;
    for (int i = 0; i < 12; ++i) {
      std::vector<TokenId> prompt;
      if (!requests.empty() && prng.chance(60))
        prompt = requests[below(static_cast<std::uint32_t>(requests.size()))].prompt;
      for (std::uint32_t more = 1 + below(12); more > 0 && prompt.size() < 30; --more)
        prompt.push_back(static_cast<TokenId>(below(kVocabulary)));
      requests.push_back(CoreHarness::request(std::move(prompt), 1 + below(60)));
      if (prng.chance(30)) requests.back().stop_tokens = {static_cast<TokenId>(below(kVocabulary))};
      if (prng.chance(30)) requests.back().sampling.temperature = 1;
    }
    requests.push_back(CoreHarness::request({1, 1, 1}, 60));
    HarnessConfig config = repetitive(true, 1 + below(2));
    config.backend.block_tokens = config.cache.block_tokens = 1u << below(5);
    config.backend.block_count = 96 / config.backend.block_tokens + below(8);
    const Seen on = run_all(requests, config);
    config.engine.speculation = false;
    const Seen off = run_all(requests, config);
    EXPECT_EQ(on.ids, off.ids) << seed;
    EXPECT_EQ(on.reasons, off.reasons) << seed;
    EXPECT_EQ(on.generated, off.generated) << seed;
    EXPECT_EQ(on.cached, off.cached) << seed;
    EXPECT_EQ(on.found_later, off.found_later) << seed;
    EXPECT_EQ(on.committed, off.committed) << seed;
    EXPECT_EQ(on.evicted, off.evicted) << seed;
    EXPECT_EQ(on.recomputed, off.recomputed) << seed;
    EXPECT_EQ(on.pool.cached, off.pool.cached) << seed;
    EXPECT_EQ(on.pool.free, off.pool.free) << seed;
    evicted += off.evicted;
  }
  EXPECT_GT(evicted, 1000u);
}

TEST(Speculation, APromptBesideItIsNotDelayed) {
  HarnessConfig config = repetitive(true);
  config.engine.step_tokens_max = 8;
  config.backend.block_count = 256;
  CoreHarness engine(config);
  const Client stream = engine.submit({1, 2, 3}, 200);
  engine.turns(20);
  ASSERT_GT(engine.stats().tokens_drafted, 0u);
  const std::size_t before = engine.backend.steps.size();
  const Client prompt = engine.submit(std::vector<TokenId>(100, 5), 1);
  while (!prompt->finish) {
    engine.turn();
    if (prompt->finish) break;
    EXPECT_EQ(engine.backend.steps.back().front().tokens(), 1u);
  }
  EXPECT_GT(engine.backend.steps.size(), before + 10);
  engine.run_until_idle();
}

TEST(Speculation, StaysWithinTheBudgetOfAStep) {
  HarnessConfig config = repetitive(true);
  config.engine.step_tokens_max = 4;
  CoreHarness engine(config);
  const Client a = engine.submit({1, 2, 3}, 60), b = engine.submit({2, 3, 4}, 60);
  engine.run_until_idle();
  for (const Step& step : engine.backend.steps) {
    std::uint32_t rows = 0;
    for (const StepPart& part : step) rows += part.tokens();
    EXPECT_LE(rows, 4u);
  }
  EXPECT_GT(engine.stats().tokens_accepted, 0u);
  EXPECT_EQ(a->ids, expected(CoreHarness::request({1, 2, 3}, 60)));
  EXPECT_EQ(b->ids, expected(CoreHarness::request({2, 3, 4}, 60)));
}

TEST(Speculation, ATenantIsChargedForItsDrafts) {
  CoreHarness engine(repetitive(true));
  engine.submit({1, 2, 3}, 100);
  engine.run_until_idle();
  std::uint64_t rows = 0;
  for (const Step& step : engine.backend.steps)
    for (const StepPart& part : step) rows += part.tokens();
  EXPECT_EQ(engine.stats().tenants.at(0).tokens_computed, rows);
  EXPECT_EQ(rows, 3 + 99 - engine.stats().tokens_accepted + engine.stats().tokens_drafted);
}

TEST(Speculation, AListenerThatIsGoneHearsNoMoreTokens) {
  CoreHarness engine(repetitive(true));
  const GenerateRequest request = CoreHarness::request({1, 2, 3}, 200);
  const Client client = engine.submit(request);
  client->tokens_taken_max = 91;
  engine.run_until_idle();
  ASSERT_GT(engine.stats().tokens_accepted, 0u);
  std::vector<TokenId> first = expected(request);
  first.resize(91);
  EXPECT_EQ(client->ids, first);
  EXPECT_EQ(client->finish->reason, FinishReason::cancelled);
}

TEST(Speculation, CancelledWithDraftsInFlight) {
  HarnessConfig config = repetitive(true);
  config.backend.completion = NullBackendConfig::Completion::manual;
  CoreHarness engine(config);
  const GenerateRequest request = CoreHarness::request({1, 2, 3}, 200);
  const Client client = engine.submit(request);
  engine.turn();
  while (engine.backend.steps.back().front().tokens() < 4 || client->ids.empty()) {
    ASSERT_TRUE(engine.backend.null->complete());
    engine.turn();
  }
  const StepPart in_flight = engine.backend.steps.back().front();
  engine.cancel(client);
  engine.backend.null->complete();
  engine.run_until_idle();
  EXPECT_EQ(client->finish->reason, FinishReason::cancelled);
  EXPECT_EQ(engine.stats().cache.host.filling + engine.stats().cache.host.leased, 0u);
  // What stays in the pool is the answer so far, and none of the drafts.
  std::vector<TokenId> all = request.prompt;
  all.insert(all.end(), client->ids.begin(), client->ids.end());
  EXPECT_EQ(all.size(), in_flight.first + 1);
  all.resize(in_flight.end + 4, 0);
  EXPECT_EQ(engine.core->cache().match({all, request.salts})[0], in_flight.first + 1);
}

TEST(Speculation, TokensOfABurstEndWhereTheAnswerEnds) {
  for (std::uint32_t most = 1; most < 40; ++most) {
    CoreHarness engine(repetitive(true));
    const GenerateRequest request = CoreHarness::request({1, 2, 3}, most);
    const Client client = engine.submit(request);
    engine.run_until_idle();
    EXPECT_EQ(client->ids, expected(request));
    EXPECT_EQ(client->finish->generated_tokens, most);
  }
}

// Seeded draws depend on the position alone, and so do they with drafts.
TEST(Speculation, SeededSamplingToo) {
  CoreHarness engine(repetitive(true));
  GenerateRequest request = CoreHarness::request({1, 2, 3}, 200);
  request.sampling.temperature = 1;
  for (request.sampling.seed = 0; request.sampling.seed < 5; ++request.sampling.seed) {
    const Client client = engine.submit(request);
    engine.run_until_idle();
    EXPECT_EQ(client->ids, expected(request));
  }
}

}  // namespace
}  // namespace kvasir::testing
