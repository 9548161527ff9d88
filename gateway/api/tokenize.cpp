#include "gateway/api/tokenize.h"

#include <fmt/format.h>

#include "gateway/api/openai_completions.h"
#include "gateway/json_writer.h"

namespace kvasir {
namespace {

Error not_an_object() { return error(ErrorCode::invalid_argument, "the body must be a JSON object"); }

HttpResponse tokens_response(const std::vector<TokenId>& ids, const Model& model) {
  JsonWriter json;
  json.begin_object().member("count", ids.size()).member("max_model_len", model.engine->context_tokens());
  json.key("tokens").begin_array();
  for (const TokenId id : ids) json.value(id);
  return {.body = json.end_array().end_object().take()};
}

}  // namespace

Result<TokenizeRequest> parse_tokenize_request(const Value& body) {
  const Value::Object* object = body.as_object();
  if (!object) return not_an_object();
  FieldReader fields(*object);
  TokenizeRequest request;
  request.model = fields.string("model").value_or("");
  request.add_special_tokens = fields.boolean("add_special_tokens").value_or(true);
  request.parse_special = fields.boolean("special").value_or(fields.boolean("parse_special").value_or(false));
  std::optional<std::string> text = fields.string("prompt");
  if (!text) text = fields.string("text");
  if (fields.any("messages"))
    request.conversation = read_openai_conversation(fields);
  else if (!text)
    fields.fail("prompt", "is required: a string (or 'messages')");
  if (!fields.ok()) return fields.error();
  request.text = text.value_or("");
  return request;
}

HttpResponse answer_tokenize(const TokenizeRequest& request, const Model& model, const CallContext& call) {
  if (!request.conversation)
    return tokens_response(
        tokenize_text(*model.tokenizer, request.text, request.parse_special, request.add_special_tokens), model);
  const ApiResult<ConversationTokens> tokens = tokenize_conversation(*request.conversation, model, call);
  if (const ApiError* bad = std::get_if<ApiError>(&tokens)) return error_response(*bad);
  HttpResponse response = tokens_response(std::get<0>(tokens).ids, model);
  if (std::string changes = std::get<0>(tokens).canonical.header(); !changes.empty())
    response.headers.push_back({"X-Kvasir-Canonical", std::move(changes)});
  return response;
}

Result<DetokenizeRequest> parse_detokenize_request(const Value& body) {
  const Value::Object* object = body.as_object();
  if (!object) return not_an_object();
  FieldReader fields(*object);
  DetokenizeRequest request;
  request.model = fields.string("model").value_or("");
  const Value::Array* tokens = fields.array("tokens");
  std::optional<std::vector<TokenId>> ids = tokens ? token_ids_of(*tokens) : std::nullopt;
  if (!ids) fields.fail("tokens", "is required: an array of token ids");
  if (!fields.ok()) return fields.error();
  request.tokens = std::move(*ids);
  return request;
}

HttpResponse answer_detokenize(const DetokenizeRequest& request, const Model& model) {
  for (const TokenId id : request.tokens)
    if (id < 0 || static_cast<std::uint32_t>(id) >= model.tokenizer->size())
      return error_response(
          bad_request(fmt::format("'tokens' holds an id that is not in the vocabulary: allowed are 0 to {}",
                                  model.tokenizer->size() - 1),
                      "tokens"));
  JsonWriter json;
  json.begin_object().member("prompt", std::string_view(model.tokenizer->decode(request.tokens)));
  return {.body = json.end_object().take()};
}

}  // namespace kvasir
