#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir {

struct TokenText {
  std::string bytes;
  float logprob = 0.0f;
};

// One generated token with its log-probability and the alternatives asked for.
struct TokenLogprobs {
  TokenText chosen;
  std::vector<TokenText> top;
  std::uint64_t text_offset = 0;  // bytes of the choice's text before it
};

// More of one tool call: the first part has id and name.
struct ToolCallDelta {
  std::uint32_t index = 0;
  std::string id = {}, name = {};
  std::string arguments = {};  // JSON text, or a piece of it
};

// What became ready of one choice: since the last time when streaming, all of it otherwise.
struct ChoiceDelta {
  std::uint32_t index = 0;
  bool first = false;     // nothing of this choice was sent before
  std::string text = {};  // the content
  std::string reasoning = {};
  std::vector<ToolCallDelta> calls = {};     // in their order
  std::vector<TokenLogprobs> logprobs = {};  // of the content
  std::string_view finish_reason = {};       // empty: goes on
};

struct Usage {
  std::uint64_t prompt_tokens = 0;  // cached ones included
  std::uint64_t cached_tokens = 0;
  std::uint64_t completion_tokens = 0;
  std::uint64_t reasoning_tokens = 0;  // among them
};

// What is the same in every part of one answer.
struct AnswerHead {
  std::string id;
  std::string model;
  std::string system_fingerprint;
  std::int64_t created = 0;  // Unix seconds
  bool want_logprobs = false;
  bool include_usage = false;
};

// Turns an answer into one API's JSON. Stateless.
class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;
  // The JSON objects of the stream events for this delta, in order.
  virtual std::vector<std::string> events(const AnswerHead& head, const ChoiceDelta& delta) const = 0;
  virtual std::string usage_event(const AnswerHead& head, const Usage& usage) const = 0;
  virtual std::string whole(const AnswerHead& head, const std::vector<ChoiceDelta>& choices,
                            const Usage& usage) const = 0;
};

}  // namespace kvasir
