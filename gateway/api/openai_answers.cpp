#include "gateway/api/openai_answers.h"

#include <map>

#include "gateway/json_writer.h"

namespace kvasir {
namespace {

void write_head(JsonWriter& json, const AnswerHead& head, std::string_view object) {
  json.member("id", std::string_view(head.id)).member("object", object).member("created", head.created);
  json.member("model", std::string_view(head.model));
  json.member("system_fingerprint", std::string_view(head.system_fingerprint));
}

void write_usage(JsonWriter& json, const Usage& usage) {
  json.key("usage").begin_object();
  json.member("prompt_tokens", usage.prompt_tokens).member("completion_tokens", usage.completion_tokens);
  json.member("total_tokens", usage.prompt_tokens + usage.completion_tokens);
  json.key("prompt_tokens_details").begin_object().member("cached_tokens", usage.cached_tokens).end_object();
  json.key("completion_tokens_details").begin_object().member("reasoning_tokens", usage.reasoning_tokens).end_object();
  json.end_object();
}

void write_finish(JsonWriter& json, std::string_view reason) {
  if (reason.empty())
    json.null_member("finish_reason");
  else
    json.member("finish_reason", reason);
}

// Events carry "usage": null when the stream will end with a usage event.
void write_no_usage(JsonWriter& json, const AnswerHead& head) {
  if (head.include_usage) json.null_member("usage");
}

void write_token(JsonWriter& json, const TokenText& token) {
  json.member("token", std::string_view(token.bytes)).key("bytes").begin_array();
  for (const char byte : token.bytes) json.value(static_cast<unsigned>(static_cast<unsigned char>(byte)));
  json.end_array().member("logprob", token.logprob);
}

void write_chat_logprobs(JsonWriter& json, const ChoiceDelta& delta) {
  json.key("logprobs").begin_object().key("content").begin_array();
  for (const TokenLogprobs& token : delta.logprobs) {
    json.begin_object();
    write_token(json, token.chosen);
    json.key("top_logprobs").begin_array();
    for (const TokenText& other : token.top) {
      json.begin_object();
      write_token(json, other);
      json.end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().null_member("refusal").end_object();
}

// A call as a whole, or the part of it that a stream sends: id, type and name come with the first part only.
void write_call(JsonWriter& json, const ToolCallDelta& call, bool with_index) {
  json.begin_object();
  if (with_index) json.member("index", call.index);
  if (!call.id.empty()) json.member("id", std::string_view(call.id)).member("type", "function");
  json.key("function").begin_object();
  if (!call.id.empty()) json.member("name", std::string_view(call.name));
  json.member("arguments", std::string_view(call.arguments)).end_object().end_object();
}

class ChatFormat final : public AnswerFormat {
 public:
  std::vector<std::string> events(const AnswerHead& head, const ChoiceDelta& delta) const override {
    std::vector<std::string> out;
    if (delta.first) out.push_back(event(head, delta, Part::role));
    if (!delta.reasoning.empty()) out.push_back(event(head, delta, Part::reasoning));
    if (!delta.text.empty() || !delta.logprobs.empty()) out.push_back(event(head, delta, Part::text));
    for (const ToolCallDelta& call : delta.calls) out.push_back(event(head, delta, Part::call, &call));
    if (!delta.finish_reason.empty()) out.push_back(event(head, delta, Part::finish));
    return out;
  }

  std::string usage_event(const AnswerHead& head, const Usage& usage) const override {
    JsonWriter json;
    json.begin_object();
    write_head(json, head, "chat.completion.chunk");
    json.key("choices").begin_array().end_array();
    write_usage(json, usage);
    return json.end_object().take();
  }

  std::string whole(const AnswerHead& head, const std::vector<ChoiceDelta>& choices,
                    const Usage& usage) const override {
    JsonWriter json;
    json.begin_object();
    write_head(json, head, "chat.completion");
    json.key("choices").begin_array();
    for (const ChoiceDelta& choice : choices) write_choice(json, head, choice);
    json.end_array();
    write_usage(json, usage);
    return json.end_object().take();
  }

 private:
  enum class Part : std::uint8_t { role, reasoning, text, call, finish };

  static void write_choice(JsonWriter& json, const AnswerHead& head, const ChoiceDelta& choice) {
    json.begin_object().member("index", choice.index).key("message").begin_object();
    json.member("role", "assistant").key("content");
    if (choice.text.empty() && !choice.calls.empty())
      json.null();
    else
      json.value(std::string_view(choice.text));
    json.null_member("refusal");
    if (!choice.reasoning.empty()) json.member("reasoning_content", std::string_view(choice.reasoning));
    if (!choice.calls.empty()) {
      json.key("tool_calls").begin_array();
      for (const ToolCallDelta& call : choice.calls) write_call(json, call, false);
      json.end_array();
    }
    json.end_object();
    if (head.want_logprobs)
      write_chat_logprobs(json, choice);
    else
      json.null_member("logprobs");
    write_finish(json, choice.finish_reason);
    json.end_object();
  }

  static void write_delta(JsonWriter& json, const ChoiceDelta& delta, Part part, const ToolCallDelta* call) {
    json.key("delta").begin_object();
    if (part == Part::role) json.member("role", "assistant").member("content", "");
    if (part == Part::reasoning) json.member("reasoning_content", std::string_view(delta.reasoning));
    if (part == Part::text) json.member("content", std::string_view(delta.text));
    if (part == Part::call) {
      json.key("tool_calls").begin_array();
      write_call(json, *call, true);
      json.end_array();
    }
    json.end_object();
  }

  static std::string event(const AnswerHead& head, const ChoiceDelta& delta, Part part,
                           const ToolCallDelta* call = nullptr) {
    JsonWriter json;
    json.begin_object();
    write_head(json, head, "chat.completion.chunk");
    json.key("choices").begin_array().begin_object().member("index", delta.index);
    write_delta(json, delta, part, call);
    if (part == Part::text && head.want_logprobs)
      write_chat_logprobs(json, delta);
    else
      json.null_member("logprobs");
    write_finish(json, part == Part::finish ? delta.finish_reason : std::string_view());
    json.end_object().end_array();
    write_no_usage(json, head);
    return json.end_object().take();
  }
};

class CompletionsFormat final : public AnswerFormat {
 public:
  std::vector<std::string> events(const AnswerHead& head, const ChoiceDelta& delta) const override {
    if (delta.text.empty() && delta.logprobs.empty() && delta.finish_reason.empty()) return {};
    JsonWriter json;
    json.begin_object();
    write_head(json, head, "text_completion");
    json.key("choices").begin_array();
    write_choice(json, head, delta);
    json.end_array();
    write_no_usage(json, head);
    return {json.end_object().take()};
  }

  std::string usage_event(const AnswerHead& head, const Usage& usage) const override { return whole(head, {}, usage); }

  std::string whole(const AnswerHead& head, const std::vector<ChoiceDelta>& choices,
                    const Usage& usage) const override {
    JsonWriter json;
    json.begin_object();
    write_head(json, head, "text_completion");
    json.key("choices").begin_array();
    for (const ChoiceDelta& choice : choices) write_choice(json, head, choice);
    json.end_array();
    write_usage(json, usage);
    return json.end_object().take();
  }

 private:
  static void write_choice(JsonWriter& json, const AnswerHead& head, const ChoiceDelta& choice) {
    json.begin_object().member("text", std::string_view(choice.text)).member("index", choice.index);
    if (head.want_logprobs)
      write_logprobs(json, choice);
    else
      json.null_member("logprobs");
    write_finish(json, choice.finish_reason);
    json.end_object();
  }

  static void write_logprobs(JsonWriter& json, const ChoiceDelta& choice) {
    json.key("logprobs").begin_object().key("tokens").begin_array();
    for (const TokenLogprobs& token : choice.logprobs) json.value(std::string_view(token.chosen.bytes));
    json.end_array().key("token_logprobs").begin_array();
    for (const TokenLogprobs& token : choice.logprobs) json.value(token.chosen.logprob);
    json.end_array().key("top_logprobs").begin_array();
    for (const TokenLogprobs& token : choice.logprobs) write_top(json, token);
    json.end_array().key("text_offset").begin_array();
    for (const TokenLogprobs& token : choice.logprobs) json.value(token.text_offset);
    json.end_array().end_object();
  }

  // {token: logprob}; of tokens with the same text the likelier one counts. The chosen token is always among them.
  static void write_top(JsonWriter& json, const TokenLogprobs& token) {
    std::map<std::string_view, float> seen;
    json.begin_object();
    for (const TokenText& other : token.top)
      if (seen.emplace(other.bytes, other.logprob).second) json.member(other.bytes, other.logprob);
    if (seen.emplace(token.chosen.bytes, token.chosen.logprob).second)
      json.member(token.chosen.bytes, token.chosen.logprob);
    json.end_object();
  }
};

}  // namespace

std::unique_ptr<AnswerFormat> make_chat_format() { return std::make_unique<ChatFormat>(); }
std::unique_ptr<AnswerFormat> make_completions_format() { return std::make_unique<CompletionsFormat>(); }

}  // namespace kvasir
