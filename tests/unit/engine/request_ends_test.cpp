#include "engine/request_ends.h"

#include <gtest/gtest.h>

#include "tests/unit/engine/core_harness.h"

namespace kvasir::testing {
namespace {

struct Recorded final : RequestTraceSink {
  void record(RequestTrace trace) override { traces.push_back(std::move(trace)); }
  std::vector<RequestTrace> traces;
};

class RequestEndsTest : public ::testing::Test {
 protected:
  static HarnessConfig with(RequestTraceSink& sink) {
    HarnessConfig config;
    config.engine.traces = &sink;
    return config;
  }
  // A request that stops by itself with its second token.
  GenerateRequest stopping(bool tells_end) {
    GenerateRequest made = CoreHarness::request(tokens(10, 10), 20);
    made.stop_tokens = {alone(made.prompt, 2).back()};
    made.tells_end = tells_end;
    return made;
  }

  Recorded recorded;
  CoreHarness harness{with(recorded)};
};

TEST_F(RequestEndsTest, AStopIsOfUnknownKindWhereNobodyTells) {
  harness.submit(stopping(false));
  harness.run_until_idle();
  ASSERT_EQ(recorded.traces.size(), 1u);
  EXPECT_EQ(recorded.traces[0].outcome.end, RequestEnd::unknown);
  EXPECT_EQ(recorded.traces[0].outcome.output_tokens, 2u);
}

TEST_F(RequestEndsTest, WaitsForWhatTheCallerTells) {
  const Client client = harness.submit(stopping(true));
  harness.run_until_idle();
  EXPECT_TRUE(client->finish);
  EXPECT_TRUE(recorded.traces.empty());
  harness.core->tell_end(client.id, RequestEnd::tool_use);
  ASSERT_EQ(recorded.traces.size(), 1u);
  EXPECT_EQ(recorded.traces[0].outcome.end, RequestEnd::tool_use);
  harness.core->tell_end(client.id, RequestEnd::end_turn);  // once
  EXPECT_EQ(recorded.traces.size(), 1u);
}

TEST_F(RequestEndsTest, ACallerThatGoesAwayInsteadHasCancelled) {
  const Client client = harness.submit(stopping(true));
  harness.run_until_idle();
  harness.cancel(client);
  ASSERT_EQ(recorded.traces.size(), 1u);
  EXPECT_EQ(recorded.traces[0].outcome.end, RequestEnd::cancelled);
}

TEST_F(RequestEndsTest, WhatWasToldBeforeTheEndCounts) {
  const Client client = harness.submit(stopping(true));
  harness.turn();
  harness.core->tell_end(client.id, RequestEnd::end_turn);
  harness.cancel(client);  // a stop string was found
  harness.run_until_idle();
  ASSERT_EQ(recorded.traces.size(), 1u);
  EXPECT_EQ(recorded.traces[0].outcome.end, RequestEnd::end_turn);
}

TEST_F(RequestEndsTest, TheEngineKnowsOfLengthsAndCancels) {
  harness.submit(tokens(10, 10), 3);
  harness.run_until_idle();
  const Client gone = harness.submit(tokens(50, 10), 30);
  harness.turns(3);
  harness.cancel(gone);
  harness.run_until_idle();
  ASSERT_EQ(recorded.traces.size(), 2u);
  EXPECT_EQ(recorded.traces[0].outcome.end, RequestEnd::length);
  EXPECT_EQ(recorded.traces[1].outcome.end, RequestEnd::cancelled);
}

TEST_F(RequestEndsTest, TracesTellTheBlocksThatTheCacheWasGiven) {
  const std::vector<TokenId> prompt = tokens(10, 10);
  harness.submit(prompt, 6);  // 15 tokens are computed: 3 full blocks of 4, and 3 tokens
  harness.run_until_idle();
  ASSERT_EQ(recorded.traces.size(), 1u);
  const RequestTrace& trace = recorded.traces[0];
  std::vector<TokenId> ids = prompt;
  for (const TokenId id : alone(prompt, 5)) ids.push_back(id);
  const SaltRange salt{};
  const auto keys = block_keys(harness.core->cache().root(), ids, std::span(&salt, 1), 4);
  EXPECT_EQ(trace.blocks, keys);
  EXPECT_EQ(trace.prompt_blocks, 2u);
  EXPECT_EQ(trace.tail_tokens, 3u);
  EXPECT_EQ(trace.tail, block_key(keys.back(), salt.salt, std::span(ids).subspan(12)));
  EXPECT_EQ(trace.usage.prompt_tokens, 10u);
  EXPECT_EQ(trace.usage.computed, 10u);
}

TEST_F(RequestEndsTest, WhoWasNeverAdmittedIsNotRecorded) {
  GenerateRequest late = CoreHarness::request(tokens(10, 10), 3);
  late.deadline = harness.now;
  harness.submit(late);
  harness.run_until_idle();
  EXPECT_TRUE(recorded.traces.empty());
}

}  // namespace
}  // namespace kvasir::testing
