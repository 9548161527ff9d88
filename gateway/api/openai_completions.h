#pragma once

#include <string>
#include <variant>
#include <vector>

#include "gateway/api/generation_options.h"

namespace kvasir {

struct CompletionRequest {
  using Prompt = std::variant<std::string, std::vector<TokenId>>;
  GenerationOptions options;
  std::vector<Prompt> prompts;  // not empty
  bool echo = false;
};

// Body of POST /v1/completions. Errors name the member and what is allowed. Whether ids are in the vocabulary is
// checked later, with the model.
Result<CompletionRequest> parse_completion_request(const Value& body, const LimitsConfig& limits);

// A JSON array of token ids; nothing when an element is no id.
std::optional<std::vector<TokenId>> token_ids_of(const Value::Array& array);

}  // namespace kvasir
