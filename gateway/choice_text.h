#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "engine/text/calls/reply_parser.h"
#include "engine/text/detokenizer.h"
#include "gateway/api/answer_format.h"

namespace kvasir {

// How a choice's text is taken apart and what calls it may hold.
struct ReplyRules {
  const ReplyFormat* format = nullptr;       // null: everything is content
  std::shared_ptr<const ToolSchemas> tools;  // null: no calls
  bool in_reasoning = false;                 // the prompt has opened it
  bool parallel_calls = true;                // false: the choice ends with its first call
  bool streamed = false;  // what was given stays given: a call that turns out broken ends where it broke
  std::uint64_t id_seed = 0;
  std::uint32_t id_length = 0;                            // of letters and digits; 0: "call_" and 24 of them
  std::shared_ptr<const std::set<std::string>> used_ids;  // of the conversation
  std::optional<TokenId> before;                          // the prompt's last token: decides whether a space counts
};

// An id for a call: follows from the seed and the numbers.
std::string make_call_id(std::uint64_t seed, std::uint32_t choice, std::uint32_t call, std::uint32_t length);

// Tokens of one choice to text: detokenizes, splits reasoning and tool calls off, finds stop strings in the content,
// keeps log-probabilities beside the content they belong to. Control tokens are no text, but for those that the reply's
// markers are made of. Single-threaded value; `tokenizer` and the rules' format outlive it.
class ChoiceText {
 public:
  ChoiceText(std::uint32_t index, const Tokenizer& tokenizer, std::vector<std::string> stops, bool want_logprobs,
             ReplyRules rules = {});

  void echo(std::string_view prompt);    // text that stands before what is generated
  void push(const SampledToken& token);  // REQUIRES: not finished
  void finish(std::string_view reason);  // "stop", "length"; a stop with whole calls is "tool_calls"
  bool finished() const { return !finish_reason_.empty(); }
  bool cut_short() const { return cut_short_; }     // finished by itself: a stop string, or the only call allowed
  std::uint32_t tokens() const { return tokens_; }  // pushed so far
  std::uint32_t reasoning_tokens() const { return reasoning_tokens_; }
  // The whole calls so far: id, name, arguments.
  const std::vector<ToolCallDelta>& calls() const { return whole_calls_; }

  // What became ready since the last call; nothing new gives nothing. Log-probabilities come with the text that their
  // token starts in; those of a stop string's tokens, of reasoning and of calls are dropped with it. Without
  // `streamed` only what is whole is a call, so take it when finished.
  std::optional<ChoiceDelta> take();

 private:
  void append(std::string_view text);
  void apply(const ReplyEvent& event);
  void apply_events();
  void content(std::string_view text);
  void pass(std::size_t bytes, bool is_content);
  void begin_call(const ReplyEvent& event);
  void break_call(const ReplyEvent& event);
  std::string call_id(const std::string& written) const;
  void end_content();

  const Tokenizer* tokenizer_;
  Detokenizer detokenizer_;
  StopMatcher stops_;
  bool want_logprobs_;
  std::uint32_t index_;
  ReplyRules rules_;
  std::optional<ReplyParser> parser_;
  std::uint32_t tokens_ = 0, reasoning_tokens_ = 0;
  std::uint32_t calls_begun_ = 0;
  std::uint64_t bytes_decoded_ = 0;  // detokenized, the held back ones included
  std::uint64_t bytes_passed_ = 0;   // of those, past the parser
  std::uint64_t bytes_content_ = 0;  // the content in what is past it, echo included
  std::uint64_t bytes_ready_ = 0;    // past the stop matcher
  std::string ready_, reasoning_;
  std::vector<ToolCallDelta> calls_;        // for the next take()
  std::vector<ToolCallDelta> whole_calls_;  // finished ones
  ToolCallDelta call_;                      // the one being read
  std::vector<TokenLogprobs> unplaced_;     // text_offset: in the decoded text
  std::vector<TokenLogprobs> logprobs_;     // text_offset: in the content
  std::string_view finish_reason_;
  bool cut_short_ = false;
  bool first_ = true;
  bool done_ = false;  // the finish was taken
};

}  // namespace kvasir
