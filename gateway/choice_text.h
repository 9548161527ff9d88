#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "engine/text/detokenizer.h"
#include "gateway/api/answer_format.h"

namespace kvasir {

// Tokens of one choice to text: detokenizes, finds stop strings, keeps log-probabilities beside the text they belong
// to. Single-threaded value; `tokenizer` outlives it.
class ChoiceText {
 public:
  ChoiceText(std::uint32_t index, const Tokenizer& tokenizer, std::vector<std::string> stops, bool want_logprobs);

  void echo(std::string_view prompt);    // text that stands before what is generated
  void push(const SampledToken& token);  // REQUIRES: not finished
  void finish(std::string_view reason);  // "stop", "length"
  bool finished() const { return !finish_reason_.empty(); }
  bool stop_matched() const { return stops_.matched(); }
  std::uint32_t tokens() const { return tokens_; }  // pushed so far

  // What became ready since the last call; nothing new gives nothing. Log-probabilities come with the text that their
  // token starts in; those of a stop string's tokens are dropped with it.
  std::optional<ChoiceDelta> take();

 private:
  void append(std::string_view text);

  const Tokenizer* tokenizer_;
  Detokenizer detokenizer_;
  StopMatcher stops_;
  bool want_logprobs_;
  std::uint32_t index_;
  std::uint32_t tokens_ = 0;
  std::uint64_t bytes_decoded_ = 0;  // detokenized, the held back ones included
  std::uint64_t bytes_ready_ = 0;    // past the stop matcher
  std::string ready_;
  std::vector<TokenLogprobs> logprobs_;
  std::string_view finish_reason_;
  bool first_ = true;
  bool done_ = false;  // the finish was taken
};

}  // namespace kvasir
