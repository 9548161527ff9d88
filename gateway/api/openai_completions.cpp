#include "gateway/api/openai_completions.h"

#include <limits>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace kvasir {
namespace {

constexpr std::int64_t kLogprobsMax = 5;

void fail_prompt(FieldReader& fields) {
  fields.fail("prompt",
              "must be a string, an array of strings, an array of token ids, or an array of arrays of token ids");
}

std::optional<CompletionRequest::Prompt> prompt_of(const Value& value) {
  if (const std::string* text = value.as_string()) return *text;
  const Value::Array* array = value.as_array();
  if (!array || array->empty()) return std::nullopt;
  std::optional<std::vector<TokenId>> ids = token_ids_of(*array);
  return ids ? std::optional<CompletionRequest::Prompt>(std::move(*ids)) : std::nullopt;
}

void read_prompts(FieldReader& fields, const LimitsConfig& limits, std::vector<CompletionRequest::Prompt>& prompts) {
  const Value* value = fields.any("prompt");
  if (!value) return fields.fail("prompt", "is required");
  if (auto one = prompt_of(*value)) {
    prompts.push_back(std::move(*one));
    return;
  }
  const Value::Array* list = value->as_array();
  if (!list || list->empty()) return fail_prompt(fields);
  if (list->size() > limits.requests_waiting)
    return fields.fail("prompt", fmt::format("may hold at most {} prompts", limits.requests_waiting));
  for (const Value& element : *list) {
    auto one = prompt_of(element);
    if (!one) return fail_prompt(fields);
    prompts.push_back(std::move(*one));
  }
}

void read_logprobs(FieldReader& fields, CompletionRequest& request) {
  const auto top = fields.integer("logprobs", 0, kLogprobsMax);
  if (!top) return;
  if (request.echo) return fields.fail("logprobs", "is not supported together with 'echo'");
  request.options.sampling.want_logprobs = true;
  request.options.sampling.logprobs = static_cast<std::uint32_t>(*top);
}

void refuse_unsupported(FieldReader& fields, std::uint32_t n) {
  if (const auto suffix = fields.string("suffix"); suffix && !suffix->empty())
    fields.fail("suffix", "is not supported");
  const auto best_of = fields.integer("best_of", 1, std::numeric_limits<std::int32_t>::max());
  if (best_of && *best_of != n) fields.fail("best_of", "is not supported unless it equals 'n'");
}

}  // namespace

std::optional<std::vector<TokenId>> token_ids_of(const Value::Array& array) {
  std::vector<TokenId> ids;
  ids.reserve(array.size());
  for (const Value& element : array) {
    const std::optional<std::int64_t> id = integer_of(element);
    if (!id) return std::nullopt;
    if (*id < 0 || *id > std::numeric_limits<TokenId>::max())
      ids.push_back(-1);  // a number, but no id of any vocabulary: the check against the model names it
    else
      ids.push_back(static_cast<TokenId>(*id));
  }
  return ids;
}

Result<CompletionRequest> parse_completion_request(const Value& body, const LimitsConfig& limits) {
  const Value::Object* object = body.as_object();
  if (!object) return error(ErrorCode::invalid_argument, "the body must be a JSON object");
  FieldReader fields(*object);
  CompletionRequest request;
  request.options = read_generation_options(fields, limits);
  read_prompts(fields, limits, request.prompts);
  request.echo = fields.boolean("echo").value_or(false);
  read_logprobs(fields, request);
  refuse_unsupported(fields, request.options.n);
  if (!fields.ok()) return fields.error();
  for (const std::string& name : fields.unknown()) spdlog::debug("completion request: unknown member '{}'", name);
  return request;
}

}  // namespace kvasir
