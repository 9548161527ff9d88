#include <algorithm>
#include <optional>
#include <utility>

#include "engine/model/model_config.h"

namespace kvasir {

namespace {

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
      {"tokenizer.ggml.eom_token_id", &vocabulary.eom},
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

// Numbers of either sign in one kind of list; nothing when it is no list of whole numbers.
std::optional<std::vector<std::int64_t>> whole_numbers(const GgufFile::MetaValue& value) {
  const auto* array = std::get_if<GgufFile::Array>(&value);
  if (array == nullptr) return std::nullopt;
  if (const auto* with_sign = std::get_if<std::vector<std::int64_t>>(array)) return *with_sign;
  const auto* numbers = std::get_if<std::vector<std::uint64_t>>(array);
  if (numbers == nullptr) return std::nullopt;
  return std::vector<std::int64_t>(numbers->begin(), numbers->end());
}

Status read_ends(const GgufFile& file, VocabularyData& vocabulary) {
  for (const char* key : {"tokenizer.ggml.eos_token_ids", "tokenizer.ggml.eog_token_ids"}) {
    const GgufFile::MetaValue* value = file.meta(key);
    if (value == nullptr) continue;
    const auto ids = whole_numbers(*value);
    const auto is_token = [&](std::int64_t id) {
      return id >= 0 && static_cast<std::uint64_t>(id) < vocabulary.tokens.size();
    };
    if (!ids || !std::all_of(ids->begin(), ids->end(), is_token))
      return error(ErrorCode::corrupt, std::string("model: ") + key + " is not a list of ids of tokens");
    for (const std::int64_t id : *ids) vocabulary.ends.push_back(static_cast<TokenId>(id));
  }
  return Ok{};
}

}  // namespace

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
  // Phi-3's own tokenizer; Phi-4 has the same architecture and another one.
  vocabulary.strip_after_specials =
      vocabulary.model == "llama" && file.get_string("general.architecture").value_or("") == "phi3";
  if (Status scores = read_scores(file, vocabulary); !scores) return std::move(scores).error();
  if (Status types = read_token_types(file, vocabulary); !types) return std::move(types).error();
  if (Status specials = read_specials(file, vocabulary); !specials) return std::move(specials).error();
  if (Status ends = read_ends(file, vocabulary); !ends) return std::move(ends).error();
  return vocabulary;
}

}  // namespace kvasir
