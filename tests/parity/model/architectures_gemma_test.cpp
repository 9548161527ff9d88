// The real Gemma 3 270M (Q4_K_M: Q5_0, Q4_K, Q6_K, Q8_0) on the reference backend, against what Transformers computes
// in fp32 with the same dequantized weights (tests/golden/gemma3_270m.jsonl, made by tools/golden/gemma3.py).
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>

#include <gtest/gtest.h>

#include "engine/cpu/cpu_backends.h"
#include "engine/score.h"
#include "tests/parity/model/truth.h"
#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

void expect_row(Scorer& scorer, const parity::TruthRow& row) {
  const auto start = std::chrono::steady_clock::now();
  ScoreOptions options;
  options.greedy = static_cast<std::uint32_t>(row.greedy_ids.size());
  const auto score = scorer.score(row.prompt_ids, options);
  ASSERT_TRUE(score) << score.error().message;
  double largest = 0;
  ASSERT_EQ(score->top.size(), row.first_top.size());
  for (std::size_t i = 0; i < row.first_top.size(); ++i)
    largest = std::max(largest, std::fabs(score->top[i].second - row.first_top[i].logprob));
  std::cout << row.name << ": " << row.prompt_ids.size() << " tokens, "
            << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() << " s; top-20 error "
            << largest << ", NLL error " << std::fabs(*score->mean_nll - row.mean_nll) << "\n";
  EXPECT_EQ(score->top[0].first, row.first_top[0].id);
  EXPECT_LE(largest, 1e-3);
  EXPECT_NEAR(*score->mean_nll, row.mean_nll, 1e-4);
  for (std::size_t i = 0; i < row.greedy_ids.size() && row.greedy_margin[i] >= 0.01; ++i)
    ASSERT_EQ(score->greedy_ids[i], row.greedy_ids[i]) << row.name << " step " << i;
}

TEST(GemmaParity, ReferenceEqualsFullPrecision) {
  const std::string path = testing::gemma_model_path();
  if (path.empty()) GTEST_SKIP() << "Gemma 3 270M was not fetched";
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto config = read_model_config(**file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->sliding_window, 512u);
  EXPECT_EQ(config->global_interval, 6u);
  BackendOptions options;
  options.threads = 2;
  options.pool_bytes = 256u << 20;
  const auto backend = make_reference_backend(**file, *config, options);
  ASSERT_TRUE(backend) << backend.error().message;
  Scorer scorer(**backend);
  for (const parity::TruthRow& row :
       parity::read_truth(std::string(KVASIR_SOURCE_DIR) + "/tests/golden/gemma3_270m.jsonl")) {
    if (row.prompt_ids.size() < config->sliding_window || std::getenv("KVASIR_FULL") != nullptr)
      expect_row(scorer, row);
  }
}

}  // namespace
}  // namespace kvasir
