#include "engine/model/model_config.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <set>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/model/weights.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/unit/model/gguf_bytes.h"

namespace kvasir {
namespace {

using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::TinyModelSpec;
using testing::TinyType;

// A tiny model's file that a test damages on purpose.
class ModelFile {
 public:
  explicit ModelFile(const TinyModelSpec& spec = {}) : bytes_(testing::tiny_model_bytes(spec)) {}

  // Another name of the same length: takes the key or tensor away, or puts an unexpected one there.
  ModelFile& rename(const std::string& from, const std::string& to) {
    KVASIR_ASSERT(from.size() == to.size());
    return overwrite(find(from), to);
  }
  ModelFile& set_u32(const std::string& key, std::uint32_t value) { return set(key, value); }
  ModelFile& set_float(const std::string& key, float value) { return set(key, value); }
  // The type number in the entry of a tensor of two dimensions.
  ModelFile& set_type(const std::string& tensor, std::uint32_t type) {
    return overwrite(find(tensor) + tensor.size() + 4 + 16, as_text(type));
  }
  // One more key in front, with a string after it that keeps the tensors' alignment.
  ModelFile& add(const GgufBytes& entry) {
    GgufBytes padding;
    padding.key("padding", 8);
    const std::size_t used = entry.str().size() + padding.str().size() + 8;
    padding.text(std::string((32 - used % 32) % 32, ' '));
    bytes_.insert(24, entry.str() + padding.str());
    std::uint64_t keys = 0;
    std::memcpy(&keys, bytes_.data() + 16, sizeof keys);
    return overwrite(16, as_text(keys + 2));
  }
  ModelFile& flip_last_weight_bit() {
    bytes_[bytes_.size() - 40] = static_cast<char>(bytes_[bytes_.size() - 40] ^ 1);
    return *this;
  }

  // The last element of rope_freqs.weight.
  ModelFile& set_last_divisor(float value) {
    const auto file = parse();
    const GgufTensor& divisors = *file->tensor("rope_freqs.weight");
    const auto* end = reinterpret_cast<const char*>(divisors.data.data() + divisors.data.size());
    return overwrite(static_cast<std::size_t>(end - bytes_.data()) - sizeof value, as_text(value));
  }

  std::unique_ptr<GgufFile> parse() const {
    auto file = GgufFile::parse(std::as_bytes(std::span(bytes_)));
    KVASIR_ASSERT(file.ok());
    return std::move(*file);
  }
  std::string config_error() const {
    const auto config = read_model_config(*parse());
    return config ? "(no error)" : config.error().message;
  }
  std::string vocabulary_error() const {
    const auto vocabulary = read_vocabulary(*parse());
    return vocabulary ? "(no error)" : vocabulary.error().message;
  }

 private:
  template <class T>
  static std::string as_text(T value) {
    std::string text(sizeof value, '\0');
    std::memcpy(text.data(), &value, sizeof value);
    return text;
  }
  std::size_t find(const std::string& name) const {
    const std::size_t at = bytes_.find(as_text<std::uint64_t>(name.size()) + name);
    KVASIR_ASSERT(at != std::string::npos);
    return at + 8;
  }
  ModelFile& overwrite(std::size_t at, const std::string& text) {
    bytes_.replace(at, text.size(), text);
    return *this;
  }
  template <class T>
  ModelFile& set(const std::string& key, T value) {
    return overwrite(find(key) + key.size() + 4, as_text(value));
  }

  std::string bytes_;
};

TEST(ModelConfig, ReadsATinyModel) {
  TinyModelSpec spec;
  spec.rope_base = 50000.0f;
  const auto file = ModelFile(spec).parse();
  const auto config = read_model_config(*file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->architecture, "llama");
  EXPECT_EQ(config->name, "tiny");
  EXPECT_EQ(config->layers, spec.layers);
  EXPECT_EQ(config->hidden, spec.hidden);
  EXPECT_EQ(config->ffn, spec.ffn);
  EXPECT_EQ(config->heads, spec.heads);
  EXPECT_EQ(config->kv_heads, spec.kv_heads);
  EXPECT_EQ(config->head_dim, spec.head_dim);
  EXPECT_EQ(config->rope_dim, spec.head_dim);
  EXPECT_EQ(config->context_tokens, spec.context_tokens);
  EXPECT_EQ(config->vocabulary, spec.vocabulary);
  EXPECT_EQ(config->rope.base, 50000.0f);
  EXPECT_EQ(config->rms_epsilon, 1e-5f);
  EXPECT_TRUE(config->tied_output);
  EXPECT_EQ(config->group(), 2u);
  EXPECT_EQ(config->kv_dim(), 32u);
}

TEST(ModelConfig, AnOutputMatrixOfItsOwn) {
  TinyModelSpec spec;
  spec.tied_output = false;
  const auto file = ModelFile(spec).parse();
  const auto config = read_model_config(*file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_FALSE(config->tied_output);
  const auto tensors = find_tensors(*file, *config);
  ASSERT_TRUE(tensors);
  EXPECT_EQ(tensors->output, file->tensor("output.weight"));
  EXPECT_EQ(tensors->layers[1].w_down, file->tensor("blk.1.ffn_down.weight"));
}

TEST(ModelConfig, MissingKeysHaveDefaultsWhereTheFormatSaysSo) {
  ModelFile file;
  file.rename("llama.rope.freq_base", "lXama.rope.freq_base")
      .rename("llama.rope.dimension_count", "lXama.rope.dimension_count");
  file.rename("llama.attention.key_length", "lXama.attention.key_length");
  file.rename("llama.attention.value_length", "lXama.attention.value_length")
      .rename("llama.vocab_size", "lXama.vocab_size");
  const auto config = read_model_config(*file.parse());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->rope.base, 10000.0f);
  EXPECT_EQ(config->rope_dim, 16u);
  EXPECT_EQ(config->head_dim, 16u);
  EXPECT_EQ(config->vocabulary, 512u);
}

TEST(ModelConfig, NamesMissingAndSenselessKeys) {
  for (const std::string key : {"llama.block_count", "llama.context_length", "llama.embedding_length",
                                "llama.feed_forward_length", "llama.attention.head_count"}) {
    std::string other = key;
    other[1] = 'X';
    EXPECT_EQ(ModelFile().rename(key, other).config_error(), "model: " + key + " is missing");
    EXPECT_THAT(ModelFile().set_u32(key, 0).config_error(), HasSubstr(key + " is not a whole number from 1 to"));
    EXPECT_THAT(ModelFile().set_u32(key, 0xFFFFFFFF).config_error(),
                HasSubstr(key + " is not a whole number from 1 to"));
  }
  const std::string epsilon = "llama.attention.layer_norm_rms_epsilon";
  EXPECT_THAT(ModelFile().set_float(epsilon, -1.0f).config_error(), HasSubstr(epsilon + " is not a positive number"));
  EXPECT_THAT(ModelFile().set_float("llama.rope.freq_base", NAN).config_error(), HasSubstr("not a positive number"));
  EXPECT_THAT(ModelFile().set_u32("llama.attention.head_count_kv", 3).config_error(), HasSubstr("not a multiple"));
  EXPECT_THAT(ModelFile().set_u32("llama.rope.dimension_count", 18).config_error(),
              HasSubstr("odd or larger than a head"));
  EXPECT_THAT(ModelFile().set_u32("llama.rope.dimension_count", 7).config_error(),
              HasSubstr("odd or larger than a head"));
  EXPECT_THAT(ModelFile().set_u32("llama.attention.value_length", 8).config_error(),
              HasSubstr("differs from key_length"));
  EXPECT_THAT(ModelFile().set_u32("llama.embedding_length", 60).config_error(), HasSubstr("not a multiple of 32"));
  EXPECT_THAT(ModelFile().set_u32("llama.vocab_size", 511).config_error(), HasSubstr("has 512 tokens, the model 511"));
}

std::string error_with(const GgufBytes& entry, const TinyModelSpec& spec = {}) {
  return ModelFile(spec).add(entry).config_error();
}

TEST(ModelConfig, NamesWhatItCannotRun) {
  EXPECT_THAT(error_with(GgufBytes().key("llama.rope.scaling.type", 8).text("longrope")),
              HasSubstr("llama.rope.scaling.type is \"longrope\"; this build knows none, linear, yarn and Llama 3's"));
  EXPECT_THAT(error_with(GgufBytes().key("llama.rope.scaling.type", 8).text("dynamic")), HasSubstr("is \"dynamic\""));
  EXPECT_THAT(error_with(GgufBytes().key("llama.rope.scaling.factor", 6).put(0.5f)), HasSubstr("not a number from 1"));
  EXPECT_THAT(error_with(GgufBytes().key("llama.rope.scaling.factor", 6).put(NAN)), HasSubstr("not a positive number"));
  EXPECT_EQ(error_with(GgufBytes().key("llama.expert_count", 4).u32(8)),
            "model: llama.expert_count is set; this build does not run mixtures of experts");
  EXPECT_THAT(error_with(GgufBytes().key("llama.attention.causal", 7).put<std::uint8_t>(0)),
              HasSubstr("attention.causal is false"));
  EXPECT_THAT(error_with(GgufBytes().key("llama.attention.clamp_kqv", 6).put(8.0f)),
              HasSubstr("llama.attention.clamp_kqv is set; this build does not know what it changes"));
  EXPECT_THAT(error_with(GgufBytes().key("llama.logit_scale", 6).put(0.5f)), HasSubstr("llama.logit_scale is set"));
  EXPECT_THAT(error_with(GgufBytes().key("llama.rope.scaling.yarn_log_multiplier", 6).put(0.1f)),
              HasSubstr("yarn_log_multiplier is set"));
  EXPECT_THAT(error_with(GgufBytes().key("llama.new_thing", 9).u32(7).u64(1).put<std::uint8_t>(0)),
              HasSubstr("llama.new_thing is set"));
  EXPECT_THAT(ModelFile()
                  .rename("llama.attention.head_count", "lXama.attention.head_count")
                  .add(GgufBytes().key("llama.attention.head_count", 9).u32(5).u64(2).u32(4).u32(4))
                  .config_error(),
              HasSubstr("differs by layer"));
  for (const std::string name : {"", "qwen2moe", "phi3"}) {
    ModelFile file;
    file.rename("general.architecture", "general.architecturX")
        .add(GgufBytes().key("general.architecture", 8).text(name));
    EXPECT_EQ(file.config_error(),
              "model: general.architecture is \"" + name + "\"; this build runs llama, qwen2, qwen3, gemma3");
  }
}

TEST(ModelConfig, TakesKeysThatSayNothing) {
  EXPECT_EQ(error_with(GgufBytes().key("llama.rope.scaling.type", 8).text("none")), "(no error)");
  EXPECT_EQ(error_with(GgufBytes().key("llama.expert_count", 4).u32(0)), "(no error)");
  EXPECT_EQ(error_with(GgufBytes().key("llama.rope.scaling.factor", 6).put(1.0f)), "(no error)");
  EXPECT_EQ(error_with(GgufBytes().key("llama.rope.scale_linear", 6).put(0.0f)), "(no error)");
  EXPECT_EQ(error_with(GgufBytes().key("llama.logit_scale", 6).put(1.0f)), "(no error)");
  EXPECT_EQ(error_with(GgufBytes().key("llama.attn_logit_softcapping", 6).put(0.0f)), "(no error)");
  EXPECT_EQ(error_with(GgufBytes().key("llama.use_parallel_residual", 7).put<std::uint8_t>(0)), "(no error)");
  EXPECT_EQ(error_with(GgufBytes().key("llama.tensor_data_layout", 8).text("Meta AI original pth")), "(no error)");
  EXPECT_EQ(error_with(GgufBytes().key("qwen2.attention.clamp_kqv", 6).put(8.0f)), "(no error)");
}

ModelConfig config_of(const ModelFile& model) {
  auto config = read_model_config(*model.parse());
  if (!config) throw std::runtime_error(config.error().message);
  return *config;
}

TinyModelSpec spec_of(const std::string& family) {
  for (const testing::TinyFamily& each : testing::tiny_families())
    if (each.name == family) return each.spec;
  throw std::runtime_error("no family " + family);
}

TEST(ModelConfig, ReadsEveryFamily) {
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

TEST(ModelConfig, TensorsOfAFamilyAreThereOrNull) {
  for (const testing::TinyFamily& family : testing::tiny_families()) {
    const auto file = ModelFile(family.spec).parse();
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

TEST(ModelConfig, ReadsRopeScaling) {
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

TEST(ModelConfig, ReadsYarn) {
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

TEST(ModelConfig, GemmaHasLocalLayers) {
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

TEST(ModelConfig, AWindowPatternMayBeAListOfLayers) {
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

TEST(ModelConfig, TheLargestGemmaScalesByItsWidth) {
  TinyModelSpec spec = spec_of("Gemma 3");
  spec.layers = 62, spec.hidden = 32, spec.ffn = 32, spec.heads = 2, spec.head_dim = 32;
  spec.matrices = spec.embedding = TinyType::q8_0, spec.vocabulary = 330;
  EXPECT_EQ(config_of(ModelFile(spec)).attention_scale, 0.25f);  // 1 / sqrt(32 / 2)
  spec.layers = 61;
  EXPECT_EQ(config_of(ModelFile(spec)).attention_scale, static_cast<float>(1 / std::sqrt(32.0)));
}

TEST(ModelConfig, WindowsOfOtherArchitectures) {
  const ModelConfig mistral = config_of(ModelFile(spec_of("Mistral")));
  EXPECT_EQ(mistral.sliding_window, 40u);
  EXPECT_TRUE(mistral.is_local(0) && mistral.is_local(1));
  EXPECT_EQ(mistral.local_rope.base, mistral.rope.base);
  EXPECT_EQ(config_of(ModelFile().add(GgufBytes().key("llama.attention.sliding_window", 4).u32(4096))).sliding_window,
            0u);
  EXPECT_EQ(config_of(ModelFile().add(GgufBytes().key("llama.attention.sliding_window", 4).u32(0))).sliding_window, 0u);
  EXPECT_THAT(error_with(GgufBytes().key("qwen2.attention.sliding_window", 4).u32(64), spec_of("Qwen2")),
              HasSubstr("qwen2.attention.sliding_window is shorter than the context; which layers"));
}

TEST(ModelConfig, AFileThatIsNoModelByItself) {
  EXPECT_EQ(error_with(GgufBytes().key("general.type", 8).text("adapter")),
            "model: general.type is \"adapter\": this file is no model by itself");
  EXPECT_EQ(error_with(GgufBytes().key("general.type", 8).text("model")), "(no error)");
}

TEST(ModelConfig, NamesMissingTensorsOfAFamily) {
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

TEST(ModelConfig, NamesTensorsOfAnotherArchitecture) {
  ModelFile file(spec_of("Qwen3"));
  EXPECT_THAT(ModelFile().rename("output_norm.weight", "rope_factors_longX").config_error(), HasSubstr("is missing"));
  file.rename("general.architecture", "general.architecturX")
      .add(GgufBytes().key("general.architecture", 8).text("qwen3moe"));
  EXPECT_THAT(file.config_error(), HasSubstr("is \"qwen3moe\"; this build runs"));
  EXPECT_EQ(ModelFile(spec_of("Llama 3")).rename("rope_freqs.weight", "rope_freXs.weight").config_error(),
            "model: tensor rope_freXs.weight is not part of a llama model as this build knows it");
}

TEST(ModelConfig, RefusesDivisorsThatTurnTooFast) {
  TinyModelSpec spec = spec_of("Llama 3");
  for (const float bad : {0.0f, -1.0f, NAN, INFINITY, 1e-10f}) {
    EXPECT_EQ(ModelFile(spec).set_last_divisor(bad).config_error(),
              "model: tensor rope_freqs.weight has a divisor that is not from 0.25 to 1e6");
  }
  EXPECT_EQ(ModelFile(spec).set_last_divisor(32.0f).config_error(), "(no error)");
  EXPECT_THAT(ModelFile().set_float("llama.rope.freq_base", 1.0f).config_error(), HasSubstr("is not above 1"));
}

TEST(ModelConfig, NamesTensorsThatDoNotFit) {
  EXPECT_EQ(ModelFile().rename("blk.1.attn_k.weight", "blk.1.attn_X.weight").config_error(),
            "model: tensor blk.1.attn_k.weight is missing");
  EXPECT_EQ(ModelFile().set_u32("llama.block_count", 1).config_error(),
            "model: tensor blk.1.attn_norm.weight is not part of a llama model as this build knows it");
  EXPECT_EQ(ModelFile().set_u32("llama.feed_forward_length", 128).config_error(),
            "model: tensor blk.0.ffn_gate.weight has the shape {64, 96}, expected {64, 128}");
  TinyModelSpec wide;
  wide.hidden = 256, wide.matrices = TinyType::q8_0;
  EXPECT_EQ(ModelFile(wide).set_type("blk.0.attn_q.weight", 10).config_error(),
            "model: tensor blk.0.attn_q.weight is Q2_K; this build loads F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, "
            "Q4_K, Q5_K, Q6_K, BF16");
}

TEST(Vocabulary, ReadsTokensAndSpecials) {
  const auto file = ModelFile().parse();
  const auto vocabulary = read_vocabulary(*file);
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->model, "gpt2");
  EXPECT_EQ(vocabulary->pre, "smollm");
  EXPECT_EQ(vocabulary->tokens.size(), 512u);
  EXPECT_EQ(vocabulary->tokens[2], "<|im_end|>");
  EXPECT_EQ(vocabulary->types[2], TokenType::control);
  EXPECT_EQ(vocabulary->types[10], TokenType::normal);
  EXPECT_EQ(vocabulary->types[511], TokenType::unused);
  EXPECT_EQ(vocabulary->merges.front(), "Ġ t");
  EXPECT_EQ(vocabulary->bos, 1);
  EXPECT_EQ(vocabulary->eos, 2);
  EXPECT_EQ(vocabulary->unknown, 0);
  EXPECT_EQ(vocabulary->padding, std::nullopt);
  EXPECT_EQ(vocabulary->add_bos, false);
}

TEST(Vocabulary, NamesWhatIsWrong) {
  EXPECT_THAT(ModelFile().rename("tokenizer.ggml.model", "tokenizer.ggml.modeX").vocabulary_error(),
              HasSubstr("tokenizer.ggml.model is missing"));
  EXPECT_THAT(ModelFile().rename("tokenizer.ggml.tokens", "tokenizer.ggml.tokenX").vocabulary_error(),
              HasSubstr("tokenizer.ggml.tokens is missing"));
  EXPECT_THAT(ModelFile().set_u32("tokenizer.ggml.eos_token_id", 512).vocabulary_error(),
              HasSubstr("eos_token_id is not the id of a token"));
  EXPECT_THAT(ModelFile()
                  .rename("tokenizer.ggml.token_type", "tokenizer.ggml.token_typX")
                  .add(GgufBytes().key("tokenizer.ggml.token_type", 9).u32(5).u64(2).u32(1).u32(1))
                  .vocabulary_error(),
              HasSubstr("tokenizer.ggml.token_type"));
}

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

TEST(DefaultModel, LoadsWhenItIsThere) {
  const std::string path = testing::default_model_path();
  if (path.empty()) GTEST_SKIP() << "the default model was not fetched";
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto config = read_model_config(**file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->layers, 30u);
  EXPECT_EQ(config->kv_dim(), 192u);
  EXPECT_TRUE(config->tied_output);
  const auto vocabulary = read_vocabulary(**file);
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->tokens.size(), 49152u);
  EXPECT_EQ(vocabulary->merges.size(), 48900u);
}

}  // namespace
}  // namespace kvasir
