// How a long prompt and running streams share the machine: the latency target holds, the rest goes to the prompt.
#include <gtest/gtest.h>

#include "tests/sim/paced_engine.h"

namespace kvasir::testing {
namespace {

EngineConfig target_of(double factor) {
  EngineConfig config;
  config.itl_target.factor = factor;
  return config;
}

struct Disturbed {
  double alone = 0;                       // the median gap before
  std::vector<double> gaps;               // while the prompt prefilled
  double prefill = 0, prefill_alone = 0;  // seconds
};

// A prompt of 4,000 tokens alone, then another one among four streams.
Disturbed disturb(PacedEngine& engine, int number = 0) {
  Disturbed seen;
  const PacedClient alone = engine.ask(prompt_of(100 + 10 * number, 4000), 1);
  engine.run_until_idle();
  seen.prefill_alone = alone.first_token_seconds();
  std::vector<PacedClient> streams;
  for (int i = 0; i < 4; ++i) streams.push_back(engine.ask(prompt_of(101 + 10 * number + i, 50), 3000));
  engine.steps(60);
  const TimePoint before = engine.now;
  const PacedClient prompt = engine.ask(prompt_of(109 + 10 * number, 4000), 1);
  engine.run_until([&] { return prompt.finished(); });
  seen.prefill = prompt.first_token_seconds();
  std::vector<double> undisturbed;
  for (const PacedClient& stream : streams) {
    for (const double gap : stream.gaps(TimePoint{}, before)) undisturbed.push_back(gap);
    for (const double gap : stream.gaps(before, engine.now)) seen.gaps.push_back(gap);
    engine.cancel(stream);
  }
  engine.run_until_idle();
  seen.alone = quantile(undisturbed, 0.5);
  return seen;
}

TEST(Pace, TheTargetHoldsAndTheRestIsThePrompts) {
  for (const double target : {1.5, 2.0, 3.0, 5.0, 8.0}) {
    PacedEngine engine(1, target_of(target), {});
    const Disturbed seen = disturb(engine);
    EXPECT_LE(quantile(seen.gaps, 0.5), 1.05 * target * seen.alone) << target;
    EXPECT_LE(quantile(seen.gaps, 0.99), 1.2 * target * seen.alone) << target;  // a tile more or less
    EXPECT_LE(quantile(seen.gaps, 1), 2 * target * seen.alone) << target;
    // What is left is all but used: of a gap, 1 - 1/target is the prompt's, and that much of the machine's rate with
    // tiles of which only some rows are the prompt's.
    EXPECT_GE(quantile(seen.gaps, 0.5), 0.75 * target * seen.alone) << target;
    EXPECT_LE(seen.prefill, 1.6 * seen.prefill_alone / (1 - 1 / target)) << target;
  }
}

TEST(Pace, ATargetInMilliseconds) {
  EngineConfig config;
  config.itl_target.time = std::chrono::milliseconds(30);
  PacedEngine engine(1, config, {});
  const Disturbed seen = disturb(engine);
  EXPECT_LE(quantile(seen.gaps, 0.99), 1.15 * 30e-3);
  EXPECT_GE(quantile(seen.gaps, 0.5), 0.8 * 30e-3);
}

TEST(Pace, AnUnreachableTargetStillLetsPromptsIn) {
  EngineConfig config;
  config.itl_target.time = std::chrono::milliseconds(1);
  PacedEngine engine(1, config, {});
  const Disturbed seen = disturb(engine);
  EXPECT_LE(seen.prefill, 40.0);  // 2 tokens a step, alone about 2 s
}

TEST(Pace, NoiseAndHiccupsMoveLittle) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Machine machine;
    machine.noise = 0.2;
    machine.hiccup_percent = 2;
    PacedEngine engine(seed, target_of(2), machine);
    disturb(engine);
    const Disturbed seen = disturb(engine, 1);
    EXPECT_LE(quantile(seen.gaps, 0.5), 1.15 * 2 * seen.alone) << seed;
    EXPECT_LE(quantile(seen.gaps, 0.95), 1.45 * 2 * seen.alone) << seed;
    EXPECT_GE(quantile(seen.gaps, 0.5), 0.7 * 2 * seen.alone) << seed;
  }
}

TEST(Pace, AMachineThatChangesItsSpeedIsFollowed) {
  for (const double speed : {0.5, 2.0}) {
    PacedEngine engine(1, target_of(2), {});
    disturb(engine);
    engine.machine.speed = speed;
    const Disturbed seen = disturb(engine, 1);
    EXPECT_LE(quantile(seen.gaps, 0.9), 1.35 * 2 * seen.alone) << speed;
    EXPECT_GE(quantile(seen.gaps, 0.5), 0.75 * 2 * seen.alone) << speed;
  }
}

TEST(Pace, WithoutStreamsAStepIsAsBigAsItMayBe) {
  PacedEngine engine(1, target_of(1.5), {});
  disturb(engine);
  engine.backend.steps.clear();
  engine.ask(prompt_of(1, 2048), 1);
  engine.run_until_idle();
  ASSERT_EQ(engine.backend.steps.size(), 4u);
  for (const Step& step : engine.backend.steps) EXPECT_EQ(step.front().tokens(), 512u);
}

// Streams come and go, prompts of all lengths arrive, the machine hiccups: whatever is learned from that.
TEST(Pace, AnyTrafficIsServedAndKeepsItsPace) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    Prng prng(seed);
    Machine machine;
    machine.noise = 0.1;
    machine.hiccup_percent = 1;
    PacedEngine engine(seed, target_of(2), machine);
    std::vector<PacedClient> clients;
    for (int i = 0; i < 60; ++i) {
      const auto length = static_cast<std::uint32_t>(prng.chance(20) ? 1000 + prng.below(3000) : 10 + prng.below(300));
      clients.push_back(engine.ask(prompt_of(i, length), 1 + static_cast<std::uint32_t>(prng.below(100))));
      engine.steps(static_cast<int>(prng.below(60)));
    }
    engine.run_until_idle();
    std::vector<double> gaps;
    for (const PacedClient& client : clients) {
      ASSERT_TRUE(client.finished()) << seed;
      for (const double gap : client.gaps(TimePoint{}, engine.now)) gaps.push_back(gap);
    }
    // With up to some dozen streams a step of decodes alone takes 8 to 20 ms.
    EXPECT_LE(quantile(gaps, 0.95), 60e-3) << seed;
  }
}

}  // namespace
}  // namespace kvasir::testing
