#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/model/weights.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/model/model_file.h"

namespace kvasir {
namespace {

using testing::error_with;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::ModelFile;
using testing::TinyModelSpec;
using testing::TinyType;

TEST(ModelConfig, ReadsATinyModel) {
  TinyModelSpec spec;
  spec.rope_base = 50000.0f;
  const ModelFile model(spec);
  const auto file = model.parse();
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
  const ModelFile model(spec);
  const auto file = model.parse();
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
  const ModelFile model;
  const auto file = model.parse();
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
