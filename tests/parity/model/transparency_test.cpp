// Promise 1, from the engine down: for prompts of 5 to 3,000 tokens, greedy ids and the bits of every step's logits are
// the same cold, from the pool, from disk after a restart, among eight others, for any prefill chunk, on every
// instruction set, for every way to keep KV. On the default model where its file is there, else on a tiny one.
#include "tests/parity/model/transparency.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace kvasir {
namespace {

constexpr std::uint32_t kLengths[] = {5,   8,   13,  31,  32,  33,  64,  65,   100,  128,
                                      150, 200, 256, 300, 400, 500, 700, 1000, 1600, 3000};

constexpr std::uint32_t kFewLengths[] = {5, 33, 128, 300, 1000};

class TransparencyTest : public ::testing::TestWithParam<const char*> {
 protected:
  TransparencyTest() : rig_(model(), lengths(), 512u << 20, GetParam()) {}
  std::span<const std::uint32_t> lengths() const {
    if (full_ || std::string_view(GetParam()) == "f16") return kLengths;
    return kFewLengths;
  }
  std::string model() const {
    const std::string path = testing::default_model_path();
    return path.empty() ? testing::write_tiny_model(folder_ / "tiny.gguf") : path;
  }
  const bool full_ = std::getenv("KVASIR_FULL") != nullptr;
  testing::TempDir folder_;
  testing::TransparencyRig rig_;
};

TEST_P(TransparencyTest, AHitNeverChangesTheAnswer) {
  rig_.expect_that_hits_change_nothing(full_ ? 3000 : 300, folder_ / "store");
}

TEST_P(TransparencyTest, EveryInstructionSetGivesTheSameBits) {
  rig_.expect_that_classes_agree(full_ ? 3000 : 300, 33);
}

INSTANTIATE_TEST_SUITE_P(KvTypes, TransparencyTest, ::testing::Values("f16", "int8"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace kvasir
