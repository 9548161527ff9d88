#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>

#include "engine/cpu/cpu_backends.h"
#include "engine/score.h"
#include "tests/parity/model/truth.h"
#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

using parity::TruthRow;

bool full() { return std::getenv("KVASIR_FULL") != nullptr; }

// The default model and the truth about it, or a reason to skip.
class LogitsParity : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    rows_ = parity::load_truth(why);
    if (rows_.empty()) GTEST_SKIP() << why;
    auto file = GgufFile::open(testing::default_model_path());
    ASSERT_TRUE(file) << file.error().message;
    file_ = std::move(*file);
    auto config = read_model_config(*file_);
    ASSERT_TRUE(config) << config.error().message;
    config_ = *config;
  }

  std::unique_ptr<Backend> make(bool reference) {
    const auto make_backend = reference ? make_reference_backend : make_reference_backend;
    BackendOptions options;
    options.threads = 2;
    auto backend = make_backend(*file_, config_, options);
    KVASIR_ASSERT(backend.ok());
    return std::move(*backend);
  }

  std::unique_ptr<GgufFile> file_;
  ModelConfig config_;
  std::vector<TruthRow> rows_;
};

double largest_top_error(const TruthRow& row, const std::vector<float>& last) {
  const double normalizer = log_sum_exp(last);
  double largest = 0;
  for (const auto& [id, logprob] : row.first_top) {
    largest = std::max(largest, std::fabs(last[static_cast<std::size_t>(id)] - normalizer - logprob));
  }
  return largest;
}

// The first greedy step at which the truth's margin is below `margin`: what an engine with an error may change.
std::size_t steps_above(const TruthRow& row, double margin) {
  std::size_t step = 0;
  while (step < row.greedy_margin.size() && row.greedy_margin[step] >= margin) ++step;
  return step;
}

void expect_same_greedy(const TruthRow& row, const Score& score, double margin) {
  for (std::size_t i = 0; i < std::min(steps_above(row, margin), score.greedy_ids.size()); ++i) {
    ASSERT_EQ(score.greedy_ids[i], row.greedy_ids[i]) << row.name << " step " << i;
  }
}

TEST_F(LogitsParity, ReferenceEqualsFullPrecision) {
  const auto backend = make(true);
  Scorer scorer(*backend);
  for (const TruthRow& row : rows_) {
    if (row.prompt_ids.size() > 500 && !full()) continue;
    ScoreOptions options;
    options.greedy = full() ? 64 : 16;
    std::vector<float> last;
    options.each_row = [&](std::uint32_t, std::span<const float> logits) { last.assign(logits.begin(), logits.end()); };
    const auto start = std::chrono::steady_clock::now();
    const auto score = scorer.score(row.prompt_ids, options);
    ASSERT_TRUE(score) << score.error().message;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double top_error = largest_top_error(row, last), nll_error = std::fabs(*score->mean_nll - row.mean_nll);
    std::cout << row.name << ": " << row.prompt_ids.size() << " tokens, top-20 error " << top_error << ", NLL error "
              << nll_error << ", " << seconds << " s\n";
    EXPECT_LE(top_error, 1e-3) << row.name;
    EXPECT_LE(nll_error, 1e-4) << row.name;
    expect_same_greedy(row, *score, 0.01);
  }
}

}  // namespace
}  // namespace kvasir
