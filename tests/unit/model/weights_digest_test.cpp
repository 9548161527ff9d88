#include <functional>
#include <set>

#include <gtest/gtest.h>

#include "tests/unit/model/model_file.h"

namespace kvasir {
namespace {

using testing::ModelFile;
using testing::TinyModelSpec;

WeightsDigest digest_of(const ModelFile& model) {
  const auto file = model.parse();
  auto config = read_model_config(*file);
  KVASIR_ASSERT(config.ok());
  return weights_digest(*file, *config);
}

TEST(WeightsDigest, ChangesWithWhatDecidesKv) {
  const WeightsDigest base = digest_of(ModelFile());
  EXPECT_EQ(digest_of(ModelFile()), base);
  EXPECT_NE(digest_of(ModelFile().flip_last_weight_bit()), base);
  EXPECT_NE(digest_of(ModelFile().set_float("llama.rope.freq_base", 10001.0f)), base);
  EXPECT_NE(digest_of(ModelFile().set_float("llama.attention.layer_norm_rms_epsilon", 2e-5f)), base);
  TinyModelSpec other;
  other.seed = 2;
  EXPECT_NE(digest_of(ModelFile(other)), base);
}

// A changed constant is other arithmetic, so other KV.
TEST(WeightsDigest, ChangesWithEveryConstant) {
  using C = ModelConfig;
  const std::vector<std::function<void(C&)>> changes = {
      [](C& c) { c.architecture = "qwen2"; },
      [](C& c) { ++c.layers; },
      [](C& c) { ++c.hidden; },
      [](C& c) { ++c.ffn; },
      [](C& c) { ++c.heads; },
      [](C& c) { ++c.kv_heads; },
      [](C& c) { ++c.head_dim; },
      [](C& c) { ++c.rope_dim; },
      [](C& c) { ++c.vocabulary; },
      [](C& c) { ++c.sliding_window; },
      [](C& c) { ++c.global_interval; },
      [](C& c) { c.rms_epsilon *= 2; },
      [](C& c) { c.embedding_scale *= 2; },
      [](C& c) { c.attention_scale *= 2; },
      [](C& c) { c.rope_pairing = RopePairing::halves; },
      [](C& c) { c.activation = Activation::gelu_tanh; },
      [](C& c) { c.tied_output = !c.tied_output; },
      [](C& c) { c.qkv_bias = !c.qkv_bias; },
      [](C& c) { c.output_bias = !c.output_bias; },
      [](C& c) { c.qk_norm = !c.qk_norm; },
      [](C& c) { c.post_norms = !c.post_norms; },
      [](C& c) { c.rope.base *= 2; },
      [](C& c) { c.rope.scaling = RopeScaling::linear; },
      [](C& c) { c.rope.scaling = RopeScaling::yarn; },
      [](C& c) { c.rope.factor *= 2; },
      [](C& c) { ++c.rope.original_context; },
      [](C& c) { c.rope.beta_fast *= 2; },
      [](C& c) { c.rope.beta_slow *= 2; },
      [](C& c) { c.rope.attention_factor *= 2; },
      [](C& c) { c.local_rope.base *= 2; },
      [](C& c) { c.local_rope.scaling = RopeScaling::linear; },
      [](C& c) { c.local_rope.factor *= 2; },
  };
  const ModelFile model;
  const auto file = model.parse();
  const ModelConfig config = *read_model_config(*file);
  std::set<WeightsDigest> digests = {weights_digest(*file, config)};
  for (const auto& change : changes) {
    ModelConfig changed = config;
    change(changed);
    digests.insert(weights_digest(*file, changed));
  }
  EXPECT_EQ(digests.size(), changes.size() + 1);
}

TEST(WeightsDigest, IgnoresTokenizerAndName) {
  const WeightsDigest base = digest_of(ModelFile());
  EXPECT_EQ(digest_of(ModelFile().set_u32("tokenizer.ggml.eos_token_id", 3)), base);
  EXPECT_EQ(digest_of(ModelFile().rename("general.name", "general.namX")), base);
}

}  // namespace
}  // namespace kvasir
