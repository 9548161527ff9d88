#include "gateway/api/plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "gateway/api/openai_answers.h"
#include "gateway/api/template_variables.h"

namespace kvasir {
namespace {

constexpr std::uint32_t kCompletionTokensDefault = 16;

bool in_vocabulary(const Model& model, TokenId id) {
  return id >= 0 && static_cast<std::uint32_t>(id) < model.tokenizer->size();
}

ApiError out_of_vocabulary(const Model& model, std::string param) {
  return bad_request(fmt::format("'{}' holds a token id that is not in the vocabulary: allowed are 0 to {}", param,
                                 model.tokenizer->size() - 1),
                     param);
}

std::optional<ApiError> check_prompts(const GenerationPlan& plan, const std::string& param) {
  const std::uint32_t context = plan.model->engine->context_tokens();
  for (const PromptInput& prompt : plan.prompts) {
    if (prompt.ids.empty())
      return bad_request(fmt::format("'{}' holds an empty prompt: at least one token is needed", param), param);
    if (prompt.ids.size() >= context)
      return bad_request(
          fmt::format("the prompt has {} tokens, but the model's context is {} tokens, at least one of them "
                      "for the answer; shorten '{}'",
                      prompt.ids.size(), context, param),
          param, "context_length_exceeded");
  }
  return std::nullopt;
}

// The room left in the context by the longest prompt; an answer that wants more ends there with "length".
std::uint32_t answer_tokens(const GenerationPlan& plan, std::optional<std::uint32_t> wanted) {
  std::size_t longest = 0;
  for (const PromptInput& prompt : plan.prompts) longest = std::max(longest, prompt.ids.size());
  const auto room = plan.model->engine->context_tokens() - static_cast<std::uint32_t>(longest);
  return std::min(wanted.value_or(room), room);
}

GenerationPlan common_plan(const GenerationOptions& options, const Model& model, const CallContext& call) {
  GenerationPlan plan;
  plan.model = &model;
  plan.head = {.id = call.id,
               .model = model.name,
               .system_fingerprint = model.system_fingerprint,
               .created = call.unix_now,
               .want_logprobs = options.sampling.want_logprobs,
               .include_usage = options.include_usage};
  plan.n = options.n;
  plan.sampling = options.sampling;
  if (!options.has_seed) plan.sampling.seed = call.random_seed;
  plan.stops = options.stops;
  plan.ignore_eos = options.ignore_eos;
  plan.stream = options.stream;
  plan.salt = call.authenticator->salt(call.tenant, options.cache_salt);
  plan.tenant = call.tenant;
  plan.arrived = call.arrived;
  plan.deadline = call.deadline;
  return plan;
}

std::optional<ApiError> check_bias(const GenerationPlan& plan) {
  for (const auto& [id, weight] : plan.sampling.logit_bias)
    if (!in_vocabulary(*plan.model, id)) return out_of_vocabulary(*plan.model, "logit_bias");
  return std::nullopt;
}

ApiResult<GenerationPlan> checked(GenerationPlan plan, const std::string& param, std::optional<std::uint32_t> wanted) {
  if (auto bad = check_bias(plan)) return *bad;
  if (auto bad = check_prompts(plan, param)) return *bad;
  plan.max_tokens = answer_tokens(plan, wanted);
  return plan;
}

ApiResult<PromptInput> tokenize_prompt(const CompletionRequest::Prompt& prompt, const Model& model, bool echo) {
  PromptInput input;
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&prompt)) {
    for (const TokenId id : *ids)
      if (!in_vocabulary(model, id)) return out_of_vocabulary(model, "prompt");
    input.ids = *ids;
    if (echo) input.echo = model.tokenizer->decode(*ids);
    return input;
  }
  const std::string& text = std::get<std::string>(prompt);
  input.ids = tokenize_text(*model.tokenizer, text, false, true);
  if (echo) input.echo = text;
  return input;
}

ApiResult<PromptText> render_conversation(const Conversation& conversation, const Model& model,
                                          const std::string& local_now) {
  if (!model.chat_template)
    return bad_request(fmt::format("the model '{}' has no chat template; use /v1/completions", model.name), "model");
  const Value variables = template_variables(conversation, model.template_features, model.bos_text, model.eos_text);
  Result<PromptText> prompt = model.chat_template->render(variables, local_now);
  if (!prompt) return bad_request("the chat template refused the messages: " + prompt.error().message, "messages");
  return std::move(*prompt);
}

// The end of a prompt as far as the template wrote it.
std::string template_tail(const PromptText& prompt) {
  constexpr std::size_t kTailBytes = 256;
  std::string tail;
  for (auto segment = prompt.segments.rbegin(); segment != prompt.segments.rend(); ++segment) {
    if (!segment->from_template || tail.size() > kTailBytes) break;
    tail.insert(0, segment->text);
  }
  return tail;
}

std::shared_ptr<const std::set<std::string>> ids_of_calls(const Conversation& conversation) {
  auto ids = std::make_shared<std::set<std::string>>();
  for (const Message& message : conversation.messages)
    for (const Value& call : message.tool_calls)
      if (const Value* id = call.find("id"); id && id->as_string()) ids->insert(*id->as_string());
  return ids;
}

ReplyRules reply_rules(const ChatRequest& request, const Model& model, const CallContext& call,
                       const PromptText& prompt) {
  ReplyRules rules;
  rules.format = &model.reply_format;
  rules.in_reasoning = model.reply_format.opens_reasoning(template_tail(prompt));
  rules.parallel_calls = request.parallel_calls;
  rules.id_seed = call.random_seed;
  rules.id_length = model.template_features.call_id_length;
  if (!request.may_call || request.conversation.tools.empty()) return rules;
  rules.tools = std::make_shared<const ToolSchemas>(request.conversation.tools);
  rules.used_ids = ids_of_calls(request.conversation);
  return rules;
}

// Brings the conversation to its canonical form.
CanonicalReport canonicalize(Conversation& conversation, const Model& model, const CallContext& call,
                             const Salt& salt) {
  const RuleContext context{&model.template_features, call.calls, salt};
  return call.rules ? call.rules->apply(conversation, context) : Canonicalizer().apply(conversation, context);
}

}  // namespace

std::vector<TokenId> tokenize_text(const Tokenizer& tokenizer, const std::string& text, bool special, bool add_bos) {
  std::vector<TokenId> ids = special ? tokenizer.encode_with_specials(text) : tokenizer.encode(std::string_view(text));
  const std::optional<TokenId> bos = tokenizer.bos();
  if (add_bos && tokenizer.add_bos() && bos && (ids.empty() || ids.front() != *bos)) ids.insert(ids.begin(), *bos);
  return ids;
}

ApiResult<ConversationTokens> tokenize_conversation(Conversation conversation, const Model& model,
                                                    const CallContext& call) {
  ConversationTokens tokens;
  tokens.canonical = canonicalize(conversation, model, call, call.authenticator->salt(call.tenant, {}));
  const ApiResult<PromptText> prompt = render_conversation(conversation, model, call.local_now);
  if (const ApiError* bad = std::get_if<ApiError>(&prompt)) return *bad;
  tokens.ids = model.tokenizer->encode(std::get<0>(prompt));
  return tokens;
}

ApiResult<GenerationPlan> plan_chat(const ChatRequest& request, const Model& model, const CallContext& call) {
  GenerationPlan plan = common_plan(request.options, model, call);
  Conversation conversation = request.conversation;
  plan.canonical = canonicalize(conversation, model, call, plan.salt);
  const ApiResult<PromptText> prompt = render_conversation(conversation, model, call.local_now);
  if (const ApiError* bad = std::get_if<ApiError>(&prompt)) return *bad;
  plan.head.id = "chatcmpl-" + call.id;
  plan.format = make_chat_format();
  plan.reply = reply_rules(request, model, call, std::get<0>(prompt));
  plan.calls = call.calls;
  plan.prompts.push_back({model.tokenizer->encode(std::get<0>(prompt)), {}});
  return checked(std::move(plan), "messages", request.options.max_tokens);
}

ApiResult<GenerationPlan> plan_completion(const CompletionRequest& request, const Model& model,
                                          const CallContext& call) {
  GenerationPlan plan = common_plan(request.options, model, call);
  plan.head.id = "cmpl-" + call.id;
  plan.format = make_completions_format();
  for (const CompletionRequest::Prompt& prompt : request.prompts) {
    ApiResult<PromptInput> input = tokenize_prompt(prompt, model, request.echo);
    if (const ApiError* bad = std::get_if<ApiError>(&input)) return *bad;
    plan.prompts.push_back(std::get<0>(std::move(input)));
  }
  return checked(std::move(plan), "prompt", request.options.max_tokens.value_or(kCompletionTokensDefault));
}

}  // namespace kvasir
