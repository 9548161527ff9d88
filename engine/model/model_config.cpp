#include "engine/model/model_config.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "engine/model/architecture.h"
#include "engine/model/config_reader.h"
#include "engine/model/rope_config.h"
#include "engine/model/weights.h"
#include "storage/base/hash.h"

namespace kvasir {

namespace {

constexpr std::uint64_t kLayersMax = 1024;
constexpr std::uint64_t kHeadsMax = 1024;
constexpr std::uint64_t kWidthMax = 1u << 17;  // of hidden and ffn
constexpr std::uint64_t kHeadDimMax = 512;
constexpr std::uint64_t kContextMax = 1u << 24;  // tokens
constexpr std::uint64_t kVocabularyMax = 1u << 22;
constexpr std::size_t kDigestPiece = 16u << 20;  // bytes hashed before their pages are given back
constexpr std::uint32_t kGroup = 32;             // activations are quantized per group of this many elements

std::uint64_t embedding_rows(const GgufFile& file) {
  const GgufTensor* embedding = file.tensor("token_embd.weight");
  return embedding != nullptr && embedding->dims.size() == 2 ? embedding->dims[1] : 0;
}

void read_shape(ConfigReader& reader, ModelConfig& config) {
  config.layers = reader.number("block_count", kLayersMax);
  config.context_tokens = reader.number("context_length", kContextMax);
  config.hidden = reader.number("embedding_length", kWidthMax);
  config.ffn = reader.number("feed_forward_length", kWidthMax);
  config.vocabulary = reader.number("vocab_size", kVocabularyMax, embedding_rows(reader.file()));
  config.rms_epsilon = reader.real("attention.layer_norm_rms_epsilon");
  config.tied_output = reader.file().tensor("output.weight") == nullptr;
}

void read_heads(ConfigReader& reader, ModelConfig& config) {
  config.heads = reader.number("attention.head_count", kHeadsMax);
  config.kv_heads = reader.number("attention.head_count_kv", kHeadsMax, config.heads);
  const std::uint64_t head_dim = config.heads ? config.hidden / config.heads : 0;
  config.head_dim = reader.number("attention.key_length", kHeadDimMax, head_dim);
  const std::uint32_t value_dim = reader.number("attention.value_length", kHeadDimMax, config.head_dim);
  config.rope_dim = reader.number("rope.dimension_count", kHeadDimMax, config.head_dim);
  if (reader.failed()) return;
  if (config.heads % config.kv_heads != 0) {
    reader.fail(ErrorCode::corrupt, "attention.head_count", "is not a multiple of head_count_kv");
  }
  if (value_dim != config.head_dim) {
    reader.fail(ErrorCode::unsupported, "attention.value_length", "differs from key_length");
  }
  if (config.rope_dim % 2 != 0 || config.rope_dim > config.head_dim) {
    reader.fail(ErrorCode::corrupt, "rope.dimension_count", "is odd or larger than a head");
  }
}

// A file may give the pattern as a number n (every n-th layer sees everything) or as one flag a layer (true: local).
std::uint32_t read_global_interval(ConfigReader& reader, std::uint32_t layers) {
  constexpr std::string_view kName = "attention.sliding_window_pattern";
  const std::optional<std::vector<bool>> local = reader.flags(kName);
  if (!local) return reader.number(kName, kLayersMax, 6);
  const auto first = std::find(local->begin(), local->end(), false);
  const auto interval = first == local->end() ? 0 : static_cast<std::uint32_t>(first - local->begin() + 1);
  for (std::uint32_t i = 0; i < local->size(); ++i) {
    if (local->size() == layers && (*local)[i] == (interval == 0 || (i + 1) % interval != 0)) continue;
    reader.fail(ErrorCode::unsupported, kName, "is not a layer that sees everything after each run of the same length");
  }
  return interval;
}

void read_window(ConfigReader& reader, const Architecture& architecture, ModelConfig& config) {
  reader.ignore("rope.freq_base_swa");
  config.local_rope = config.rope;
  if (!reader.is_set("attention.sliding_window")) return;
  const std::uint32_t window = reader.number("attention.sliding_window", kContextMax);
  if (architecture.windows_in_runs) {
    config.sliding_window = window;
    config.global_interval = read_global_interval(reader, config.layers);
    config.local_rope = read_local_rope(reader);
  } else if (window < config.context_tokens) {
    config.sliding_window = window;
    if (!architecture.windows_everywhere) {
      reader.fail(ErrorCode::unsupported, "attention.sliding_window",
                  "is shorter than the context; which layers it holds for is not in the file");
    } else if (reader.file().tensor("rope_freqs.weight") != nullptr) {
      reader.fail(ErrorCode::unsupported, "attention.sliding_window",
                  "goes with rope_freqs.weight; this build divides frequencies of layers without a window only");
    }
  }
}

// 1 / sqrt of a head, but Gemma 3 27B (the one with 62 layers) was trained with 1 / sqrt(hidden / heads).
float attention_scale(const Architecture& architecture, const ModelConfig& config) {
  const bool by_width = architecture.name == "gemma3" && config.layers == 62;
  const std::uint32_t width = by_width ? config.hidden / config.heads : config.head_dim;
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(width)));
}

void read_constants(ConfigReader& reader, const Architecture& architecture, ModelConfig& config) {
  const bool named_bias = reader.file().tensor("blk.0.attn_q.bias") != nullptr;
  config.rope_pairing = architecture.rope_pairing;
  config.activation = architecture.activation;
  config.qkv_bias = architecture.qkv_bias || named_bias;
  config.output_bias = reader.file().tensor("blk.0.attn_output.bias") != nullptr;
  config.qk_norm = architecture.qk_norm;
  config.post_norms = architecture.post_norms;
  if (architecture.scales_embedding)
    config.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(config.hidden)));
  if (!reader.failed()) config.attention_scale = attention_scale(architecture, config);
}

// Keys that say nothing about arithmetic, and the ones whose error can be clearer than "is set".
void check_others(ConfigReader& reader) {
  for (const char* name : {"tensor_data_layout", "attention.layer_norm_epsilon", "pooling_type",
                           "decoder_start_token_id", "expert_used_count"}) {
    reader.ignore(name);
  }
  if (reader.is_set("expert_count")) {
    reader.fail(ErrorCode::unsupported, "expert_count", "is set; this build does not run mixtures of experts");
  }
  if (!reader.flag("attention.causal", true)) {
    reader.fail(ErrorCode::unsupported, "attention.causal", "is false; this build runs decoders only");
  }
  reader.refuse_unread();
}

void check_groups(ConfigReader& reader, const ModelConfig& config) {
  const auto whole = [&](const char* name, std::uint32_t width) {
    if (width % kGroup == 0) return;
    reader.fail(ErrorCode::unsupported, name,
                "gives rows of " + std::to_string(width) + " elements, not a multiple of 32");
  };
  whole("embedding_length", config.hidden);
  whole("feed_forward_length", config.ffn);
  whole("attention.head_count", config.heads * config.head_dim);
}

Status check_vocabulary_size(const GgufFile& file, const ModelConfig& config) {
  const std::vector<std::string>* tokens = file.get_strings("tokenizer.ggml.tokens");
  if (tokens == nullptr || tokens->size() == config.vocabulary) return Ok{};
  return error(ErrorCode::corrupt, "model: tokenizer.ggml.tokens has " + std::to_string(tokens->size()) +
                                       " tokens, the model " + std::to_string(config.vocabulary));
}

void hash_rope(Sha256& hash, const RopeConfig& rope) {
  hash.update_u64(static_cast<std::uint64_t>(rope.scaling)).update_u64(rope.original_context);
  for (const float number : {rope.base, rope.factor, rope.beta_fast, rope.beta_slow, rope.attention_factor})
    hash.update_u64(std::bit_cast<std::uint32_t>(number));
}

void hash_config(Sha256& hash, const ModelConfig& config) {
  hash.update_sized(config.architecture);
  for (const std::uint32_t number :
       {config.layers, config.hidden, config.ffn, config.heads, config.kv_heads, config.head_dim, config.rope_dim,
        config.vocabulary, config.sliding_window, config.global_interval})
    hash.update_u64(number);
  for (const float number : {config.rms_epsilon, config.embedding_scale, config.attention_scale})
    hash.update_u64(std::bit_cast<std::uint32_t>(number));
  for (const bool flag : {config.tied_output, config.qkv_bias, config.output_bias, config.qk_norm, config.post_norms,
                          config.rope_pairing == RopePairing::halves, config.activation == Activation::gelu_tanh})
    hash.update_u64(flag);
  hash_rope(hash, config.rope);
  hash_rope(hash, config.local_rope);
}

}  // namespace

namespace {

Result<ModelConfig> read_config(const GgufFile& file, std::vector<Error>& errors) {
  const std::string_view type = file.get_string("general.type").value_or("model");
  if (type != "model") {
    return error(ErrorCode::unsupported,
                 "model: general.type is \"" + std::string(type) + "\": this file is no model by itself");
  }
  ModelConfig config;
  config.architecture = file.get_string("general.architecture").value_or("");
  config.name = file.get_string("general.name").value_or("");
  const Architecture* architecture = find_architecture(config.architecture);
  if (architecture == nullptr) {
    return error(ErrorCode::unsupported, "model: general.architecture is \"" + config.architecture +
                                             "\"; this build runs " + architecture_names());
  }
  ConfigReader reader(file, config.architecture);
  read_shape(reader, config);
  read_heads(reader, config);
  config.rope = read_rope(reader, config.context_tokens);
  read_window(reader, *architecture, config);
  read_constants(reader, *architecture, config);
  check_others(reader);
  if (!reader.failed()) check_groups(reader, config);
  errors = reader.errors();
  if (reader.failed()) return errors.front();
  if (Status sizes = check_vocabulary_size(file, config); !sizes) errors.push_back(std::move(sizes).error());
  if (!find_tensors(file, config, &errors) || !errors.empty()) return errors.front();
  return config;
}

}  // namespace

Result<ModelConfig> read_model_config(const GgufFile& file, std::vector<Error>* all) {
  std::vector<Error> errors;
  Result<ModelConfig> config = read_config(file, errors);
  if (!config && errors.empty()) errors.push_back(config.error());
  if (all != nullptr) *all = std::move(errors);
  return config;
}

WeightsDigest weights_digest(const GgufFile& file, const ModelConfig& config) {
  Sha256 hash;
  hash.update_sized("kvasir weights 2");
  hash_config(hash, config);
  hash.update_u64(file.tensors().size());
  for (const GgufTensor& tensor : file.tensors()) {
    hash.update_sized(tensor.name).update_u64(tensor.type).update_u64(tensor.dims.size());
    for (const std::uint64_t dim : tensor.dims) hash.update_u64(dim);
    hash.update_u64(tensor.data.size());
    for (std::size_t at = 0; at < tensor.data.size(); at += kDigestPiece) {
      const std::span<const std::byte> piece = tensor.data.subspan(at, std::min(kDigestPiece, tensor.data.size() - at));
      hash.update(piece);
      file.drop_pages(piece);
    }
  }
  return WeightsDigest{hash.finish()};
}

}  // namespace kvasir
