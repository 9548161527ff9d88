// Promise 1 for every family of models, on tiny ones: transparency_test.cpp says what. Prompts reach past the sliding
// windows, also of windows wider than a segment of softmax.
#include <algorithm>
#include <cctype>
#include <cstdlib>

#include <gtest/gtest.h>

#include "tests/parity/model/transparency.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace kvasir {
namespace {

using testing::TinyFamily;

constexpr std::uint32_t kLengths[] = {5, 33, 64, 100, 150, 300, 600};

std::vector<TinyFamily> families() {
  std::vector<TinyFamily> all = testing::tiny_families();
  all.push_back(*std::ranges::find_if(all, [](const TinyFamily& f) { return f.spec.architecture == "gemma3"; }));
  all.back().name += " wide window";
  all.back().spec.sliding_window = 200;
  for (TinyFamily& family : all) family.spec.head_dim = (family.spec.head_dim + 15) / 16 * 16;  // what kernels take
  return all;
}

class TransparencyFamiliesTest : public ::testing::TestWithParam<std::tuple<TinyFamily, const char*>> {
 protected:
  TransparencyFamiliesTest()
      : rig_(testing::write_tiny_model(folder_ / "tiny.gguf", std::get<0>(GetParam()).spec), kLengths, 32u << 20,
             std::get<1>(GetParam())) {}
  const bool full_ = std::getenv("KVASIR_FULL") != nullptr;
  testing::TempDir folder_;
  testing::TransparencyRig rig_;
};

TEST_P(TransparencyFamiliesTest, AHitNeverChangesTheAnswer) {
  rig_.expect_that_hits_change_nothing(full_ ? 600 : 150, folder_ / "store");
}

TEST_P(TransparencyFamiliesTest, EveryInstructionSetGivesTheSameBits) {
  rig_.expect_that_classes_agree(600, full_ ? 600 : 64);
}

INSTANTIATE_TEST_SUITE_P(Families, TransparencyFamiliesTest,
                         ::testing::Combine(::testing::ValuesIn(families()), ::testing::Values("f16", "int8")),
                         [](const auto& test) {
                           std::string name = std::get<0>(test.param).name + std::get<1>(test.param);
                           std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
                           return name;
                         });

}  // namespace
}  // namespace kvasir
