#include "gateway/api/openai_chat.h"

#include <limits>

#include <spdlog/spdlog.h>

namespace kvasir {
namespace {

void read_logprobs(FieldReader& fields, SamplingParams& sampling) {
  sampling.want_logprobs = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, kTopLogprobsMax);
  if (!top) return;
  if (*top > 0 && !sampling.want_logprobs) return fields.fail("top_logprobs", "needs 'logprobs' to be true");
  sampling.logprobs = static_cast<std::uint32_t>(*top);
}

void refuse_response_format(FieldReader& fields) {
  const Value::Object* format = fields.object("response_format");
  if (!format) return;
  FieldReader inner(*format, "response_format.");
  const std::string type = inner.string("type").value_or("");
  if (type != "text") fields.fail("response_format", "must have type 'text': constrained output is not supported");
}

void read_tool_choice(FieldReader& fields, ChatRequest& request) {
  request.parallel_calls = fields.boolean("parallel_tool_calls").value_or(true);
  const Value* choice = fields.any("tool_choice");
  if (!choice) return;
  const std::string* word = choice->as_string();
  if (!word || (*word != "none" && *word != "auto"))
    return fields.fail("tool_choice", "must be 'none' or 'auto': a call cannot be forced");
  request.may_call = *word == "auto";
}

void refuse_modalities(FieldReader& fields) {
  const Value::Array* list = fields.array("modalities");
  for (std::size_t i = 0; list && i < list->size(); ++i)
    if (const std::string* kind = (*list)[i].as_string(); !kind || *kind != "text")
      return fields.fail("modalities", "must be [\"text\"]: kvasir serves text models");
}

// What would change the answer and is not done must be refused, not ignored.
void refuse_unsupported(FieldReader& fields) {
  refuse_response_format(fields);
  refuse_modalities(fields);
  if (fields.any("audio")) fields.fail("audio", "is not supported: kvasir serves text models");
  if (fields.any("functions")) fields.fail("functions", "is not supported: use 'tools'");
  if (fields.any("function_call")) fields.fail("function_call", "is not supported: use 'tool_choice'");
  if (fields.any("web_search_options")) fields.fail("web_search_options", "is not supported");
}

}  // namespace

Result<ChatRequest> parse_chat_request(const Value& body, const LimitsConfig& limits) {
  const Value::Object* object = body.as_object();
  if (!object) return error(ErrorCode::invalid_argument, "the body must be a JSON object");
  FieldReader fields(*object);
  ChatRequest request;
  request.options = read_generation_options(fields, limits);
  const auto max = fields.integer("max_completion_tokens", 1, std::numeric_limits<TokenId>::max());
  if (max) request.options.max_tokens = static_cast<std::uint32_t>(*max);
  request.conversation = read_openai_conversation(fields);
  read_logprobs(fields, request.options.sampling);
  read_tool_choice(fields, request);
  refuse_unsupported(fields);
  if (!fields.ok()) return fields.error();
  for (const std::string& name : fields.unknown()) spdlog::debug("chat request: unknown member '{}'", name);
  return request;
}

}  // namespace kvasir
