// The promises of the cpu backend for every family of models, on tiny ones: near the reference, and bits that depend on
// the ids of a sequence alone: not on the kernel class, the chunks, the neighbours or the threads.
#include <algorithm>
#include <cctype>
#include <map>
#include <utility>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/unit/cpu/backend_driver.h"

namespace kvasir {
namespace {

using testing::BackendDriver;
using testing::bits_of;
using testing::random_ids;
using testing::relative_error;
using testing::TinyFamily;
using testing::TinyModelSpec;

// The families, with heads that this backend takes, and Gemma's window also wider than a segment
// of softmax.
std::vector<TinyFamily> families() {
  std::vector<TinyFamily> all = testing::tiny_families();
  for (TinyFamily& family : all) {
    family.spec.head_dim = (family.spec.head_dim + 15) / 16 * 16;
    if (testing::tiny_block_elements(family.spec.matrices) == 1) family.spec.embedding = family.spec.matrices;
  }
  for (const std::uint32_t window : {128u, 200u}) {
    all.push_back(*std::ranges::find_if(all, [](const TinyFamily& f) { return f.spec.architecture == "gemma3"; }));
    all.back().name += " with a window of " + std::to_string(window);
    all.back().spec.sliding_window = window;
    all.back().spec.layers = 2;
  }
  return all;
}

std::vector<TinyFamily> families_with_windows() {
  std::vector<TinyFamily> some = families();
  std::erase_if(some, [](const TinyFamily& f) { return f.spec.architecture != "gemma3"; });
  return some;
}

std::string name_of(const ::testing::TestParamInfo<TinyFamily>& test) {
  std::string name = test.param.name;
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
}

class CpuFamiliesTest : public ::testing::TestWithParam<TinyFamily> {
 protected:
  CpuFamiliesTest() : path_(testing::write_tiny_model(dir_ / "m.gguf", GetParam().spec)) {}
  static BackendOptions options(const std::string& kernel_class, std::uint32_t threads = 2) {
    BackendOptions o;
    o.threads = threads;
    o.pool_bytes = 12 << 20;
    o.kernel_class = kernel_class;
    return o;
  }
  const TinyModelSpec& spec() const { return GetParam().spec; }

  testing::TempDir dir_;
  const std::string path_;
};

// int8 activations cost a few percent of a random model's logits, bf16 ones a percent; f16 KV a thousandth.
constexpr double kInt8Error = 0.05, kBf16Error = 0.02, kF16Error = 0.002;

TEST_P(CpuFamiliesTest, ClassesOfANumericsIdGiveTheSameBitsNearTheReference) {
  const std::size_t tokens = std::max(100u, spec().sliding_window + 60);
  const std::vector<TokenId> ids = random_ids(tokens, spec().vocabulary, 8);
  const std::vector<float> truth =
      BackendDriver(path_, options(""), BackendDriver::Kind::reference).prefill(ids, tokens);
  const bool float_weights = testing::tiny_block_elements(spec().matrices) == 1;
  std::map<std::string, std::pair<std::string, std::string>> by_numerics;  // logits and KV
  for (const std::string& kernel_class : available_kernel_classes()) {
    BackendDriver driver(path_, options(kernel_class));
    const std::vector<float> own = driver.prefill(ids, 70);
    const std::string kv = driver.full_blocks(tokens);
    const std::string& numerics = driver.info().numerics_id;
    const auto& expected = by_numerics.try_emplace(numerics, bits_of(own), kv).first->second;
    EXPECT_TRUE(bits_of(own) == expected.first) << kernel_class;
    EXPECT_TRUE(kv == expected.second) << kernel_class;
    const double float_error = numerics == "cpu.1" ? kF16Error : kBf16Error;
    EXPECT_LT(relative_error(own, truth), float_weights ? float_error : kInt8Error) << kernel_class;
  }
  EXPECT_LE(by_numerics.size(), spec().matrices == testing::TinyType::bf16 ? 2u : 1u);
}

TEST_P(CpuFamiliesTest, ChunksAndThreadsChangeNothing) {
  const std::vector<TokenId> ids = random_ids(530, spec().vocabulary, 1);
  std::string logits, kv;
  for (const std::uint32_t threads : {2u, 1u, 3u}) {
    BackendDriver driver(path_, options("", threads));
    for (const std::size_t chunk : {530u, 1u, 7u, 32u, 128u}) {
      if (threads != 2 && chunk != 128) continue;
      const std::string own = bits_of(driver.prefill(ids, chunk, 20));
      if (logits.empty()) logits = own, kv = driver.full_blocks(ids.size(), 20);
      EXPECT_EQ(own, logits) << chunk << " " << threads;
      EXPECT_EQ(driver.full_blocks(ids.size(), 20), kv) << chunk << " " << threads;
    }
  }
}

TEST_P(CpuFamiliesTest, NeighboursInTheBatchChangeNothing) {
  BackendDriver driver(path_, options(""));
  std::vector<std::vector<TokenId>> sequences;
  std::vector<std::string> alone;
  for (std::uint32_t i = 0; i < 5; ++i) {
    sequences.push_back(random_ids(1 + 77 * i, driver.info().vocabulary, 10 + i));
    alone.push_back(bits_of(driver.prefill(sequences[i], 64)));
  }
  Batch batch;
  for (std::uint32_t i = 0; i < 5; ++i)
    batch.sequences.push_back(driver.input(sequences[i], 0, 12 * i, LogitsWanted::all));
  const BatchResult result = driver.run(std::move(batch));
  for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ(bits_of(result.sequences[i].logits), alone[i]) << i;
}

class CpuWindowsTest : public CpuFamiliesTest {};

// What a window hides changes nothing, what it shows does.
TEST_P(CpuWindowsTest, LocalLayersSeeTheirWindowAndNoMore) {
  TinyModelSpec one = spec();
  one.layers = 1;  // one local layer: the last position sees `window` tokens
  BackendDriver driver(testing::write_tiny_model(dir_ / "one.gguf", one), options(""));
  std::vector<TokenId> ids = random_ids(one.sliding_window + 150, one.vocabulary, 5);
  const auto last = [&] {
    const std::vector<float> all = driver.prefill(ids, 64);
    return bits_of(std::span(all).last(driver.info().vocabulary));
  };
  const std::string truth = last();
  const std::size_t first_seen = ids.size() - one.sliding_window;
  for (std::size_t i = 0; i < first_seen; ++i) ids[i] = static_cast<TokenId>((ids[i] + 7) % 300);
  EXPECT_EQ(last(), truth);
  ids[first_seen] = static_cast<TokenId>((ids[first_seen] + 7) % 300);
  EXPECT_NE(last(), truth);
}

INSTANTIATE_TEST_SUITE_P(Families, CpuFamiliesTest, ::testing::ValuesIn(families()), name_of);
INSTANTIATE_TEST_SUITE_P(Families, CpuWindowsTest, ::testing::ValuesIn(families_with_windows()), name_of);

}  // namespace
}  // namespace kvasir
