// The promise of equal bits on the default model: more layers, real weights, long contexts. Skipped without the file.
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/unit/cpu/backend_driver.h"

namespace kvasir {
namespace {

using testing::BackendDriver;
using testing::bits_of;
using testing::random_ids;

// Sanitizers and debug builds take tens of times longer; there the first class does.
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr bool kSlowBuild = false;
#else
constexpr bool kSlowBuild = true;
#endif

class RealModelTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (testing::default_model_path().empty()) GTEST_SKIP() << "the default model's file is not there";
    if (kSlowBuild && GetParam() != available_kernel_classes().front()) GTEST_SKIP() << "too slow in this build";
  }
  static BackendOptions options(const std::string& kernel_class) {
    BackendOptions o;
    o.threads = 2;
    o.pool_bytes = 32 << 20;
    o.kernel_class = kernel_class;
    return o;
  }
  // Logits of the last position, after chunks of `chunk` tokens.
  static std::string last_logits(BackendDriver& driver, std::span<const TokenId> ids, std::size_t chunk,
                                 std::uint32_t first_block) {
    std::string bits;
    for (std::size_t at = 0; at < ids.size(); at += chunk) {
      Batch batch;
      const std::size_t end = std::min(at + chunk, ids.size());
      batch.sequences.push_back(
          driver.input(ids.first(end), at, first_block, end == ids.size() ? LogitsWanted::last : LogitsWanted::none));
      bits = bits_of(driver.run(std::move(batch)).sequences[0].logits);
    }
    return bits;
  }
};

TEST_P(RealModelTest, BitsDependOnTheIdsAlone) {
  static std::string logits, kv;  // of the first class, for the others
  const bool scalar = GetParam() == "scalar";
  const std::size_t length = scalar || kSlowBuild ? 40 : 300;
  BackendDriver driver(testing::default_model_path(), options(GetParam()));
  const std::vector<TokenId> ids = random_ids(300, driver.info().vocabulary, 11);
  const std::span<const TokenId> prompt = std::span(ids).first(length);
  const std::string own = last_logits(driver, prompt, 512, 0);
  const std::string own_kv = driver.full_blocks(length);
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{32}, std::size_t{128}}) {
    if (scalar && chunk != 32) continue;
    EXPECT_EQ(last_logits(driver, prompt, chunk, 20), own) << chunk;
    EXPECT_EQ(driver.full_blocks(length, 20), own_kv) << chunk;
  }
  if (logits.empty()) {
    logits = own;
    kv = own_kv;
  }
  EXPECT_EQ(own_kv, kv.substr(0, own_kv.size()));  // a shorter prompt's blocks are the first of a longer one's
  if (length == 300) {
    EXPECT_EQ(own, logits);
  }
}

INSTANTIATE_TEST_SUITE_P(Classes, RealModelTest, ::testing::ValuesIn(available_kernel_classes()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace kvasir
