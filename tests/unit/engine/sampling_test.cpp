#include "engine/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/prng.h"

namespace kvasir {
namespace {

using ::testing::ElementsAre;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

SampledToken draw(std::span<const float> logits, const SamplingParams& params, std::uint32_t position = 0,
                  std::vector<TokenId> history = {}, std::uint32_t prompt_tokens = 0) {
  return sample(logits, params, history, prompt_tokens, position);
}

SamplingParams greedy() {
  SamplingParams params;
  params.temperature = 0;
  return params;
}

// How often each token is drawn at `count` positions.
std::vector<std::uint32_t> counts_of(std::span<const float> logits, const SamplingParams& params, std::uint32_t count) {
  std::vector<std::uint32_t> counts(logits.size());
  for (std::uint32_t i = 0; i < count; ++i) ++counts[static_cast<std::size_t>(draw(logits, params, i).id)];
  return counts;
}

// Pearson's statistic against the probabilities; what has none must not occur.
double chi_square(const std::vector<std::uint32_t>& counts, const std::vector<double>& probabilities) {
  double draws = 0, sum = 0;
  for (const std::uint32_t count : counts) draws += count;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = probabilities[i] * draws;
    if (expected == 0) {
      EXPECT_EQ(counts[i], 0u) << i;
    } else {
      sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
  }
  return sum;
}

std::vector<double> softmax(std::span<const float> logits, double temperature = 1) {
  std::vector<double> p;
  double sum = 0;
  for (const float logit : logits) sum += p.emplace_back(std::exp(logit / temperature));
  for (double& value : p) value /= sum;
  return p;
}

// Zero for what is not kept, the rest scaled to one.
std::vector<double> only(std::vector<double> p, std::initializer_list<std::size_t> kept) {
  std::vector<double> out(p.size());
  double sum = 0;
  for (const std::size_t i : kept) sum += p[i];
  for (const std::size_t i : kept) out[i] = p[i] / sum;
  return out;
}

const std::vector<float> kLogits = {0.5f, 2.0f, -1.0f, 1.5f, 0.0f, 1.0f};
constexpr std::uint32_t kDraws = 40000;
constexpr double kChiSquareMax = 20.5;  // five degrees of freedom, one in a thousand

TEST(Sampling, GreedyTakesTheLargestAndTheLowestOfEqualIds) {
  EXPECT_EQ(draw(kLogits, greedy()).id, 1);
  EXPECT_EQ(draw(std::vector<float>{1, 3, 3, 2}, greedy()).id, 1);
  std::vector<float> many(1000, -2.0f);
  many[997] = many[998] = 7.0f;
  EXPECT_EQ(draw(many, greedy()).id, 997);
}

TEST(Sampling, DrawsFromTheSoftmax) {
  for (const float temperature : {1.0f, 0.5f, 3.0f}) {
    SamplingParams params;
    params.temperature = temperature;
    EXPECT_LT(chi_square(counts_of(kLogits, params, kDraws), softmax(kLogits, temperature)), kChiSquareMax)
        << temperature;
  }
}

TEST(Sampling, DifferentSeedsDrawDifferently) {
  SamplingParams a, b;
  a.seed = 1, b.seed = 2;
  int equal = 0;
  for (std::uint32_t i = 0; i < 1000; ++i) equal += draw(kLogits, a, i).id == draw(kLogits, b, i).id;
  EXPECT_LT(equal, 500);  // about 290 by chance
}

TEST(Sampling, TopKKeepsTheBest) {
  SamplingParams params;
  params.top_k = 3;
  EXPECT_LT(chi_square(counts_of(kLogits, params, kDraws), only(softmax(kLogits), {1, 3, 5})), kChiSquareMax);
  params.top_k = 1;
  EXPECT_EQ(counts_of(kLogits, params, 100)[1], 100u);
  params.top_k = 1000;
  EXPECT_LT(chi_square(counts_of(kLogits, params, kDraws), softmax(kLogits)), kChiSquareMax);
  params.top_k = 2;  // of equal logits the lower ids
  const auto counts = counts_of(std::vector<float>{1, 1, 1, 1}, params, 1000);
  EXPECT_EQ(counts[0] + counts[1], 1000u);
}

TEST(Sampling, TopPKeepsTheFewestThatReachIt) {
  // The best are 1 and 3 with 0.42 and 0.25: together they reach 0.65, 1 alone 0.4.
  SamplingParams params;
  params.top_p = 0.65f;
  EXPECT_LT(chi_square(counts_of(kLogits, params, kDraws), only(softmax(kLogits), {1, 3})), kChiSquareMax);
  params.top_p = 0.4f;
  EXPECT_EQ(counts_of(kLogits, params, 100)[1], 100u);
  params.top_p = 0.0f;
  EXPECT_EQ(counts_of(kLogits, params, 100)[1], 100u);
}

TEST(Sampling, TopPComesAfterTopK) {
  SamplingParams params;
  params.top_k = 2;     // of ids 1 and 3: 0.62 and 0.38
  params.top_p = 0.6f;  // of all ids it would keep both
  EXPECT_EQ(counts_of(kLogits, params, 200)[1], 200u);
}

TEST(Sampling, MinPIsRelativeToTheBest) {
  SamplingParams params;
  params.min_p = 0.3f;  // exp(-0.5) and exp(-1) pass, exp(-1.5) does not
  EXPECT_LT(chi_square(counts_of(kLogits, params, kDraws), only(softmax(kLogits), {1, 3, 5})), kChiSquareMax);
  params.min_p = 1.0f;
  EXPECT_EQ(counts_of(kLogits, params, 100)[1], 100u);
}

TEST(Sampling, BiasIsAddedAndCanForbidOrForce) {
  SamplingParams params = greedy();
  params.logit_bias = {{1, -100.0f}, {4, 1.6f}, {700, 5.0f}};
  EXPECT_EQ(draw(kLogits, params).id, 4);
  params = {};
  params.logit_bias = {{2, 100.0f}};
  EXPECT_EQ(counts_of(kLogits, params, 100)[2], 100u);
  params.logit_bias = {{1, -kInfinity}, {3, -kInfinity}};
  EXPECT_LT(chi_square(counts_of(kLogits, params, kDraws), only(softmax(kLogits), {0, 2, 4, 5})), kChiSquareMax);
}

TEST(Sampling, PresenceAndFrequencyCountGeneratedTokensOnly) {
  SamplingParams params = greedy();
  params.presence_penalty = 0.6f;
  EXPECT_EQ(draw(kLogits, params, 2, {1, 1}, 2).id, 1);  // in the prompt
  EXPECT_EQ(draw(kLogits, params, 2, {1, 1}, 1).id, 3);  // generated once: 1.4 against 1.5
  params = greedy();
  params.frequency_penalty = 0.4f;
  EXPECT_EQ(draw(kLogits, params, 2, {0, 1}, 1).id, 1);     // 1.6 against 1.5
  EXPECT_EQ(draw(kLogits, params, 3, {0, 1, 1}, 1).id, 3);  // 1.2 against 1.5
}

TEST(Sampling, RepetitionCountsPromptTooAndPushesDownBothSigns) {
  SamplingParams params = greedy();
  params.repetition_penalty = 2.0f;
  EXPECT_EQ(draw(kLogits, params, 1, {1}, 1).id, 3);                               // 2.0 becomes 1.0
  EXPECT_EQ(draw(std::vector<float>{-1.0f, -1.5f}, params, 1, {0}, 1).id, 1);      // -1 becomes -2
  EXPECT_EQ(draw(std::vector<float>{3.0f, 1.4f}, params, 3, {0, 0, 0}, 0).id, 0);  // once, however often it occurs
}

TEST(Sampling, LogprobsAreTheModelsOwn) {
  SamplingParams params;
  params.temperature = 0.3f, params.top_k = 1, params.want_logprobs = true, params.logprobs = 3;
  params.logit_bias = {{2, 100.0f}};
  const SampledToken token = draw(kLogits, params);
  const std::vector<double> p = softmax(kLogits);
  EXPECT_EQ(token.id, 2);
  EXPECT_NEAR(token.logprob, std::log(p[2]), 1e-6);
  ASSERT_EQ(token.top.size(), 3u);
  EXPECT_EQ(token.top[0].id, 1);
  EXPECT_EQ(token.top[1].id, 3);
  EXPECT_EQ(token.top[2].id, 5);
  for (const TokenLogprob& top : token.top)
    EXPECT_NEAR(top.logprob, std::log(p[static_cast<std::size_t>(top.id)]), 1e-6);
  params.want_logprobs = false;
  EXPECT_EQ(draw(kLogits, params).logprob, 0.0f);
  EXPECT_TRUE(draw(kLogits, params).top.empty());
}

TEST(Sampling, LogprobsOfEqualTokensComeByIdAndNoneIsNone) {
  SamplingParams params = greedy();
  params.want_logprobs = true;
  EXPECT_TRUE(draw(kLogits, params).top.empty());
  EXPECT_NEAR(draw(kLogits, params).logprob, std::log(softmax(kLogits)[1]), 1e-6);
  params.logprobs = 20;
  const SampledToken token = draw(std::vector<float>{2, 2, 2}, params);
  ASSERT_EQ(token.top.size(), 3u);
  EXPECT_EQ(token.top[0].id, 0);
  EXPECT_EQ(token.top[2].id, 2);
  EXPECT_NEAR(token.logprob, std::log(1.0 / 3), 1e-6);
}

// A sequence continues the same whatever was drawn before, and in whatever order positions are drawn.
TEST(Sampling, IsAFunctionOfItsArguments) {
  Prng prng(5);
  std::vector<float> logits(500);
  for (float& logit : logits) logit = static_cast<float>(prng.below(1000)) / 100.0f;
  SamplingParams params;
  params.top_p = 0.9f, params.top_k = 100, params.min_p = 0.01f, params.seed = 17, params.frequency_penalty = 0.1f;
  const std::vector<TokenId> history = {3, 9, 9, 27};
  std::vector<TokenId> forward, backward;
  for (std::uint32_t i = 0; i < 200; ++i) forward.push_back(sample(logits, params, history, 1, i).id);
  for (std::uint32_t i = 200; i-- > 0;) backward.insert(backward.begin(), sample(logits, params, history, 1, i).id);
  EXPECT_EQ(forward, backward);
}

// Softmax, sort, cut, draw, in double and without a shortcut; the token of the same uniform number.
TokenId naive_sample(std::span<const float> logits, const SamplingParams& params, double uniform) {
  const std::vector<double> p = softmax(logits, params.temperature);
  std::vector<std::size_t> order(p.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < order.size()) {
    order.resize(static_cast<std::size_t>(params.top_k));
  }
  std::erase_if(order, [&](std::size_t i) { return p[i] < params.min_p * p[order[0]] * (1 - 1e-9); });
  double total = 0, sum = 0;
  for (const std::size_t i : order) total += p[i];
  std::size_t kept = 0;
  while (kept < order.size() && (kept == 0 || sum < params.top_p * total)) sum += p[order[kept++]];
  order.resize(kept);
  std::sort(order.begin(), order.end());
  double left = uniform * sum;
  for (const std::size_t i : order) {
    left -= p[i];
    if (left < 0) return static_cast<TokenId>(i);
  }
  return static_cast<TokenId>(order.back());
}

TEST(Sampling, AgreesWithANaiveSampler) {
  Prng prng(21);
  std::uint32_t different = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<float> logits(1 + prng.below(3000));
    const double spread = 0.5 + static_cast<double>(prng.below(10));
    for (float& logit : logits) logit = static_cast<float>(spread * static_cast<double>(prng.below(2000)) / 1000);
    SamplingParams params;
    params.seed = static_cast<std::uint64_t>(round);
    params.temperature = 0.2f + static_cast<float>(prng.below(20)) / 10;
    if (prng.chance(50)) params.top_p = 0.05f + static_cast<float>(prng.below(95)) / 100;
    if (prng.chance(50)) params.top_k = static_cast<std::int32_t>(1 + prng.below(200));
    if (prng.chance(30)) params.min_p = 0.01f + static_cast<float>(prng.below(50)) / 100;
    for (std::uint32_t i = 0; i < 50; ++i) {
      different += draw(logits, params, i).id != naive_sample(logits, params, uniform_double(params.seed, i));
    }
  }
  EXPECT_LE(different, 5u);  // of 10,000: where rounding moves a border past the draw
}

TEST(Sampling, SurvivesLogitsThatAreNoNumbers) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  SamplingParams params;
  params.want_logprobs = true, params.logprobs = 2;
  EXPECT_EQ(draw(std::vector<float>{nan, 1.0f, nan}, greedy()).id, 1);
  EXPECT_EQ(draw(std::vector<float>{nan, 1.0f, nan}, params).id, 1);
  EXPECT_EQ(draw(std::vector<float>{nan, nan}, params).id, 0);
  EXPECT_EQ(draw(std::vector<float>{-kInfinity, -kInfinity}, params).id, 0);
  EXPECT_EQ(draw(std::vector<float>{0.0f, kInfinity}, params).id, 1);
}

TEST(Sampling, ExtremeTemperatures) {
  SamplingParams params;
  params.temperature = 1e-6f;
  EXPECT_EQ(counts_of(kLogits, params, 100)[1], 100u);
  params.temperature = 2.0f;
  const std::vector<float> wide = {0.0f, -1e30f, 1e-3f};
  EXPECT_EQ(counts_of(wide, params, 1000)[1], 0u);
}

}  // namespace
}  // namespace kvasir
