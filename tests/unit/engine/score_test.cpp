#include "engine/score.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/cpu/cpu_backends.h"
#include "tests/support/tiny_model.h"

namespace kvasir {
namespace {

using ::testing::HasSubstr;

class ScoreTest : public ::testing::Test {
 protected:
  ScoreTest()
      : bytes_(testing::tiny_model_bytes({})), file_(std::move(*GgufFile::parse(std::as_bytes(std::span(bytes_))))) {
    BackendOptions options;
    options.threads = 1;
    options.pool_bytes = 1u << 20;
    backend_ = std::move(*make_reference_backend(*file_, *read_model_config(*file_), options));
    scorer_.emplace(*backend_);
  }

  std::string bytes_;
  std::unique_ptr<GgufFile> file_;
  std::unique_ptr<Backend> backend_;
  std::optional<Scorer> scorer_;
  const std::vector<TokenId> ids_ = {5, 400, 17, 17, 230, 2, 99};
};

// From the rows that it shows, by the definition.
TEST_F(ScoreTest, MeanNllAndTopFollowFromTheLogits) {
  ScoreOptions options;
  options.top = 3;
  std::vector<std::vector<double>> probabilities;
  options.each_row = [&](std::uint32_t position, std::span<const float> logits) {
    EXPECT_EQ(position, probabilities.size());
    std::vector<double>& p = probabilities.emplace_back();
    double sum = 0;
    for (const float logit : logits) sum += p.emplace_back(std::exp(static_cast<double>(logit)));
    for (double& value : p) value /= sum;
  };
  const auto score = scorer_->score(ids_, options);
  ASSERT_TRUE(score) << score.error().message;
  ASSERT_EQ(probabilities.size(), ids_.size());
  double nll = 0;
  for (std::size_t i = 1; i < ids_.size(); ++i)
    nll -= std::log(probabilities[i - 1][static_cast<std::size_t>(ids_[i])]);
  EXPECT_NEAR(*score->mean_nll, nll / static_cast<double>(ids_.size() - 1), 1e-9);
  const std::vector<double>& last = probabilities.back();
  ASSERT_EQ(score->top.size(), 3u);
  EXPECT_EQ(score->top[0].first, std::max_element(last.begin(), last.end()) - last.begin());
  for (const auto& [id, logprob] : score->top) EXPECT_NEAR(logprob, std::log(last[static_cast<std::size_t>(id)]), 1e-9);
  EXPECT_GE(score->top[0].second, score->top[1].second);
}

TEST_F(ScoreTest, GreedyIdsAreTheBestOfEachStep) {
  ScoreOptions options;
  options.greedy = 12;
  const auto score = scorer_->score(ids_, options);
  ASSERT_TRUE(score);
  ASSERT_EQ(score->greedy_ids.size(), 12u);
  std::vector<TokenId> sequence = ids_;
  for (const TokenId id : score->greedy_ids) {
    EXPECT_EQ(scorer_->score(sequence, {})->top[0].first, id);
    sequence.push_back(id);
  }
}

TEST_F(ScoreTest, ChunksChangeNothing) {
  ScoreOptions options;
  options.greedy = 5;
  const Score whole = *scorer_->score(ids_, options);
  for (const std::uint32_t chunk : {1u, 3u, 7u}) {
    options.chunk_tokens = chunk;
    const Score score = *scorer_->score(ids_, options);
    EXPECT_EQ(score.mean_nll, whole.mean_nll);
    EXPECT_EQ(score.top, whole.top);
    EXPECT_EQ(score.greedy_ids, whole.greedy_ids);
  }
}

TEST_F(ScoreTest, ASingleIdHasNoNll) {
  const auto score = scorer_->score(std::vector<TokenId>{5}, {});
  ASSERT_TRUE(score);
  EXPECT_FALSE(score->mean_nll);
  EXPECT_EQ(score->top.size(), 20u);
  EXPECT_TRUE(score->greedy_ids.empty());
}

TEST_F(ScoreTest, NamesWhatCannotBeScored) {
  EXPECT_EQ(scorer_->score({}, {}).error().message, "ids is empty");
  EXPECT_EQ(scorer_->score(std::vector<TokenId>{512}, {}).error().message, "id 512 is not in 0 .. 511");
  EXPECT_EQ(scorer_->score(std::vector<TokenId>{-1}, {}).error().message, "id -1 is not in 0 .. 511");
  const std::vector<TokenId> room(backend_->info().context_tokens, 7);
  ScoreOptions options;
  options.greedy = 1;
  const auto score = scorer_->score(room, options);
  ASSERT_FALSE(score);
  EXPECT_EQ(score.error().code, ErrorCode::too_large);
  EXPECT_THAT(score.error().message, HasSubstr("do not fit in"));
}

}  // namespace
}  // namespace kvasir
