#include "engine/model/portable_math.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <gtest/gtest.h>

#include "engine/model/rope.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

double between(Prng& prng, double low, double high) {
  return low + (high - low) * static_cast<double>(prng.next() >> 11) * 0x1.0p-53;
}

TEST(PortableMath, ExpIsExactToAFewUlps) {
  Prng prng(1);
  for (int i = 0; i < 200000; ++i) {
    const double x = between(prng, -700, 700);
    ASSERT_NEAR(exp_portable(x) / std::exp(x), 1.0, 1e-15) << x;
  }
  EXPECT_EQ(exp_portable(0.0), 1.0);
  EXPECT_EQ(exp_portable(-709.0), 0.0);
  EXPECT_EQ(exp_portable(-INFINITY), 0.0);
}

TEST(PortableMath, ExpOfFourFloats) {
  Prng prng(5);
  for (int i = 0; i < 100000; ++i) {
    const auto x = static_cast<float>(between(prng, -86, 10));
    const Float4 y = exp_portable(Float4{x, 0.0f, -1e30f, NAN});
    ASSERT_NEAR(y[0] / std::exp(static_cast<double>(x)), 1.0, 3e-7) << x;
    ASSERT_EQ(y[1], 1.0f);
    ASSERT_LT(y[2], 2e-38f);
    ASSERT_LT(y[3], 2e-38f);
  }
}

TEST(PortableMath, LogIsExactToAFewUlps) {
  Prng prng(2);
  for (int i = 0; i < 200000; ++i) {
    const double x = std::exp(between(prng, -80, 80));
    ASSERT_NEAR(log_portable(x), std::log(x), 1e-15 * std::max(1.0, std::fabs(std::log(x)))) << x;
  }
  EXPECT_EQ(log_portable(1.0), 0.0);
}

TEST(PortableMath, SineAndCosine) {
  Prng prng(3);
  for (int i = 0; i < 200000; ++i) {
    const double x = between(prng, 0, i % 2 == 0 ? 10.0 : 1048576.0);
    const SineCosine turn = sine_cosine_portable(x);
    ASSERT_NEAR(turn.sine, std::sin(x), 4e-15) << x;
    ASSERT_NEAR(turn.cosine, std::cos(x), 4e-15) << x;
  }
}

// The bits themselves: the same on every machine, so that stored KV can move between machines.
TEST(PortableMath, BitsAreFixed) {
  std::uint64_t mixed = 0;
  const auto mix = [&](double value) { mixed = mix64(mixed ^ std::bit_cast<std::uint64_t>(value)); };
  Prng prng(4);
  for (int i = 0; i < 10000; ++i) {
    mix(exp_portable(between(prng, -100, 100)));
    mix(log_portable(between(prng, 1e-3, 1e6)));
    const SineCosine turn = sine_cosine_portable(between(prng, 0, 8192));
    mix(turn.sine);
    mix(turn.cosine);
  }
  EXPECT_EQ(mixed, 16388892797779513056ull);
}

TEST(Rope, TableHoldsTurnsOfEveryPosition) {
  const RopeTable table(RopeConfig{.base = 100000.0f}, 8, {}, 9000);
  ASSERT_EQ(table.pairs(), 4u);
  for (const std::uint32_t position : {0u, 1u, 77u, 8999u}) {
    for (std::uint32_t i = 0; i < 4; ++i) {
      const double angle = position * std::pow(100000.0, -2.0 * i / 8);
      EXPECT_NEAR(table.cosines(position)[i], std::cos(angle), 1e-7);
      EXPECT_NEAR(table.sines(position)[i], std::sin(angle), 1e-7);
    }
  }
}

TEST(Rope, GrowsByWhatIsAskedFor) {
  const RopeTable whole(RopeConfig{}, 8, {}, 1000);
  RopeTable grown(RopeConfig{}, 8, {}, 0);
  for (const std::uint32_t positions : {1u, 300u, 299u, 1000u}) {
    grown.extend(positions);
    for (std::uint32_t position = 0; position < positions; ++position) {
      ASSERT_TRUE(std::ranges::equal(grown.cosines(position), whole.cosines(position))) << position;
      ASSERT_TRUE(std::ranges::equal(grown.sines(position), whole.sines(position))) << position;
    }
  }
}

TEST(Rope, LinearScalingStretchesPositions) {
  const RopeTable plain(RopeConfig{}, 16, {}, 100);
  const RopeTable linear(RopeConfig{.scaling = RopeScaling::linear, .factor = 4}, 16, {}, 400);
  for (std::uint32_t position = 0; position < 100; ++position) {
    for (std::uint32_t i = 0; i < 8; ++i) {
      EXPECT_NEAR(linear.cosines(4 * position)[i], plain.cosines(position)[i], 1e-7);
      EXPECT_NEAR(linear.sines(4 * position)[i], plain.sines(position)[i], 1e-7);
    }
  }
}

TEST(Rope, DivisorsDivideFrequencies) {
  const std::vector<float> divisors = {1.0f, 2.0f, 8.0f, 4.0f};
  const RopeTable plain(RopeConfig{}, 8, {}, 64), divided(RopeConfig{}, 8, divisors, 64 * 8);
  for (std::uint32_t position = 0; position < 64; ++position) {
    for (std::uint32_t i = 0; i < 4; ++i) {
      const std::uint32_t later = position * static_cast<std::uint32_t>(divisors[i]);
      EXPECT_NEAR(divided.cosines(later)[i], plain.cosines(position)[i], 1e-7);
    }
  }
}

// The pairs that turn more than beta_fast times within the original context stay, those that turn less than beta_slow
// times are slowed by the factor, and there is a ramp between; all cosines and sines are multiplied.
TEST(Rope, YarnKeepsFastPairsAndStretchesSlowOnes) {
  const RopeConfig yarn{
      .base = 10000, .scaling = RopeScaling::yarn, .factor = 8, .original_context = 2048, .attention_factor = 1.25f};
  constexpr std::uint32_t kDim = 128;
  const RopeTable table(yarn, kDim, {}, 2);
  const double turns_at_zero = 2048 / (2 * M_PI);
  const double low = std::floor(kDim / 2.0 * std::log(turns_at_zero / 32) / std::log(10000.0));
  const double high = std::ceil(kDim / 2.0 * std::log(turns_at_zero) / std::log(10000.0));
  ASSERT_GT(low, 4);
  ASSERT_LT(high, 60);
  for (std::uint32_t i = 0; i < kDim / 2; ++i) {
    const double plain = std::pow(10000.0, -2.0 * i / kDim);
    const double stretched = i <= low ? 0 : i >= high ? 1 : (i - low) / (high - low);
    const double frequency = plain * (1 - stretched) + plain / 8 * stretched;
    EXPECT_NEAR(table.cosines(1)[i], 1.25 * std::cos(frequency), 2e-7) << i;
    EXPECT_NEAR(table.sines(1)[i], 1.25 * std::sin(frequency), 2e-7) << i;
    EXPECT_EQ(table.cosines(0)[i], 1.25f);
  }
}

}  // namespace
}  // namespace kvasir
