// Requests whose prefix another one computes: nothing is computed twice, and nobody waits longer than alone.
#include <gtest/gtest.h>

#include "tests/sim/paced_engine.h"

namespace kvasir::testing {
namespace {

constexpr std::uint32_t kPrefix = 1024, kQuestion = 30, kOutput = 20, kClients = 8;

std::vector<TokenId> question(int number, std::uint32_t prefix = kPrefix) {
  auto prompt = prompt_of(500, prefix);
  const auto own = prompt_of(600 + number, kQuestion);
  prompt.insert(prompt.end(), own.begin(), own.end());
  return prompt;
}

std::vector<PacedClient> ask_all(PacedEngine& engine) {
  std::vector<PacedClient> clients;
  for (std::uint32_t i = 0; i < kClients; ++i)
    clients.push_back(engine.ask(question(static_cast<int>(i)), kOutput, i % 2 ? "a" : "b"));
  return clients;
}

TEST(SharedPrefix, EightClientsComputeAColdPrefixOnce) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Prng prng(seed);
    EngineConfig config;
    config.step_tokens_max = 33 + static_cast<std::uint32_t>(prng.below(1000));
    PacedEngine engine(seed, config, {});
    std::vector<PacedClient> clients;
    for (std::uint32_t i = 0; i < kClients; ++i) {
      clients.push_back(engine.ask(question(static_cast<int>(i)), kOutput, prng.chance(50) ? "a" : "b"));
      engine.steps(static_cast<int>(prng.below(3)));
    }
    engine.run_until_idle();
    for (std::uint32_t i = 0; i < kClients; ++i)
      EXPECT_EQ(clients[i]->ids, alone(question(static_cast<int>(i)), kOutput, ReplyText{}.vocabulary));
    EXPECT_EQ(engine.backend.null->tokens_computed(), kPrefix + kClients * (kQuestion + kOutput - 1)) << seed;
    EXPECT_EQ(engine.core->stats().cache.blocks_duplicate, 0u) << seed;
  }
}

TEST(SharedPrefix, AmongRunningStreamsToo) {
  PacedEngine engine(1, {}, {});
  const PacedClient stream = engine.ask(prompt_of(1, 50), 2000);
  engine.steps(30);
  const std::uint64_t before = engine.backend.null->tokens_computed();
  const std::size_t streamed = stream->times.size();
  const std::vector<PacedClient> clients = ask_all(engine);
  engine.run_until(
      [&] { return std::all_of(clients.begin(), clients.end(), [](const PacedClient& c) { return c.finished(); }); });
  const std::uint64_t computed = engine.backend.null->tokens_computed() - before - (stream->times.size() - streamed);
  EXPECT_EQ(computed, kPrefix + kClients * (kQuestion + kOutput - 1));
}

TEST(SharedPrefix, TheOneThatComputesItMayGoAtAnyTime) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    EngineConfig config;
    config.step_tokens_max = 100;
    PacedEngine engine(seed, config, {});
    std::vector<PacedClient> clients = ask_all(engine);
    std::uint32_t gone = 0;
    for (; gone < 3; ++gone) {  // whoever computes now
      engine.steps(1 + static_cast<int>(engine.prng.below(3)));
      const SequenceId computing = engine.backend.steps.back().front().id;
      const auto at = std::find_if(clients.begin(), clients.end(), [&](const auto& c) { return c.id == computing; });
      if (at == clients.end()) continue;
      engine.cancel(*at);
      clients.erase(at);
    }
    engine.run_until_idle();
    for (const PacedClient& client : clients) EXPECT_EQ(client->ids.size(), kOutput);
    // All that a cancelled one computed is kept, but what its unfinished block holds of others' shared tokens is in no
    // full block.
    EXPECT_LE(engine.backend.null->tokens_computed(),
              kPrefix + kClients * (kQuestion + kOutput - 1) + gone * PacedEngine::kBlockTokens)
        << seed;
  }
}

TEST(SharedPrefix, OneThatIsPushedOutIsReplaced) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    PacedEngine engine(seed, {}, {}, 60);  // blocks for one prompt and some growth
    const PacedClient stream = engine.ask(prompt_of(1, 50), 500);
    engine.steps(10 + static_cast<int>(engine.prng.below(20)));
    const std::vector<PacedClient> clients = ask_all(engine);
    engine.run_until_idle();
    for (std::uint32_t i = 0; i < kClients; ++i)
      EXPECT_EQ(clients[i]->ids, alone(question(static_cast<int>(i)), kOutput, ReplyText{}.vocabulary));
    EXPECT_EQ(stream->ids.size(), 500u);
  }
}

// A giant has the claim on what a shorter prompt begins with, and would not be due for long itself.
TEST(SharedPrefix, AWaiterLendsItsUrgency) {
  const auto seconds_of = [](std::uint32_t shared) {
    PacedEngine engine(1, {}, {});
    auto giant = prompt_of(500, 2048);
    const auto rest = prompt_of(501, 30000);
    giant.insert(giant.end(), rest.begin(), rest.end());
    engine.ask(giant, 1);
    engine.step();
    for (int i = 0; i < 10; ++i) engine.ask(prompt_of(i, 3000), 1);  // due before the giant, after the other one
    auto prompt = prompt_of(500, shared);
    const auto own = prompt_of(800, 1600 - shared);
    prompt.insert(prompt.end(), own.begin(), own.end());
    const PacedClient waiter = engine.ask(prompt, 1);
    engine.run_until([&] { return waiter.finished(); });
    return waiter.first_token_seconds();
  };
  // Never later than with a prefix of its own.
  EXPECT_LE(seconds_of(1024), 1.05 * seconds_of(0));
  EXPECT_LE(seconds_of(1536), 1.05 * seconds_of(0));
}

// The tenant that computes the prefix is far behind in its turn; the one that waits is not.
TEST(SharedPrefix, AWaiterLendsItsTurn) {
  const auto seconds_of = [](bool shares) {
    EngineConfig config;
    config.tenant_weights = {{"light", 1}, {"heavy", 50}};
    PacedEngine engine(1, config, {});
    engine.ask(question(0, 4096), 1, "light");
    for (int i = 0; i < 6; ++i) engine.ask(prompt_of(i, 3000), 1, "middle");
    engine.steps(2);
    const PacedClient waiter = engine.ask(shares ? question(1, 4096) : prompt_of(7, 4096 + kQuestion), 1, "heavy");
    engine.run_until([&] { return waiter.finished(); });
    return waiter.first_token_seconds();
  };
  EXPECT_LE(seconds_of(true), 1.05 * seconds_of(false));
}

}  // namespace
}  // namespace kvasir::testing
