#include "gateway/generation.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "gateway/sse.h"
#include "storage/base/assert.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

std::uint64_t seed_of_choice(std::uint64_t seed, std::uint32_t choice) {
  return choice == 0 ? seed : uniform64(seed, choice);
}

// Ids and lengths were checked, so what the engine calls invalid is a prompt that its pool can never hold.
ApiError refusal(const Error& e) {
  ApiError refused = to_api_error(e);
  if (e.code == ErrorCode::invalid_argument) refused.code = "context_length_exceeded";
  return refused;
}

}  // namespace

std::string cache_status(const PromptUsage& usage) {
  return fmt::format("kvasir; {}; detail=\"host={} disk={} computed={}\"",
                     usage.cached_total() > 0 ? "hit" : "fwd=miss", usage.cached[0], usage.cached[1], usage.computed);
}

Generation::Generation(GenerationPlan plan, Metrics& metrics) : plan_(std::move(plan)), metrics_(metrics) {
  KVASIR_ASSERT(plan_.model && plan_.format && !plan_.prompts.empty() && plan_.n > 0);
}

Generation::~Generation() { cancel(Clock::now()); }

void Generation::start(std::function<void()> wakeup) {
  channel_ = std::make_shared<TokenChannel>(std::move(wakeup));
  const auto count = static_cast<std::uint32_t>(plan_.prompts.size()) * plan_.n;
  choices_.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i)
    if (!submit(i)) break;
  if (failure_) cancel_sequences();
}

bool Generation::submit(std::uint32_t index) {
  const PromptInput& prompt = plan_.prompts[index / plan_.n];
  ReplyRules rules = plan_.reply;
  rules.streamed = plan_.stream;
  if (!prompt.ids.empty()) rules.before = prompt.ids.back();
  const bool logprobs = plan_.head.want_logprobs;
  choices_.push_back({ChoiceText(index, *plan_.model->tokenizer, plan_.stops, logprobs, std::move(rules)),
                      std::make_shared<ChoiceListener>(channel_, index),
                      {},
                      {},
                      {},
                      {}});
  choices_.back().text.echo(prompt.echo);
  GenerateRequest request;
  request.prompt = prompt.ids;
  request.salts = {{0, plan_.salt}};
  request.sampling = plan_.sampling;
  request.sampling.seed = seed_of_choice(plan_.sampling.seed, index % plan_.n);
  request.max_tokens = plan_.max_tokens;
  if (!plan_.ignore_eos) request.stop_tokens = plan_.model->stop_tokens;
  request.tenant = plan_.tenant;
  request.arrived = plan_.arrived;
  request.deadline = plan_.deadline;
  request.tells_end = true;
  const Result<SequenceId> sequence = plan_.model->engine->submit(std::move(request), choices_.back().listener);
  if (sequence)
    choices_.back().sequence = *sequence;
  else
    failure_ = refusal(sequence.error());
  return sequence.ok();
}

void Generation::cancel_sequences() {
  for (Choice& choice : choices_)
    if (choice.sequence) plan_.model->engine->cancel(*std::exchange(choice.sequence, std::nullopt));
  if (channel_) channel_->close();
}

void Generation::cancel(TimePoint now) {
  cancel_sequences();
  record(kClientClosed, now);
}

void Generation::apply(TokenEvent& event, TimePoint now) {
  Choice& choice = choices_[event.choice];
  if (const auto* admitted = std::get_if<PromptUsage>(&event.what)) choice.usage = *admitted;
  if (const auto* token = std::get_if<SampledToken>(&event.what)) apply_token(choice, *token, event.at, now);
  if (const auto* info = std::get_if<FinishInfo>(&event.what)) apply_finish(choice, *info, now);
}

void Generation::apply_token(Choice& choice, const SampledToken& token, TimePoint at, TimePoint now) {
  if (choice.text.finished()) return;  // on its way when the stop string was found
  if (choice.last_token) metrics_.observe_inter_token(plan_.model->name, seconds_between(*choice.last_token, at));
  choice.last_token = at;
  if (!first_token_) first_token_ = now;
  choice.text.push(token);
  if (choice.text.finished()) keep_calls(choice.text);
  if (!choice.text.cut_short() || !choice.sequence) return;
  tell_end(*choice.sequence, choice.text);
  plan_.model->engine->cancel(*choice.sequence);
}

// For the cache: the answer to a tool call comes back within seconds, the next turn when a person has read this one.
void Generation::tell_end(SequenceId sequence, const ChoiceText& text) {
  plan_.model->engine->tell_end(sequence, text.calls().empty() ? RequestEnd::end_turn : RequestEnd::tool_use);
}

void Generation::keep_calls(const ChoiceText& text) {
  if (!plan_.calls) return;
  for (const ToolCallDelta& call : text.calls()) plan_.calls->keep(plan_.salt, call.id, call.name, call.arguments);
}

void Generation::apply_finish(Choice& choice, const FinishInfo& info, TimePoint now) {
  const std::optional<SequenceId> sequence = std::exchange(choice.sequence, std::nullopt);
  choice.times = info.times;
  if (!choice.usage) choice.usage = info.usage;
  if (choice.text.finished()) return;
  if (info.reason == FinishReason::stop) {
    choice.text.finish("stop");
    if (sequence) tell_end(*sequence, choice.text);
  }
  if (failure_) return;
  switch (info.reason) {
    case FinishReason::stop:
      return keep_calls(choice.text);
    case FinishReason::length:
      choice.text.finish("length");
      return keep_calls(choice.text);
    case FinishReason::cancelled:
      failure_ = unavailable("the answer was cancelled: it was read too slowly");
      return;
    case FinishReason::failed: {
      failure_ = unavailable(info.message.empty() ? "the engine stopped" : info.message);
      if (plan_.deadline && now >= *plan_.deadline) failure_->code = "request_timeout";
      return;
    }
  }
}

bool Generation::all_finished() const {
  return std::all_of(choices_.begin(), choices_.end(), [](const Choice& c) { return c.text.finished(); });
}

// A prompt counts once, however many choices it has: as its first choice found it.
PromptUsage Generation::prompt_usage() const {
  PromptUsage sum;
  for (std::size_t i = 0; i < choices_.size(); i += plan_.n) {
    const PromptUsage one = choices_[i].usage.value_or(PromptUsage{});
    sum.prompt_tokens += static_cast<std::uint32_t>(plan_.prompts[i / plan_.n].ids.size());
    for (std::size_t tier = 0; tier < kTierCount; ++tier) sum.cached[tier] += one.cached[tier];
    sum.computed += one.computed;
  }
  return sum;
}

Usage Generation::usage() const {
  const PromptUsage prompt = prompt_usage();
  Usage usage{prompt.prompt_tokens, prompt.cached_total(), 0, 0};
  for (const Choice& choice : choices_) {
    usage.completion_tokens += choice.text.tokens();
    usage.reasoning_tokens += choice.text.reasoning_tokens();
  }
  return usage;
}

std::vector<HttpHeader> Generation::headers() const {
  std::vector<HttpHeader> all{{"Cache-Status", cache_status(prompt_usage())}, {"X-Request-Id", plan_.head.id}};
  if (std::string changes = plan_.canonical.header(); !changes.empty())
    all.push_back({"X-Kvasir-Canonical", std::move(changes)});
  return all;
}

void Generation::collect_events() {
  for (Choice& choice : choices_)
    if (const std::optional<ChoiceDelta> delta = choice.text.take())
      for (const std::string& event : plan_.format->events(plan_.head, *delta)) append_sse(events_, event);
}

Generation::Output Generation::step(TimePoint now) {
  if (recorded_) return {.done = true};
  for (TokenEvent& event : channel_->take()) apply(event, now);
  if (failure_) return fail(now);
  if (!plan_.stream) return all_finished() ? finish_whole(now) : Output{};
  collect_events();
  Output out;
  if (!head_sent_ && choices_.front().usage) {
    out.head = HttpResponse{.status = 200, .content_type = "text/event-stream; charset=utf-8", .headers = headers()};
    out.head->headers.push_back({"Cache-Control", "no-cache"});
    head_sent_ = true;
  }
  if (all_finished()) return finish_stream(std::move(out), now);
  if (head_sent_) out.events = std::exchange(events_, {});
  return out;
}

Generation::Output Generation::finish_stream(Output out, TimePoint now) {
  if (plan_.head.include_usage) append_sse(events_, plan_.format->usage_event(plan_.head, usage()));
  append_sse(events_, "[DONE]");
  out.events = std::exchange(events_, {});
  out.done = true;
  record(200, now);
  return out;
}

Generation::Output Generation::finish_whole(TimePoint now) {
  std::vector<ChoiceDelta> all;
  for (std::uint32_t i = 0; i < choices_.size(); ++i)
    all.push_back(choices_[i].text.take().value_or(ChoiceDelta{.index = i}));
  HttpResponse response{.headers = headers(), .body = plan_.format->whole(plan_.head, all, usage())};
  record(200, now);
  return {.response = std::move(response), .done = true};
}

Generation::Output Generation::fail(TimePoint now) {
  cancel_sequences();
  record(failure_->status, now);
  if (!head_sent_) {
    HttpResponse response = error_response(*failure_);
    response.headers.push_back({"X-Request-Id", plan_.head.id});
    return {.response = std::move(response), .done = true};
  }
  append_sse(events_, error_json(*failure_));
  return {.events = std::exchange(events_, {}), .done = true, .close = true};
}

void Generation::record(std::uint32_t status, TimePoint now) {
  if (std::exchange(recorded_, true)) return;
  RequestRecord record{.id = plan_.head.id,
                       .tenant = plan_.tenant,
                       .model = plan_.model->name,
                       .route = plan_.route,
                       .status = status,
                       .stream = plan_.stream,
                       .prompt = prompt_usage(),
                       .completion_tokens = usage().completion_tokens};
  record.duration_seconds = seconds_between(plan_.arrived, now);
  if (first_token_) record.first_token_seconds = seconds_between(plan_.arrived, *first_token_);
  if (!choices_.empty() && choices_.front().times.admitted > plan_.arrived)
    record.queue_seconds = seconds_between(plan_.arrived, choices_.front().times.admitted);
  metrics_.observe_request(record);
}

}  // namespace kvasir
