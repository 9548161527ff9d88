#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gateway/api/conversation.h"
#include "gateway/api/errors.h"
#include "gateway/api/plan.h"

namespace kvasir {

// Body of POST /tokenize: a text or a conversation.
struct TokenizeRequest {
  std::string model;  // empty: the only model there is
  std::string text;
  std::optional<Conversation> conversation;  // set: instead of text
  bool add_special_tokens = true;            // BOS in front of text where the model wants one
  bool parse_special = false;                // special tokens written in the text become control tokens
};
Result<TokenizeRequest> parse_tokenize_request(const Value& body);
// A conversation has the ids that a chat request with it would have.
HttpResponse answer_tokenize(const TokenizeRequest& request, const Model& model, const CallContext& call);

// Body of POST /detokenize.
struct DetokenizeRequest {
  std::string model;
  std::vector<TokenId> tokens;
};
Result<DetokenizeRequest> parse_detokenize_request(const Value& body);
HttpResponse answer_detokenize(const DetokenizeRequest& request, const Model& model);

}  // namespace kvasir
