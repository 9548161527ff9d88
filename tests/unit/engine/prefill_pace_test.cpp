#include "engine/prefill_pace.h"

#include <cmath>

#include <gtest/gtest.h>

#include "storage/base/prng.h"

namespace kvasir::testing {
namespace {

StepLoad load_of(std::uint32_t decodes, std::uint32_t context, std::uint32_t prefill = 0, std::uint32_t position = 0) {
  StepLoad load;
  for (std::uint32_t i = 0; i < decodes; ++i) load.add_decode(context);
  if (prefill > 0) load.add_prefill(position, prefill);
  return load;
}

// A machine without surprises.
double seconds_of(const StepLoad& load) {
  return 3e-3 + 0.2e-3 * load.decodes + 0.5e-3 * load.prefill_tokens +
         0.2e-6 * static_cast<double>(load.decode_context) + 0.1e-6 * static_cast<double>(load.prefill_context);
}

StepLoad random_load(Prng& prng) {
  const auto below = [&](std::uint32_t bound) { return static_cast<std::uint32_t>(prng.below(bound)); };
  const std::uint32_t decodes = below(9);
  return load_of(decodes, 1 + below(3000), decodes == 0 || prng.chance(50) ? 1 + below(100) : 0, below(4000));
}

TEST(StepLoad, PrefillAttendsToEverythingBeforeEachToken) {
  StepLoad load;
  load.add_prefill(10, 3);
  EXPECT_EQ(load.prefill_tokens, 3u);
  EXPECT_EQ(load.prefill_context, 11u + 12 + 13);
}

TEST(StepTimeModel, LearnsWhatStepsTake) {
  Prng prng(1);
  StepTimeModel model;
  for (int i = 0; i < 500; ++i) {
    const StepLoad load = random_load(prng);
    model.learn(load, seconds_of(load));
  }
  for (int i = 0; i < 100; ++i) {
    StepLoad load = random_load(prng);
    if (load.decodes == 0) load.add_decode(1000);
    EXPECT_NEAR(model.predict(load), seconds_of(load), 0.05 * seconds_of(load));
  }
}

TEST(StepTimeModel, KnowsNothingAtFirst) { EXPECT_EQ(StepTimeModel().predict(load_of(4, 100)), 0); }

TEST(StepTimeModel, OneHiccupMovesLittle) {
  StepTimeModel model;
  for (int i = 0; i < 100; ++i) model.learn(load_of(4, 100), 0.01);
  model.learn(load_of(4, 100), 5.0);
  EXPECT_NEAR(model.predict(load_of(4, 100)), 0.01, 0.001);
  model.learn(load_of(4, 100), 0);
  EXPECT_NEAR(model.predict(load_of(4, 100)), 0.01, 0.002);
}

TEST(StepTimeModel, FollowsAMachineThatChangesItsSpeed) {
  for (const double speed : {0.4, 2.5}) {
    Prng prng(1);
    StepTimeModel model;
    for (int i = 0; i < 300; ++i) {
      const StepLoad load = random_load(prng);
      model.learn(load, seconds_of(load));
    }
    for (int i = 0; i < 300; ++i) {
      const StepLoad load = random_load(prng);
      model.learn(load, seconds_of(load) / speed);
    }
    EXPECT_NEAR(model.predict(load_of(4, 1000, 30, 500)) * speed, seconds_of(load_of(4, 1000, 30, 500)), 0.003);
  }
}

TEST(StepTimeModel, AnyTimesGiveFinitePartsThatAreNotNegative) {
  Prng prng(1);
  StepTimeModel model;
  for (int i = 0; i < 2000; ++i) {
    model.learn(random_load(prng), static_cast<double>(prng.below(1u << prng.below(30))) * 1e-6);
    for (const double part : model.parts()) {
      EXPECT_TRUE(std::isfinite(part));
      EXPECT_GE(part, 0);
    }
  }
}

TEST(StepTimeModel, LongPrefillsForgetNothingOfDecodes) {
  StepTimeModel model;
  for (int i = 0; i < 50; ++i) model.learn(load_of(4, 100), seconds_of(load_of(4, 100)));
  for (std::uint32_t i = 0; i < 2000; ++i) {
    const StepLoad load = load_of(4, 100 + i, 20, 20 * i);
    model.learn(load, seconds_of(load));
  }
  EXPECT_NEAR(model.predict(load_of(4, 100)), seconds_of(load_of(4, 100)), 0.1 * seconds_of(load_of(4, 100)));
}

PrefillPace learned(const ItlTarget& target, std::uint32_t step_tokens_max = 512) {
  PrefillPace pace(target, step_tokens_max);
  Prng prng(1);
  for (int i = 0; i < 300; ++i) {
    const StepLoad load = random_load(prng);
    pace.learn(load, seconds_of(load));
  }
  pace.learn(load_of(4, 100), seconds_of(load_of(4, 100)));
  return pace;
}

TEST(PrefillPace, WithoutDecodesEverything) {
  EXPECT_EQ(PrefillPace({}, 512).budget({}, 0), 512u);
  EXPECT_EQ(learned({}).budget({}, 5000), 512u);
}

TEST(PrefillPace, BesideDecodesWhatTheTargetAllows) {
  for (const double factor : {2.0, 4.0}) {
    const PrefillPace pace = learned({.factor = factor});
    for (const std::uint32_t position : {0u, 2000u}) {
      const std::uint32_t tokens = pace.budget(load_of(4, 100), position);
      const double allowed = factor * seconds_of(load_of(4, 100));
      EXPECT_LE(seconds_of(load_of(4, 100, tokens, position)), 1.05 * allowed);
      EXPECT_GE(seconds_of(load_of(4, 100, tokens + 1, position)), 0.95 * allowed);
    }
  }
}

TEST(PrefillPace, ATimeIsATargetToo) {
  const PrefillPace pace = learned({.time = std::chrono::milliseconds(20)});
  const std::uint32_t tokens = pace.budget(load_of(4, 100), 0);
  EXPECT_NEAR(seconds_of(load_of(4, 100, tokens)), 0.02, 0.001);
}

TEST(PrefillPace, NeverNothingForLong) {
  const PrefillPace pace = learned({.time = std::chrono::milliseconds(1)});
  EXPECT_EQ(pace.budget(load_of(4, 100), 0), 2u);
}

TEST(PrefillPace, NeverMoreThanTheStepHolds) {
  const PrefillPace pace = learned({.factor = 100}, 64);
  EXPECT_LE(pace.budget(load_of(4, 100), 0), 60u);
  EXPECT_EQ(pace.budget(load_of(64, 100), 0), 0u);
}

TEST(PrefillPace, GrowsByTwoFromSmallBeginnings) {
  PrefillPace pace({.factor = 1000}, 512);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(pace.budget(load_of(1, 10), 0), 0u);  // undisturbed has to be seen first
    pace.learn(load_of(1, 10), 0.01);
  }
  std::uint32_t tokens = pace.budget(load_of(1, 10), 0);
  EXPECT_EQ(tokens, 8u);
  for (int i = 0; i < 3; ++i) {
    pace.learn(load_of(1, 10, tokens), 0.02);
    EXPECT_LE(pace.budget(load_of(1, 10), 0), 2 * tokens);
    tokens = pace.budget(load_of(1, 10), 0);
  }
  EXPECT_EQ(tokens, 64u);
}

TEST(PrefillPace, UndisturbedIsMeasuredNowAndThen) {
  PrefillPace pace = learned({});
  int measured = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::uint32_t tokens = pace.budget(load_of(4, 100), 0);
    measured += tokens == 0;
    pace.learn(load_of(4, 100, tokens), seconds_of(load_of(4, 100, tokens)));
  }
  EXPECT_GE(measured, 10);
  EXPECT_LE(measured, 20);
}

}  // namespace
}  // namespace kvasir::testing
