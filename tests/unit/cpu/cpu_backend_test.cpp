#include <map>
#include <tuple>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/cpu/kernel_dispatch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/unit/cpu/backend_driver.h"

namespace kvasir {
namespace {

using testing::BackendDriver;
using testing::bits_of;
using testing::random_ids;
using testing::relative_error;
using testing::TinyModelSpec;
using testing::TinyType;

BackendOptions options_of(const std::string& kernel_class, std::uint32_t threads = 2, std::uint32_t block_tokens = 32) {
  BackendOptions options;
  options.threads = threads;
  options.block_tokens = block_tokens;
  options.pool_bytes = 4 << 20;
  options.kernel_class = kernel_class;
  return options;
}

// A grouping of 3 queries a KV head, widths that leave a half-empty last panel, and an ffn of an odd number of groups.
TinyModelSpec odd_spec() {
  TinyModelSpec spec;
  spec.heads = 6;
  spec.kv_heads = 2;
  spec.head_dim = 16;
  spec.ffn = 96;
  spec.vocabulary = 520;
  return spec;
}

class CpuBackendTest : public ::testing::Test {
 protected:
  std::string model(const TinyModelSpec& spec) { return testing::write_tiny_model(dir_ / "m.gguf", spec); }
  testing::TempDir dir_;
};

TEST_F(CpuBackendTest, ChunksOfAnySizeGiveTheSameBits) {
  BackendDriver driver(model(odd_spec()), options_of(""));
  const std::vector<TokenId> ids = random_ids(530, driver.info().vocabulary, 1);
  const std::string logits = bits_of(driver.prefill(ids, ids.size()));
  const std::string kv = driver.full_blocks(ids.size());
  for (const std::size_t chunk : {1u, 7u, 32u, 128u, 512u}) {
    EXPECT_EQ(bits_of(driver.prefill(ids, chunk, 20)), logits) << chunk;
    EXPECT_EQ(driver.full_blocks(ids.size(), 20), kv) << chunk;
  }
}

TEST_F(CpuBackendTest, NeighboursInTheBatchChangeNothing) {
  BackendDriver driver(model(odd_spec()), options_of("", 3));
  std::vector<std::vector<TokenId>> sequences;
  std::vector<std::string> alone;
  for (std::uint32_t i = 0; i < 8; ++i) {
    sequences.push_back(random_ids(1 + 41 * i, driver.info().vocabulary, 10 + i));
    const std::vector<float> logits = driver.prefill(sequences[i], 64);
    alone.push_back(bits_of(logits));
  }
  Batch batch;
  for (std::uint32_t i = 0; i < 8; ++i)
    batch.sequences.push_back(driver.input(sequences[i], 0, 12 * i, LogitsWanted::all));
  const BatchResult result = driver.run(std::move(batch));  // over 1,000 rows: more than one pass
  for (std::uint32_t i = 0; i < 8; ++i) {
    EXPECT_EQ(index_of(BlockId(static_cast<std::uint32_t>(result.sequences[i].id))), 12 * i);
    EXPECT_EQ(bits_of(result.sequences[i].logits), alone[i]) << i;
  }
}

// Decodes of several sequences beside a prefill chunk, as the scheduler mixes them.
TEST_F(CpuBackendTest, DecodeBesidePrefillEqualsPrefill) {
  BackendDriver driver(model(odd_spec()), options_of(""));
  const std::vector<TokenId> ids = random_ids(400, driver.info().vocabulary, 3);
  const std::vector<TokenId> other = random_ids(700, driver.info().vocabulary, 4);
  const std::vector<float> truth = driver.prefill(ids, 400);
  const std::string kv = driver.full_blocks(ids.size());
  const std::string other_kv = (driver.prefill(other, 700), driver.full_blocks(other.size()));
  driver.prefill(std::span(ids).first(300), 128, 30);
  std::vector<float> logits;
  for (std::size_t step = 0; step < 100; ++step) {
    Batch batch;
    batch.sequences.push_back(driver.input(std::span(other).first(7 * step + 7), 7 * step, 60, LogitsWanted::none));
    batch.sequences.push_back(driver.input(std::span(ids).first(301 + step), 300 + step, 30, LogitsWanted::last));
    const BatchResult result = driver.run(std::move(batch));
    EXPECT_TRUE(result.sequences[0].logits.empty());
    logits.insert(logits.end(), result.sequences[1].logits.begin(), result.sequences[1].logits.end());
  }
  EXPECT_EQ(bits_of(logits), bits_of(std::span(truth).subspan(300 * driver.info().vocabulary)));
  EXPECT_EQ(driver.full_blocks(ids.size(), 30), kv);
  EXPECT_EQ(driver.full_blocks(other.size(), 60), other_kv);
}

TEST_F(CpuBackendTest, ThreadsChangeNothing) {
  const std::string path = model(odd_spec());
  const std::vector<TokenId> ids = random_ids(600, 500, 5);
  std::string logits, kv;
  for (const std::uint32_t threads : {1u, 2u, 3u, 5u}) {
    BackendDriver driver(path, options_of("", threads));
    const std::string own = bits_of(driver.prefill(ids, 200)) + bits_of(driver.prefill(ids, 1, 30));
    if (logits.empty()) logits = own, kv = driver.full_blocks(ids.size());
    EXPECT_EQ(own, logits) << threads;
    EXPECT_EQ(driver.full_blocks(ids.size()), kv) << threads;
  }
}

TEST_F(CpuBackendTest, SamplesFromTheLogitsItReturns) {
  BackendDriver driver(model(odd_spec()), options_of(""));
  const std::vector<TokenId> ids = random_ids(50, driver.info().vocabulary, 6);
  SamplingParams params;
  params.seed = 7;
  Batch batch;
  batch.sequences.push_back(driver.input(ids, 0, 0, LogitsWanted::last));
  batch.sequences[0].sampling = &params;
  batch.sequences[0].prompt_tokens = 50;
  const BatchResult result = driver.run(std::move(batch));
  ASSERT_TRUE(result.sequences[0].sampled.has_value());
  const SampledToken expected = sample(result.sequences[0].logits, params, ids, 50, 50);
  EXPECT_EQ(result.sequences[0].sampled->id, expected.id);
  EXPECT_EQ(result.sequences[0].sampled->logprob, expected.logprob);
}

TEST_F(CpuBackendTest, InfoDescribesTheBlocks) {
  const TinyModelSpec spec = odd_spec();
  BackendDriver driver(model(spec), options_of("", 1, 64));
  const BackendInfo& info = driver.info();
  EXPECT_EQ(info.name, "cpu");
  EXPECT_EQ(info.kernel_class, available_kernel_classes().front());
  EXPECT_EQ(info.block_bytes, spec.layers * 2 * spec.kv_heads * spec.head_dim * 2 * 64u);
  EXPECT_EQ(info.vocabulary, spec.vocabulary);
  EXPECT_EQ(driver.backend().memory().block_bytes(), info.block_bytes);
}

TEST_F(CpuBackendTest, RefusesWhatItCannotDo) {
  const std::string path = model(odd_spec());
  const std::unique_ptr<GgufFile> file = GgufFile::open(path).value();
  const ModelConfig config = read_model_config(*file).value();
  EXPECT_EQ(make_cpu_backend(*file, config, options_of("", 1, 24)).error().param, "block_tokens");
  EXPECT_EQ(make_cpu_backend(*file, config, options_of("", 1, 256)).error().code, ErrorCode::invalid_argument);
  const Result<std::unique_ptr<Backend>> unknown = make_cpu_backend(*file, config, options_of("sse9"));
  EXPECT_THAT(unknown.error().message, ::testing::HasSubstr(available_kernel_classes().front()));
  BackendOptions tiny_pool = options_of("");
  tiny_pool.pool_bytes = 1000;
  EXPECT_EQ(make_cpu_backend(*file, config, tiny_pool).error().code, ErrorCode::invalid_argument);
}

// Types of weights x kernel classes.
class CpuBackendTypesTest : public CpuBackendTest, public ::testing::WithParamInterface<TinyType> {};

// int8 activations cost about 2 % of a random model's logits, bf16 ones half of it; f16 KV a thousandth.
constexpr double kInt8Error = 0.04, kBf16Error = 0.02, kF16Error = 0.002;

TEST_P(CpuBackendTypesTest, ClassesOfANumericsIdGiveTheSameBitsNearTheReference) {
  TinyModelSpec spec = odd_spec();
  spec.matrices = GetParam();
  spec.embedding = GetParam();
  if (testing::tiny_block_elements(GetParam()) == 256) spec.hidden = spec.ffn = 256, spec.heads = 16;
  spec.tied_output = GetParam() == TinyType::q8_0;
  const std::string path = model(spec);
  const std::size_t tokens = spec.hidden == 256 ? 60 : 260;  // the scalar class is slow
  const std::vector<TokenId> ids = random_ids(tokens, spec.vocabulary, 8);
  const std::vector<float> truth =
      BackendDriver(path, options_of(""), BackendDriver::Kind::reference).prefill(ids, tokens);
  const bool int8 = testing::tiny_block_elements(GetParam()) > 1;
  std::map<std::string, std::pair<std::string, std::string>> by_numerics;  // logits and KV
  for (const std::string& kernel_class : available_kernel_classes()) {
    BackendDriver driver(path, options_of(kernel_class));
    const std::string& numerics = driver.info().numerics_id;
    const bool bf16 = GetParam() == TinyType::bf16 && find_kernels(kernel_class).value()->round_row != nullptr;
    EXPECT_EQ(numerics, bf16 ? "cpu.1+bf16dot" : "cpu.1") << kernel_class;
    const std::vector<float> own = driver.prefill(ids, 100);
    const std::string kv = driver.full_blocks(ids.size());
    const auto& expected = by_numerics.try_emplace(numerics, bits_of(own), kv).first->second;
    EXPECT_TRUE(bits_of(own) == expected.first) << kernel_class;
    EXPECT_TRUE(kv == expected.second) << kernel_class;
    EXPECT_LT(relative_error(own, truth), int8 ? kInt8Error : bf16 ? kBf16Error : kF16Error) << kernel_class;
    EXPECT_TRUE(bits_of(driver.prefill(ids, 1, 30)) == bits_of(own)) << kernel_class;
  }
  EXPECT_LE(by_numerics.size(), GetParam() == TinyType::bf16 ? 2u : 1u);
}

// Only the output is of bf16: not what stored KV depends on, but the logits do.
TEST_F(CpuBackendTest, NumericsAreNamedForAnyProductWithBf16) {
  TinyModelSpec spec = odd_spec();
  spec.matrices = TinyType::q8_0;
  spec.embedding = TinyType::bf16;
  const std::string path = model(spec);
  for (const std::string& kernel_class : available_kernel_classes()) {
    const bool rounds = find_kernels(kernel_class).value()->round_row != nullptr;
    EXPECT_EQ(BackendDriver(path, options_of(kernel_class)).info().numerics_id, rounds ? "cpu.1+bf16dot" : "cpu.1");
  }
}

std::string name_of(TinyType type) { return tensor_type_name(static_cast<std::uint32_t>(type)); }

INSTANTIATE_TEST_SUITE_P(Types, CpuBackendTypesTest, ::testing::ValuesIn(testing::kTinyTypes),
                         [](const auto& test) { return name_of(test.param); });

// Shapes of heads and blocks.
struct Shape {
  std::uint32_t heads, kv_heads, head_dim, block_tokens;
};
class CpuBackendShapesTest : public CpuBackendTest, public ::testing::WithParamInterface<Shape> {};

TEST_P(CpuBackendShapesTest, ChunksAndClassesGiveTheSameBits) {
  TinyModelSpec spec;
  std::tie(spec.heads, spec.kv_heads, spec.head_dim) =
      std::tuple(GetParam().heads, GetParam().kv_heads, GetParam().head_dim);
  const std::string path = model(spec);
  const std::vector<TokenId> ids = random_ids(150, spec.vocabulary, 9);
  const std::vector<float> truth =
      BackendDriver(path, options_of(""), BackendDriver::Kind::reference).prefill(ids, 150);
  std::string logits;
  for (const std::string& kernel_class : available_kernel_classes())
    for (const std::size_t chunk : {1u, 150u}) {
      BackendDriver driver(path, options_of(kernel_class, 2, GetParam().block_tokens));
      const std::vector<float> own = driver.prefill(ids, chunk);
      if (logits.empty()) logits = bits_of(own);
      EXPECT_EQ(bits_of(own), logits) << kernel_class << " " << chunk;
      EXPECT_LT(relative_error(own, truth), kInt8Error);
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, CpuBackendShapesTest,
                         ::testing::Values(Shape{4, 4, 16, 16}, Shape{4, 1, 16, 64}, Shape{14, 1, 16, 32},
                                           Shape{2, 1, 48, 16}, Shape{2, 2, 128, 128}, Shape{1, 1, 256, 32},
                                           Shape{26, 2, 16, 128}));

}  // namespace
}  // namespace kvasir
