#include <algorithm>
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "engine/cpu/cpu_backends.h"
#include "engine/model/dequantize.h"
#include "storage/base/prng.h"
#include "tests/support/tiny_model.h"

namespace kvasir {
namespace {

using testing::TinyModelSpec;
using testing::TinyType;

using Vec = std::vector<double>;
using Ids = std::vector<TokenId>;

// A Llama written down a second time: double everywhere, no cache, no blocks, whole attention matrices; shares with the
// engine only the reader of files and of quantized rows.
class NaiveLlama {
 public:
  NaiveLlama(const GgufFile& file, const TinyModelSpec& spec) : file_(file), spec_(spec) {}

  std::vector<Vec> logits(const Ids& ids) const {
    std::vector<Vec> x;
    for (const TokenId id : ids) x.push_back(row("token_embd.weight", static_cast<std::size_t>(id)));
    for (std::uint32_t layer = 0; layer < spec_.layers; ++layer) {
      attention("blk." + std::to_string(layer) + ".", x);
      feed_forward("blk." + std::to_string(layer) + ".", x);
    }
    for (Vec& v : x)
      v = times(spec_.tied_output ? "token_embd.weight" : "output.weight", norm("output_norm.weight", v));
    return x;
  }

 private:
  Vec row(const std::string& name, std::size_t index) const {
    const GgufTensor& tensor = *file_.tensor(name);
    std::vector<float> values(tensor.dims[0]);
    dequantize_row(tensor, index, values);
    return {values.begin(), values.end()};
  }

  Vec times(const std::string& name, const Vec& x) const {
    Vec y(file_.tensor(name)->dims[1]);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const Vec w = row(name, i);
      for (std::size_t k = 0; k < x.size(); ++k) y[i] += w[k] * x[k];
    }
    return y;
  }

  Vec norm(const std::string& name, Vec x) const {
    const Vec w = row(name, 0);
    double squares = 0;
    for (const double v : x) squares += v * v;
    const double scale =
        1 / std::sqrt(squares / static_cast<double>(x.size()) + static_cast<double>(spec_.rms_epsilon));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] *= scale * w[i];
    return x;
  }

  void turn(Vec& heads, std::size_t position) const {
    for (std::size_t i = 0; i < heads.size(); i += 2) {
      const double exponent = -static_cast<double>(i % spec_.head_dim) / spec_.head_dim;
      const double angle = static_cast<double>(position) * std::pow(static_cast<double>(spec_.rope_base), exponent);
      const double a = heads[i], b = heads[i + 1];
      heads[i] = a * std::cos(angle) - b * std::sin(angle);
      heads[i + 1] = a * std::sin(angle) + b * std::cos(angle);
    }
  }

  void attention(const std::string& prefix, std::vector<Vec>& x) const {
    std::vector<Vec> q, k, v;
    for (std::size_t t = 0; t < x.size(); ++t) {
      const Vec n = norm(prefix + "attn_norm.weight", x[t]);
      turn(q.emplace_back(times(prefix + "attn_q.weight", n)), t);
      turn(k.emplace_back(times(prefix + "attn_k.weight", n)), t);
      v.push_back(times(prefix + "attn_v.weight", n));
    }
    for (std::size_t t = 0; t < x.size(); ++t) {
      Vec out(q[t].size());
      for (std::uint32_t head = 0; head < spec_.heads; ++head) one_head(q[t], k, v, t, head, out);
      const Vec y = times(prefix + "attn_output.weight", out);
      for (std::size_t i = 0; i < y.size(); ++i) x[t][i] += y[i];
    }
  }

  void one_head(const Vec& q, const std::vector<Vec>& k, const std::vector<Vec>& v, std::size_t t, std::uint32_t head,
                Vec& out) const {
    const std::size_t dim = spec_.head_dim, from = head * dim, kv = head / (spec_.heads / spec_.kv_heads) * dim;
    Vec weights;
    double sum = 0;
    for (std::size_t s = 0; s <= t; ++s) {
      double score = 0;
      for (std::size_t i = 0; i < dim; ++i) score += q[from + i] * k[s][kv + i];
      weights.push_back(std::exp(score / std::sqrt(static_cast<double>(dim))));
      sum += weights.back();
    }
    for (std::size_t s = 0; s <= t; ++s) {
      for (std::size_t i = 0; i < dim; ++i) out[from + i] += weights[s] / sum * v[s][kv + i];
    }
  }

  void feed_forward(const std::string& prefix, std::vector<Vec>& x) const {
    for (Vec& t : x) {
      const Vec n = norm(prefix + "ffn_norm.weight", t);
      Vec gate = times(prefix + "ffn_gate.weight", n);
      const Vec up = times(prefix + "ffn_up.weight", n);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
      const Vec y = times(prefix + "ffn_down.weight", gate);
      for (std::size_t i = 0; i < y.size(); ++i) t[i] += y[i];
    }
  }

  const GgufFile& file_;
  const TinyModelSpec spec_;
};

Ids random_ids(std::size_t count, std::uint64_t seed) {
  Prng prng(seed);
  Ids ids;
  while (ids.size() < count) ids.push_back(static_cast<TokenId>(prng.below(512)));
  return ids;
}

// A tiny model, its file, and a reference backend over it.
struct Rig {
  explicit Rig(const TinyModelSpec& model, std::uint32_t threads = 1, std::uint32_t block_tokens = 16)
      : spec(model), bytes(testing::tiny_model_bytes(model)) {
    file = std::move(*GgufFile::parse(std::as_bytes(std::span(bytes))));
    BackendOptions options;
    options.threads = threads;
    options.block_tokens = block_tokens;
    options.pool_bytes = 64u << 20;
    backend = std::move(*make_reference_backend(*file, *read_model_config(*file), options));
  }

  SequenceInput input(const Ids& ids, std::uint32_t first, std::uint32_t end, std::uint32_t first_block = 0) const {
    SequenceInput input;
    input.ids = std::span(ids).first(end);
    input.first_position = first;
    input.logits = LogitsWanted::all;
    for (std::uint32_t i = 0; i * backend->info().block_tokens < end; ++i)
      input.blocks.push_back(BlockId{first_block + i});
    return input;
  }
  BatchResult run(Batch batch) const {
    const Ticket ticket = backend->submit(std::move(batch));
    while (true) {
      if (auto result = backend->poll(ticket)) return std::move(*result);
      std::this_thread::yield();
    }
  }
  // All logits of `ids`, computed in steps of `chunk`.
  std::vector<float> logits(const Ids& ids, std::uint32_t chunk, std::uint32_t first_block = 0) const {
    std::vector<float> all;
    const auto size = static_cast<std::uint32_t>(ids.size());
    for (std::uint32_t first = 0; first < size; first += chunk) {
      Batch batch;
      batch.sequences.push_back(input(ids, first, std::min(first + chunk, size), first_block));
      const std::vector<float> some = run(std::move(batch)).sequences[0].logits;
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }
  std::vector<std::byte> blocks(std::uint32_t first, std::uint32_t count) const {
    std::vector<std::byte> bytes_of;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::span<std::byte> block = backend->memory().bytes(BlockId{first + i});
      bytes_of.insert(bytes_of.end(), block.begin(), block.end());
    }
    return bytes_of;
  }

  TinyModelSpec spec;
  std::string bytes;
  std::unique_ptr<GgufFile> file;
  std::unique_ptr<Backend> backend;
};

void expect_naive_logits(const TinyModelSpec& spec) {
  const Rig rig(spec);
  const Ids ids = random_ids(150, 11);  // more than one softmax segment
  const std::vector<Vec> expected = NaiveLlama(*rig.file, spec).logits(ids);
  const std::vector<float> actual = rig.logits(ids, 64);
  ASSERT_EQ(actual.size(), ids.size() * spec.vocabulary);
  double largest = 0, largest_logit = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double logit = expected[i / spec.vocabulary][i % spec.vocabulary];
    largest = std::max(largest, std::fabs(static_cast<double>(actual[i]) - logit));
    largest_logit = std::max(largest_logit, std::fabs(logit));
  }
  EXPECT_LT(largest, 2e-4);
  EXPECT_GT(largest_logit, 1.0);  // the comparison is of something
}

TEST(Reference, EqualsANaiveLlamaInDouble) { expect_naive_logits({}); }

TEST(Reference, EqualsANaiveLlamaForOtherTypesAndShapes) {
  TinyModelSpec plain;
  plain.embedding = TinyType::f32, plain.matrices = TinyType::f16, plain.tied_output = false;
  expect_naive_logits(plain);
  TinyModelSpec odd;
  odd.layers = 1, odd.heads = 8, odd.kv_heads = 1, odd.head_dim = 12, odd.ffn = 160, odd.hidden = 96;
  odd.embedding = TinyType::bf16, odd.matrices = TinyType::q8_0, odd.rope_base = 500.0f;
  expect_naive_logits(odd);
}

TEST(Reference, ChunksChangeNoBit) {
  const Rig rig({});
  const Ids ids = random_ids(140, 3);
  const std::vector<float> whole = rig.logits(ids, 140);
  const std::vector<std::byte> kv = rig.blocks(0, 9);
  for (const std::uint32_t chunk : {1u, 7u, 16u, 129u}) {
    EXPECT_EQ(rig.logits(ids, chunk, 20), whole) << chunk;
    EXPECT_EQ(rig.blocks(20, 9), kv) << chunk;
  }
}

TEST(Reference, ThreadsAndBlockSizesChangeNoBit) {
  const Ids ids = random_ids(140, 4);
  const std::vector<float> expected = Rig({}).logits(ids, 140);
  for (const std::uint32_t threads : {2u, 3u, 7u}) EXPECT_EQ(Rig({}, threads).logits(ids, 50), expected);
  for (const std::uint32_t block_tokens : {1u, 32u, 128u})
    EXPECT_EQ(Rig({}, 2, block_tokens).logits(ids, 50), expected);
}

// Windows, norms, biases, scalings: of every architecture, whatever the steps, the threads and the blocks.
TEST(Reference, NothingChangesABitInAnyFamily) {
  for (const testing::TinyFamily& family : testing::tiny_families()) {
    const Rig rig(family.spec);
    const Ids ids = random_ids(140, 12);
    const std::vector<float> whole = rig.logits(ids, 140);
    EXPECT_TRUE(std::all_of(whole.begin(), whole.end(), [](float x) { return std::isfinite(x); })) << family.name;
    EXPECT_EQ(rig.logits(ids, 1, 20), whole) << family.name;
    EXPECT_EQ(rig.logits(ids, 33, 20), whole) << family.name;
    EXPECT_EQ(Rig(family.spec, 3, 8).logits(ids, 50), whole) << family.name;
  }
}

// What a window hides has no say: prompts that differ only there give the same bits, once past two layers' reach.
TEST(Reference, AWindowHidesWhatIsBeforeIt) {
  TinyModelSpec spec;
  spec.sliding_window = 10;  // of both layers: position p is decided by p - 18 .. p
  const Rig rig(spec);
  Ids ids = random_ids(60, 13);
  const std::vector<float> before = rig.logits(ids, 60);
  ids[20] = (ids[20] + 1) % 512;
  const std::vector<float> after = rig.logits(ids, 60);
  for (std::size_t position = 0; position < 60; ++position) {
    const auto from = static_cast<std::ptrdiff_t>(position * 512);
    const bool same = std::equal(before.begin() + from, before.begin() + from + 512, after.begin() + from);
    EXPECT_EQ(same, position < 20 || position > 38) << position;
  }
}

TEST(Reference, NeighboursInABatchChangeNoBit) {
  const Rig rig({}, 2);
  const Ids a = random_ids(40, 5), b = random_ids(90, 6), c = random_ids(1, 7);
  const std::vector<float> expected_a = rig.logits(a, 40), expected_b = rig.logits(b, 90, 8),
                           expected_c = rig.logits(c, 1, 16);
  Batch batch;
  batch.sequences.push_back(rig.input(b, 80, 90, 8));  // continues over its own blocks
  batch.sequences.push_back(rig.input(c, 0, 1, 30));
  batch.sequences.push_back(rig.input(a, 0, 40, 32));
  const BatchResult result = rig.run(std::move(batch));
  const std::vector<float> tail(expected_b.end() - 10 * 512, expected_b.end());
  EXPECT_EQ(result.sequences[0].logits, tail);
  EXPECT_EQ(result.sequences[1].logits, expected_c);
  EXPECT_EQ(result.sequences[2].logits, expected_a);
}

TEST(Reference, SamplesTheLastPosition) {
  const Rig rig({});
  const Ids ids = random_ids(20, 8);
  const std::vector<float> logits = rig.logits(ids, 20);
  SamplingParams params;
  params.seed = 99;
  Batch batch;
  batch.sequences.push_back(rig.input(ids, 0, 20, 4));
  batch.sequences.back().sampling = &params;
  batch.sequences.back().prompt_tokens = 20;
  batch.sequences.back().logits = LogitsWanted::last;
  const BatchResult result = rig.run(std::move(batch));
  const std::vector<float> last(logits.end() - 512, logits.end());
  EXPECT_EQ(result.sequences[0].logits, last);
  ASSERT_TRUE(result.sequences[0].sampled);
  EXPECT_EQ(result.sequences[0].sampled->id, sample(last, params, ids, 20, 20).id);
}

TEST(Reference, SaysWhatItCannotDo) {
  const Rig rig({});
  BackendOptions options;
  options.kernel_class = "avx2";
  const auto config = read_model_config(*rig.file);
  EXPECT_EQ(make_reference_backend(*rig.file, *config, options).error().code, ErrorCode::invalid_argument);
  options.kernel_class.clear();
  options.pool_bytes = 100;
  EXPECT_EQ(make_reference_backend(*rig.file, *config, options).error().code, ErrorCode::invalid_argument);
}

TEST(Reference, ContextIsWhatModelAndPoolHold) {
  const Rig rig({});
  EXPECT_EQ(rig.backend->info().context_tokens, 4096u);
  BackendOptions options;
  options.pool_bytes = 3 * rig.backend->info().block_bytes;
  options.block_tokens = 16;
  EXPECT_EQ((*make_reference_backend(*rig.file, *read_model_config(*rig.file), options))->info().context_tokens, 48u);
}

}  // namespace
}  // namespace kvasir
