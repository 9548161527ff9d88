// The real Gemma 3 270M (Q4_K_M: Q4_K, Q5_0, Q6_K, Q8_0; windows, 262,144 tokens) on the cpu backend: near what
// Transformers computes in full precision, keys and values that f16 holds, and promise 1 past its window of 512.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iostream>

#include <gtest/gtest.h>

#include "engine/model/dequantize.h"
#include "engine/score.h"
#include "tests/parity/model/transparency.h"
#include "tests/parity/model/truth.h"
#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

// Sanitizers and debug builds take tens of times longer, and the tiny models do the same there.
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr bool kSlowBuild = false;
#else
constexpr bool kSlowBuild = true;
#endif

class GemmaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (testing::gemma_model_path().empty()) GTEST_SKIP() << "Gemma 3 270M was not fetched";
    if (kSlowBuild) GTEST_SKIP() << "too slow in this build";
  }
};

// The greatest magnitude among the f16 values of some blocks.
float largest_half(BlockMemory& memory, std::uint32_t blocks) {
  float largest = 0;
  for (std::uint32_t b = 0; b < blocks; ++b) {
    const std::span<std::byte> bytes = memory.bytes(BlockId(b));
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
      std::uint16_t half;
      std::memcpy(&half, &bytes[i], sizeof half);
      largest = std::max(largest, std::fabs(f16_to_f32(half)));
    }
  }
  return largest;
}

// int8 activations move the mean NLL by about a percent, and greedy ids only where the truth was undecided.
TEST_F(GemmaTest, CpuIsCloseToFullPrecision) {
  const auto file = GgufFile::open(testing::gemma_model_path()).value();
  BackendOptions options;
  options.threads = 2;
  options.pool_bytes = 64u << 20;
  const auto backend = make_cpu_backend(*file, read_model_config(*file).value(), options).value();
  Scorer scorer(*backend);
  for (const parity::TruthRow& row :
       parity::read_truth(std::string(KVASIR_SOURCE_DIR) + "/tests/golden/gemma3_270m.jsonl")) {
    ScoreOptions wanted;
    wanted.greedy = static_cast<std::uint32_t>(row.greedy_ids.size());
    const Score score = scorer.score(row.prompt_ids, wanted).value();
    const auto blocks = static_cast<std::uint32_t>(row.prompt_ids.size()) / backend->info().block_tokens;
    const float largest = largest_half(backend->memory(), blocks);
    std::cout << row.name << ": NLL " << *score.mean_nll << ", truth " << row.mean_nll << "; largest K or V " << largest
              << "\n";
    EXPECT_NEAR(*score.mean_nll / row.mean_nll, 1.0, 0.02) << row.name;
    EXPECT_LT(largest, 6000.0f) << row.name;  // f16 ends at 65,504
    for (std::size_t i = 0; i < row.greedy_ids.size() && row.greedy_margin[i] >= 0.5; ++i)
      ASSERT_EQ(score.greedy_ids[i], row.greedy_ids[i]) << row.name << " step " << i;
  }
}

TEST_F(GemmaTest, AHitNeverChangesTheAnswer) {
  constexpr std::uint32_t kLengths[] = {7, 40, 700};
  testing::TempDir folder;
  testing::TransparencyRig rig(testing::gemma_model_path(), kLengths, 64u << 20);
  rig.expect_that_hits_change_nothing(40, folder / "store");
  rig.expect_that_classes_agree(40, 7);
}

}  // namespace
}  // namespace kvasir
