// What each architecture's keys and tensors are read as, and what is refused of them.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/model/weights.h"
#include "tests/unit/model/model_file.h"

namespace kvasir {
namespace {

using testing::config_of;
using testing::error_with;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::ModelFile;
using testing::spec_of;
using testing::TinyModelSpec;
using testing::TinyType;

TEST(ModelFamilies, ReadsEveryFamily) {
  for (const testing::TinyFamily& family : testing::tiny_families()) {
    const ModelConfig config = config_of(ModelFile(family.spec));
    const bool llama = family.spec.architecture == "llama", gemma = family.spec.architecture == "gemma3";
    EXPECT_EQ(config.rope_pairing, llama ? RopePairing::adjacent : RopePairing::halves) << family.name;
    EXPECT_EQ(config.activation, gemma ? Activation::gelu_tanh : Activation::silu) << family.name;
    EXPECT_EQ(config.qkv_bias, family.spec.qkv_bias || family.spec.architecture == "qwen2") << family.name;
    EXPECT_EQ(config.output_bias, family.spec.output_bias) << family.name;
    EXPECT_EQ(config.qk_norm, gemma || family.spec.architecture == "qwen3") << family.name;
    EXPECT_EQ(config.post_norms, gemma) << family.name;
    EXPECT_EQ(config.sliding_window, family.spec.sliding_window) << family.name;
    EXPECT_EQ(config.rope.base, family.spec.rope_base) << family.name;
    EXPECT_EQ(config.embedding_scale, gemma ? 16.0f : 1.0f) << family.name;  // sqrt(256)
    EXPECT_EQ(config.attention_scale, static_cast<float>(1 / std::sqrt(config.head_dim))) << family.name;
  }
}

TEST(ModelFamilies, TensorsOfAFamilyAreThereOrNull) {
  for (const testing::TinyFamily& family : testing::tiny_families()) {
    const ModelFile model(family.spec);
    const auto file = model.parse();
    const ModelConfig config = *read_model_config(*file);
    const auto tensors = find_tensors(*file, config);
    ASSERT_TRUE(tensors) << family.name;
    const LayerTensors& layer = tensors->layers.back();
    EXPECT_EQ(layer.bq != nullptr && layer.bk != nullptr && layer.bv != nullptr, config.qkv_bias) << family.name;
    EXPECT_EQ(layer.bo != nullptr, config.output_bias) << family.name;
    EXPECT_EQ(layer.q_norm != nullptr && layer.k_norm != nullptr, config.qk_norm) << family.name;
    EXPECT_EQ(layer.attn_post_norm != nullptr && layer.ffn_post_norm != nullptr, config.post_norms) << family.name;
    EXPECT_EQ(tensors->rope_divisors().size(), family.spec.rope_divisors ? config.rope_dim / 2 : 0) << family.name;
  }
}

TEST(ModelFamilies, ReadsRopeScaling) {
  const auto with = [](const GgufBytes& entry) { return config_of(ModelFile().add(entry)).rope; };
  const RopeConfig plain = config_of(ModelFile()).rope;
  EXPECT_EQ(plain.scaling, RopeScaling::none);
  EXPECT_EQ(plain.attention_factor, 1.0f);
  const RopeConfig bare = with(GgufBytes().key("llama.rope.scaling.factor", 6).put(4.0f));  // no type: linear
  EXPECT_EQ(bare.scaling, RopeScaling::linear);
  EXPECT_EQ(bare.factor, 4.0f);
  const RopeConfig old = with(GgufBytes().key("llama.rope.scale_linear", 6).put(2.0f));
  EXPECT_EQ(old.scaling, RopeScaling::linear);
  EXPECT_EQ(old.factor, 2.0f);
  EXPECT_EQ(with(GgufBytes().key("llama.rope.scaling.attn_factor", 6).put(1.5f)).attention_factor, 1.5f);

  TinyModelSpec spec;
  spec.rope_scaling = "none", spec.rope_factor = 8;
  EXPECT_EQ(config_of(ModelFile(spec)).rope.scaling, RopeScaling::none);
  EXPECT_EQ(config_of(ModelFile(spec)).rope.factor, 1.0f);
}

TEST(ModelFamilies, ReadsYarn) {
  TinyModelSpec spec;
  spec.rope_scaling = "yarn", spec.rope_factor = 4, spec.original_context = 1000;
  const auto with = [&](const char* name, float value) {
    return config_of(ModelFile(spec).add(GgufBytes().key(name, 6).put(value))).rope;
  };
  const RopeConfig yarn = config_of(ModelFile(spec)).rope;
  EXPECT_EQ(yarn.scaling, RopeScaling::yarn);
  EXPECT_EQ(yarn.factor, 4.0f);
  EXPECT_EQ(yarn.original_context, 1000u);
  EXPECT_EQ(yarn.beta_fast, 32.0f);
  EXPECT_EQ(yarn.beta_slow, 1.0f);
  EXPECT_FLOAT_EQ(yarn.attention_factor, static_cast<float>(1 + 0.1 * std::log(4.0)));
  EXPECT_EQ(with("llama.rope.scaling.yarn_attn_factor", 1.25f).attention_factor, 1.25f);
  EXPECT_FLOAT_EQ(with("llama.rope.scaling.attn_factor", 2.0f).attention_factor, 2 * yarn.attention_factor);
  EXPECT_EQ(with("llama.rope.scaling.yarn_beta_fast", 16.0f).beta_fast, 16.0f);
  EXPECT_EQ(with("llama.rope.scaling.yarn_beta_slow", 2.0f).beta_slow, 2.0f);
  EXPECT_THAT(error_with(GgufBytes().key("llama.rope.scaling.yarn_ext_factor", 6).put(0.5f), spec),
              HasSubstr("yarn_ext_factor is not 1"));
  spec.original_context = 0;  // then the trained one
  EXPECT_EQ(config_of(ModelFile(spec)).rope.original_context, spec.context_tokens);
}

TEST(ModelFamilies, GemmaHasLocalLayers) {
  TinyModelSpec spec = spec_of("Gemma 3");
  const ModelConfig config = config_of(ModelFile(spec));
  EXPECT_EQ(config.global_interval, 2u);
  EXPECT_TRUE(config.is_local(0) && config.is_local(2));
  EXPECT_FALSE(config.is_local(1) || config.is_local(3));
  EXPECT_EQ(config.rope.scaling, RopeScaling::linear);
  EXPECT_EQ(config.local_rope.scaling, RopeScaling::none);
  EXPECT_EQ(config.local_rope.base, 10000.0f);
  spec.local_rope_base = 20000.0f, spec.window_pattern = 0;
  EXPECT_EQ(config_of(ModelFile(spec)).local_rope.base, 20000.0f);
  EXPECT_EQ(config_of(ModelFile(spec)).global_interval, 6u);
  spec.sliding_window = 0;  // as some relatives: every layer sees everything
  EXPECT_FALSE(config_of(ModelFile(spec)).is_local(0));
}

TEST(ModelFamilies, AWindowPatternMayBeAListOfLayers) {
  TinyModelSpec spec = spec_of("Gemma 3");
  spec.window_pattern = 0;
  const auto with = [&](std::initializer_list<bool> local) {
    GgufBytes entry;
    entry.key("gemma3.attention.sliding_window_pattern", 9).u32(7).u64(local.size());
    for (const bool flag : local) entry.put<std::uint8_t>(flag);
    return ModelFile(spec).add(entry);
  };
  EXPECT_EQ(config_of(with({true, true, false, true})).global_interval, 3u);
  EXPECT_EQ(config_of(with({true, true, true, true})).global_interval, 0u);
  EXPECT_EQ(config_of(with({false, false, false, false})).global_interval, 1u);
  EXPECT_THAT(with({true, false, false, true}).config_error(), HasSubstr("sliding_window_pattern is not a layer"));
  EXPECT_THAT(with({true, false}).config_error(), HasSubstr("sliding_window_pattern is not a layer"));
}

TEST(ModelFamilies, TheLargestGemmaScalesByItsWidth) {
  TinyModelSpec spec = spec_of("Gemma 3");
  spec.layers = 62, spec.hidden = 32, spec.ffn = 32, spec.heads = 2, spec.head_dim = 32;
  spec.matrices = spec.embedding = TinyType::q8_0, spec.vocabulary = 330;
  EXPECT_EQ(config_of(ModelFile(spec)).attention_scale, 0.25f);  // 1 / sqrt(32 / 2)
  spec.layers = 61;
  EXPECT_EQ(config_of(ModelFile(spec)).attention_scale, static_cast<float>(1 / std::sqrt(32.0)));
}

TEST(ModelFamilies, WindowsOfOtherArchitectures) {
  const ModelConfig mistral = config_of(ModelFile(spec_of("Mistral")));
  EXPECT_EQ(mistral.sliding_window, 40u);
  EXPECT_TRUE(mistral.is_local(0) && mistral.is_local(1));
  EXPECT_EQ(mistral.local_rope.base, mistral.rope.base);
  EXPECT_EQ(config_of(ModelFile().add(GgufBytes().key("llama.attention.sliding_window", 4).u32(4096))).sliding_window,
            0u);
  EXPECT_EQ(config_of(ModelFile().add(GgufBytes().key("llama.attention.sliding_window", 4).u32(0))).sliding_window, 0u);
  EXPECT_THAT(error_with(GgufBytes().key("llama.attention.sliding_window", 4).u32(64), spec_of("Llama 3")),
              HasSubstr("llama.attention.sliding_window goes with rope_freqs.weight"));
  EXPECT_THAT(error_with(GgufBytes().key("qwen2.attention.sliding_window", 4).u32(64), spec_of("Qwen2")),
              HasSubstr("qwen2.attention.sliding_window is shorter than the context; which layers"));
}

TEST(ModelFamilies, AFileThatIsNoModelByItself) {
  EXPECT_EQ(error_with(GgufBytes().key("general.type", 8).text("adapter")),
            "model: general.type is \"adapter\": this file is no model by itself");
  EXPECT_EQ(error_with(GgufBytes().key("general.type", 8).text("model")), "(no error)");
}

TEST(ModelFamilies, NamesMissingTensorsOfAFamily) {
  const auto without = [](const char* family, const std::string& tensor) {
    std::string other = tensor;
    other[0] = 'X';
    return ModelFile(spec_of(family)).rename(tensor, other).config_error();
  };
  for (const std::string tensor : {"blk.1.attn_q.bias", "blk.1.attn_k.bias", "blk.0.attn_v.bias"})
    EXPECT_EQ(without("Qwen2", tensor), "model: tensor " + tensor + " is missing");
  EXPECT_EQ(without("Llama with biases", "blk.1.attn_output.bias"), "model: tensor blk.1.attn_output.bias is missing");
  for (const std::string tensor : {"blk.1.attn_q_norm.weight", "blk.1.attn_k_norm.weight"})
    EXPECT_EQ(without("Qwen3", tensor), "model: tensor " + tensor + " is missing");
  for (const std::string tensor : {"blk.1.post_attention_norm.weight", "blk.1.post_ffw_norm.weight"})
    EXPECT_EQ(without("Gemma 3", tensor), "model: tensor " + tensor + " is missing");
}

TEST(ModelFamilies, NamesTensorsOfAnotherArchitecture) {
  ModelFile file(spec_of("Qwen3"));
  file.rename("general.architecture", "general.architecturX")
      .add(GgufBytes().key("general.architecture", 8).text("qwen3moe"));
  EXPECT_THAT(file.config_error(), HasSubstr("is \"qwen3moe\"; this build runs"));
  EXPECT_EQ(ModelFile(spec_of("Llama 3")).rename("rope_freqs.weight", "rope_freXs.weight").config_error(),
            "model: tensor rope_freXs.weight is not part of a llama model as this build knows it");
}

TEST(ModelFamilies, RefusesDivisorsThatTurnTooFast) {
  TinyModelSpec spec = spec_of("Llama 3");
  for (const float bad : {0.0f, -1.0f, NAN, INFINITY, 1e-10f}) {
    EXPECT_EQ(ModelFile(spec).set_last_divisor(bad).config_error(),
              "model: tensor rope_freqs.weight has a divisor that is not from 0.25 to 1e6");
  }
  EXPECT_EQ(ModelFile(spec).set_last_divisor(32.0f).config_error(), "(no error)");
  EXPECT_THAT(ModelFile().set_float("llama.rope.freq_base", 1.0f).config_error(), HasSubstr("is not above 1"));
}

}  // namespace
}  // namespace kvasir
