// Who is computed first: short rests before long prompts, though not for ever; tenants by their weights.
#include <map>

#include <gtest/gtest.h>

#include "tests/sim/paced_engine.h"

namespace kvasir::testing {
namespace {

TEST(Order, ACachedSuffixPassesAColdGiant) {
  PacedEngine engine(1, {}, {});
  auto chat = prompt_of(1, 2000);
  engine.ask(chat, 1);
  engine.run_until_idle();
  const PacedClient giant = engine.ask(prompt_of(2, 20000), 1);
  engine.steps(2);
  chat.resize(2030, 7);
  const PacedClient suffix = engine.ask(chat, 1);
  engine.run_until([&] { return suffix.finished(); });
  EXPECT_EQ(suffix->usage->cached[0], 2000u);
  // The step that ran when it came, and not much more than its own tokens.
  EXPECT_LE(suffix.first_token_seconds(), 1.4 * 512 * engine.machine.row_seconds + 3 * 32 * engine.machine.row_seconds);
  EXPECT_FALSE(giant.finished());
  engine.run_until_idle();
}

TEST(Order, QueuedPromptsGoShortestFirst) {
  EngineConfig config;
  config.running_max = 1;
  PacedEngine engine(1, config, {});
  engine.ask(prompt_of(0, 600), 1);
  engine.step();
  const PacedClient longest = engine.ask(prompt_of(1, 4000), 1), middle = engine.ask(prompt_of(2, 1000), 1);
  const PacedClient shortest = engine.ask(prompt_of(3, 100), 1);
  engine.run_until_idle();
  EXPECT_LT(shortest->times[0], middle->times[0]);
  EXPECT_LT(middle->times[0], longest->times[0]);
}

// Short prompts arrive faster than the machine can compute them, for ever.
double giant_seconds(std::uint64_t seed, double overload, std::uint32_t giant_tokens) {
  PacedEngine engine(seed, {}, {});
  const PacedClient giant = engine.ask(prompt_of(1'000, giant_tokens), 1);
  double due = 0;
  for (int i = 0; !giant.finished(); ++i) {
    const auto length = static_cast<std::uint32_t>(50 + engine.prng.below(300));
    engine.ask(prompt_of(i, length), 1);
    due += length * engine.machine.row_seconds / overload;
    while (seconds_between(TimePoint{}, engine.now) < due) engine.step();
    KVASIR_ASSERT(i < 10000);
  }
  return giant.first_token_seconds();
}

TEST(Order, NobodyIsPassedForEver) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    PacedEngine engine(seed, {}, {});
    const PacedClient alone = engine.ask(prompt_of(1, 4000), 1);
    engine.run_until_idle();
    for (const double overload : {1.0, 1.5}) {
      // What arrives within four times its own time may pass it; it takes `overload` times as long to compute.
      const double seconds = giant_seconds(seed, overload, 4000);
      EXPECT_LE(seconds, (4 * overload + 1) * 1.3 * alone.first_token_seconds()) << seed << " " << overload;
      EXPECT_GE(seconds, 2 * alone.first_token_seconds()) << seed << " " << overload;  // it is passed at all
    }
  }
}

std::map<std::string, std::uint64_t> computed_by_tenant(const PacedEngine& engine) {
  std::map<std::string, std::uint64_t> tokens;
  for (const TenantStats& tenant : engine.core->stats().tenants) tokens[tenant.tenant] = tenant.tokens_computed;
  return tokens;
}

// Every tenant always has more to ask, with prompts and answers of its own sizes.
class Rivals {
 public:
  Rivals(std::uint64_t seed, const EngineConfig& config) : engine(seed, config, {}) {}

  void add(const std::string& tenant, std::uint32_t prompt, std::uint32_t output, std::uint32_t queued = 4) {
    rivals_.push_back({tenant, prompt, output, queued, {}});
  }

  void run(double seconds) {
    engine.run_until(
        [this] {
          for (Rival& rival : rivals_) {
            std::erase_if(rival.clients, [](const PacedClient& client) { return client.finished(); });
            while (rival.clients.size() < rival.queued)
              rival.clients.push_back(engine.ask(prompt_of(next_++, rival.prompt), rival.output, rival.tenant));
          }
          return false;
        },
        seconds);
  }

  PacedEngine engine;

 private:
  struct Rival {
    std::string tenant;
    std::uint32_t prompt, output, queued;
    std::vector<PacedClient> clients;
  };
  std::vector<Rival> rivals_;
  int next_ = 0;
};

TEST(Fairness, TenantsHaveTheirWeights) {
  EngineConfig config;
  config.tenant_weights = {{"a", 3}, {"b", 1}};
  Rivals rivals(1, config);
  rivals.add("a", 600, 1);
  rivals.add("b", 1500, 1);
  rivals.run(60);
  const auto tokens = computed_by_tenant(rivals.engine);
  const double ratio = static_cast<double>(tokens.at("a")) / static_cast<double>(tokens.at("b"));
  EXPECT_NEAR(ratio, 3.0, 0.15);
}

TEST(Fairness, DecodedTokensCountToo) {
  Rivals rivals(1, {});
  rivals.add("writes", 40, 200, 8);
  rivals.add("reads", 1000, 1);
  rivals.run(20);
  const auto tokens = computed_by_tenant(rivals.engine);
  const double ratio = static_cast<double>(tokens.at("writes")) / static_cast<double>(tokens.at("reads"));
  EXPECT_GE(ratio, 0.5);  // decodes are never held back, and never more than asked for
  EXPECT_LE(ratio, 1.1);
}

TEST(Fairness, WhatOneDoesNotNeedTheOthersGet) {
  EngineConfig config;
  config.tenant_weights = {{"idle", 100}, {"busy", 1}};
  Rivals rivals(1, config);
  rivals.engine.ask(prompt_of(5000, 100), 1, "idle");
  rivals.add("busy", 1000, 1);
  rivals.run(30);
  const std::uint64_t busy = computed_by_tenant(rivals.engine).at("busy");
  const double rate = static_cast<double>(busy) / 30;
  EXPECT_GE(rate, 0.85 / rivals.engine.machine.row_seconds);
}

TEST(Fairness, OneWithManyRequestsDelaysTheOthersLittle) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    PacedEngine engine(seed, {}, {});
    for (int i = 0; i < 50; ++i)
      engine.ask(prompt_of(i, 1000 + static_cast<std::uint32_t>(engine.prng.below(1000))), 1);
    engine.steps(3);
    const PacedClient other = engine.ask(prompt_of(100, 1000), 1, "b");
    engine.run_until([&] { return other.finished(); });
    // Half of the machine, and the step that was running.
    EXPECT_LE(other.first_token_seconds(), (2 * 1000 + 2 * 512) * 1.2 * engine.machine.row_seconds) << seed;
    engine.run_until_idle();
  }
}

TEST(Fairness, IdleTimeIsNotSavedUp) {
  Rivals rivals(1, {});
  rivals.engine.ask(prompt_of(5000, 100), 1, "b");
  rivals.add("a", 1000, 1);
  rivals.run(20);
  rivals.add("b", 1000, 1);
  const auto before = computed_by_tenant(rivals.engine);
  rivals.run(20);
  const auto after = computed_by_tenant(rivals.engine);
  const double ratio =
      static_cast<double>(after.at("a") - before.at("a")) / static_cast<double>(after.at("b") - before.at("b"));
  EXPECT_NEAR(ratio, 1.0, 0.15);
}

}  // namespace
}  // namespace kvasir::testing
