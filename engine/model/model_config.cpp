#include "engine/model/model_config.h"

#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

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
constexpr std::uint32_t kGroup = 32;  // activations are quantized per group of this many elements

// Reads numbers of one architecture and keeps the first error.
class ConfigReader {
 public:
  explicit ConfigReader(const GgufFile& file) : file_(file) {}

  std::uint32_t number(const std::string& key, std::uint64_t max, std::optional<std::uint64_t> otherwise = {}) {
    if (file_.meta(key) == nullptr && !otherwise) return fail(ErrorCode::corrupt, key, "is missing");
    if (const auto* value = file_.meta(key); value && std::holds_alternative<GgufFile::Array>(*value)) {
      return fail(ErrorCode::unsupported, key, "differs by layer (an array)");
    }
    const auto value = file_.meta(key) == nullptr ? otherwise : file_.get_uint(key);
    if (!value || *value == 0 || *value > max) {
      return fail(ErrorCode::corrupt, key, "is not a whole number from 1 to " + std::to_string(max));
    }
    return static_cast<std::uint32_t>(*value);
  }

  float real(const std::string& key, std::optional<double> otherwise = {}) {
    if (file_.meta(key) == nullptr && !otherwise) fail(ErrorCode::corrupt, key, "is missing");
    const auto value = file_.meta(key) == nullptr ? otherwise : file_.get_float(key);
    const bool good = value && std::isfinite(static_cast<float>(*value)) && static_cast<float>(*value) > 0;
    if (!good) fail(ErrorCode::corrupt, key, "is not a positive number");
    return good ? static_cast<float>(*value) : 1.0f;
  }

  std::uint32_t fail(ErrorCode code, const std::string& key, const std::string& what) {
    if (!error_) error_ = error(code, "model: " + key + " " + what);
    return 0;
  }

  const std::optional<Error>& failed() const { return error_; }

 private:
  const GgufFile& file_;
  std::optional<Error> error_;
};

// Keys that change what the model computes and that a plain Llama does not have. Each may be there with the value
// that means nothing.
void refuse_unknown_arithmetic(const GgufFile& file, ConfigReader& reader, std::uint32_t context) {
  const auto scaling = file.get_string("llama.rope.scaling.type");
  if (scaling && *scaling != "none") {
    reader.fail(ErrorCode::unsupported, "llama.rope.scaling.type",
                "is \"" + std::string(*scaling) + "\"; this build knows \"none\" only");
  }
  for (const char* key : {"llama.rope.scale_linear", "llama.rope.scaling.factor", "llama.logit_scale",
                          "llama.embedding_scale", "llama.residual_scale"}) {
    if (file.meta(key) && file.get_float(key).value_or(0) != 1.0) {
      reader.fail(ErrorCode::unsupported, key, "is not 1; this build does not scale there");
    }
  }
  for (const char* key : {"llama.expert_count", "llama.attention.max_alibi_bias", "llama.attention.clamp_kqv",
                          "llama.attention.scale", "llama.attn_logit_softcapping", "llama.final_logit_softcapping"}) {
    if (!file.meta(key) || file.get_uint(key) == 0 || file.get_float(key) == 0.0) continue;
    reader.fail(ErrorCode::unsupported, key, "is set; this build knows plain Llama models without it");
  }
  if (file.get_uint("llama.attention.sliding_window").value_or(context) < context) {
    reader.fail(ErrorCode::unsupported, "llama.attention.sliding_window", "is shorter than the context");
  }
  if (!file.get_bool("llama.attention.causal").value_or(true)) {
    reader.fail(ErrorCode::unsupported, "llama.attention.causal", "is false; this build runs decoders only");
  }
  if (file.get_bool("llama.use_parallel_residual").value_or(false)) {
    reader.fail(ErrorCode::unsupported, "llama.use_parallel_residual", "is true");
  }
}

std::uint64_t embedding_rows(const GgufFile& file) {
  const GgufTensor* embedding = file.tensor("token_embd.weight");
  return embedding != nullptr && embedding->dims.size() == 2 ? embedding->dims[1] : 0;
}

void read_heads(ConfigReader& reader, ModelConfig& config) {
  config.heads = reader.number("llama.attention.head_count", kHeadsMax);
  config.kv_heads = reader.number("llama.attention.head_count_kv", kHeadsMax, config.heads);
  const std::uint64_t head_dim = config.heads ? config.hidden / config.heads : 0;
  config.head_dim = reader.number("llama.attention.key_length", kHeadDimMax, head_dim);
  const std::uint32_t value_dim = reader.number("llama.attention.value_length", kHeadDimMax, config.head_dim);
  config.rope_dim = reader.number("llama.rope.dimension_count", kHeadDimMax, config.head_dim);
  if (reader.failed()) return;
  if (config.heads % config.kv_heads != 0) {
    reader.fail(ErrorCode::corrupt, "llama.attention.head_count", "is not a multiple of head_count_kv");
  }
  if (value_dim != config.head_dim) {
    reader.fail(ErrorCode::unsupported, "llama.attention.value_length", "differs from key_length");
  }
  if (config.rope_dim % 2 != 0 || config.rope_dim > config.head_dim) {
    reader.fail(ErrorCode::corrupt, "llama.rope.dimension_count", "is odd or larger than a head");
  }
}

void check_groups(ConfigReader& reader, const ModelConfig& config) {
  const auto whole = [&](const char* key, std::uint32_t width) {
    if (width % kGroup == 0) return;
    reader.fail(ErrorCode::unsupported, key,
                "gives rows of " + std::to_string(width) + " elements, not a multiple of 32");
  };
  whole("llama.embedding_length", config.hidden);
  whole("llama.feed_forward_length", config.ffn);
  whole("llama.attention.head_count", config.heads * config.head_dim);
}

void check_vocabulary_size(const GgufFile& file, ConfigReader& reader, const ModelConfig& config) {
  const std::vector<std::string>* tokens = file.get_strings("tokenizer.ggml.tokens");
  if (tokens == nullptr || tokens->size() == config.vocabulary) return;
  reader.fail(ErrorCode::corrupt, "tokenizer.ggml.tokens",
              "has " + std::to_string(tokens->size()) + " tokens, the model " + std::to_string(config.vocabulary));
}

std::vector<TokenType> token_types(const std::vector<std::int64_t>& numbers, bool& ok) {
  std::vector<TokenType> types;
  types.reserve(numbers.size());
  for (const std::int64_t number : numbers) {
    ok = ok && number >= 1 && number <= 6;
    types.push_back(static_cast<TokenType>(number));
  }
  return types;
}

// The id under `key`, if it is there; false when it is no token.
bool read_special(const GgufFile& file, const char* key, std::size_t tokens, std::optional<TokenId>& id) {
  if (file.meta(key) == nullptr) return true;
  const auto number = file.get_uint(key);
  if (!number || *number >= tokens) return false;
  id = static_cast<TokenId>(*number);
  return true;
}

Status read_token_types(const GgufFile& file, VocabularyData& vocabulary) {
  const GgufFile::MetaValue* value = file.meta("tokenizer.ggml.token_type");
  if (value == nullptr) return Ok{};
  const auto* array = std::get_if<GgufFile::Array>(value);
  const auto* numbers = array ? std::get_if<std::vector<std::int64_t>>(array) : nullptr;
  bool ok = numbers != nullptr && numbers->size() == vocabulary.tokens.size();
  if (ok) vocabulary.types = token_types(*numbers, ok);
  if (ok) return Ok{};
  return error(ErrorCode::corrupt,
               "model: tokenizer.ggml.token_type is not one signed number from 1 to 6 for each token");
}

Status read_scores(const GgufFile& file, VocabularyData& vocabulary) {
  const GgufFile::MetaValue* value = file.meta("tokenizer.ggml.scores");
  if (value == nullptr) return Ok{};
  const auto* array = std::get_if<GgufFile::Array>(value);
  const auto* numbers = array ? std::get_if<std::vector<double>>(array) : nullptr;
  if (numbers == nullptr || numbers->size() != vocabulary.tokens.size())
    return error(ErrorCode::corrupt, "model: tokenizer.ggml.scores is not one number for each token");
  vocabulary.scores.assign(numbers->begin(), numbers->end());
  return Ok{};
}

Status read_specials(const GgufFile& file, VocabularyData& vocabulary) {
  const std::pair<const char*, std::optional<TokenId>*> specials[] = {
      {"tokenizer.ggml.bos_token_id", &vocabulary.bos},
      {"tokenizer.ggml.eos_token_id", &vocabulary.eos},
      {"tokenizer.ggml.eot_token_id", &vocabulary.eot},
      {"tokenizer.ggml.unknown_token_id", &vocabulary.unknown},
      {"tokenizer.ggml.padding_token_id", &vocabulary.padding},
  };
  for (const auto& [key, id] : specials) {
    if (!read_special(file, key, vocabulary.tokens.size(), *id)) {
      return error(ErrorCode::corrupt, std::string("model: ") + key + " is not the id of a token");
    }
  }
  return Ok{};
}

}  // namespace

Result<ModelConfig> read_model_config(const GgufFile& file) {
  ModelConfig config;
  config.architecture = file.get_string("general.architecture").value_or("");
  config.name = file.get_string("general.name").value_or("");
  if (config.architecture != "llama") {
    return error(ErrorCode::unsupported,
                 "model: general.architecture is \"" + config.architecture + "\"; this build runs \"llama\" only");
  }
  ConfigReader reader(file);
  config.layers = reader.number("llama.block_count", kLayersMax);
  config.context_tokens = reader.number("llama.context_length", kContextMax);
  config.hidden = reader.number("llama.embedding_length", kWidthMax);
  config.ffn = reader.number("llama.feed_forward_length", kWidthMax);
  read_heads(reader, config);
  config.vocabulary = reader.number("llama.vocab_size", kVocabularyMax, embedding_rows(file));
  config.rope.base = reader.real("llama.rope.freq_base", 10000.0);
  config.attention_scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
  config.rms_epsilon = reader.real("llama.attention.layer_norm_rms_epsilon");
  config.tied_output = file.tensor("output.weight") == nullptr;
  refuse_unknown_arithmetic(file, reader, config.context_tokens);
  check_groups(reader, config);
  check_vocabulary_size(file, reader, config);
  if (reader.failed()) return *reader.failed();
  auto tensors = find_tensors(file, config);
  if (!tensors) return error(tensors.error().code, "model: " + tensors.error().message);
  return config;
}

Result<VocabularyData> read_vocabulary(const GgufFile& file) {
  VocabularyData vocabulary;
  const auto model = file.get_string("tokenizer.ggml.model");
  if (!model) return error(ErrorCode::corrupt, "model: tokenizer.ggml.model is missing");
  const std::vector<std::string>* tokens = file.get_strings("tokenizer.ggml.tokens");
  if (tokens == nullptr || tokens->empty()) {
    return error(ErrorCode::corrupt, "model: tokenizer.ggml.tokens is missing or not a list of strings");
  }
  vocabulary.model = *model;
  vocabulary.pre = file.get_string("tokenizer.ggml.pre").value_or("");
  vocabulary.tokens = *tokens;
  if (const auto* merges = file.get_strings("tokenizer.ggml.merges")) vocabulary.merges = *merges;
  vocabulary.add_bos = file.get_bool("tokenizer.ggml.add_bos_token");
  vocabulary.add_eos = file.get_bool("tokenizer.ggml.add_eos_token");
  vocabulary.add_space_prefix = file.get_bool("tokenizer.ggml.add_space_prefix");
  vocabulary.remove_extra_spaces = file.get_bool("tokenizer.ggml.remove_extra_whitespaces").value_or(false);
  if (Status scores = read_scores(file, vocabulary); !scores) return std::move(scores).error();
  if (Status types = read_token_types(file, vocabulary); !types) return std::move(types).error();
  if (Status specials = read_specials(file, vocabulary); !specials) return std::move(specials).error();
  return vocabulary;
}

WeightsDigest weights_digest(const GgufFile& file, const ModelConfig& config) {
  Sha256 hash;
  hash.update_sized("kvasir weights 1").update_sized(config.architecture);
  for (const std::uint32_t number :
       {config.layers, config.hidden, config.ffn, config.heads, config.kv_heads, config.head_dim, config.rope_dim,
        config.vocabulary, std::bit_cast<std::uint32_t>(config.rope.base),
        std::bit_cast<std::uint32_t>(config.rms_epsilon), std::uint32_t{config.tied_output}}) {
    hash.update_u64(number);
  }
  hash.update_u64(file.tensors().size());
  for (const GgufTensor& tensor : file.tensors()) {
    hash.update_sized(tensor.name).update_u64(tensor.type).update_u64(tensor.dims.size());
    for (const std::uint64_t dim : tensor.dims) hash.update_u64(dim);
    hash.update_sized(tensor.data);
  }
  return WeightsDigest{hash.finish()};
}

}  // namespace kvasir
