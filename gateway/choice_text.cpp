#include "gateway/choice_text.h"

#include <algorithm>
#include <iterator>

#include "storage/base/assert.h"

namespace kvasir {

ChoiceText::ChoiceText(std::uint32_t index, const Tokenizer& tokenizer, std::vector<std::string> stops,
                       bool want_logprobs)
    : tokenizer_(&tokenizer),
      detokenizer_(tokenizer),
      stops_(std::move(stops)),
      want_logprobs_(want_logprobs),
      index_(index) {}

void ChoiceText::echo(std::string_view prompt) {
  ready_ += prompt;
  bytes_decoded_ += prompt.size();
  bytes_ready_ += prompt.size();
}

void ChoiceText::append(std::string_view text) {
  bytes_decoded_ += text.size();
  const std::string passed = stops_.push(text);
  bytes_ready_ += passed.size();
  ready_ += passed;
}

void ChoiceText::push(const SampledToken& token) {
  KVASIR_ASSERT(!finished());
  ++tokens_;
  const bool ends = tokenizer_->is_end_of_generation(token.id);
  if (want_logprobs_ && !ends) {
    const auto text = [this](TokenId id, float logprob) {
      return TokenText{std::string(tokenizer_->bytes(id)), logprob};
    };
    TokenLogprobs entry{text(token.id, token.logprob), {}, bytes_decoded_};
    for (const TokenLogprob& other : token.top) entry.top.push_back(text(other.id, other.logprob));
    logprobs_.push_back(std::move(entry));
  }
  if (!tokenizer_->is_control(token.id)) append(detokenizer_.push(token.id));
  if (stops_.matched()) finish_reason_ = "stop";
}

void ChoiceText::finish(std::string_view reason) {
  if (finished()) return;
  append(detokenizer_.finish());
  if (!stops_.matched()) {
    const std::string rest = stops_.finish();
    bytes_ready_ += rest.size();
    ready_ += rest;
  }
  finish_reason_ = stops_.matched() ? "stop" : reason;
}

std::optional<ChoiceDelta> ChoiceText::take() {
  const bool news = !ready_.empty() || (finished() && !done_);
  if (!news) return std::nullopt;
  ChoiceDelta delta{index_, first_, std::move(ready_), {}, finish_reason_};
  ready_.clear();
  // Tokens that start in what is ready; the last one of a finished text may be empty (a control token).
  const auto ready = [this](const TokenLogprobs& t) {
    return t.text_offset < bytes_ready_ || (finished() && !stops_.matched());
  };
  const auto end = std::find_if_not(logprobs_.begin(), logprobs_.end(), ready);
  delta.logprobs.assign(std::make_move_iterator(logprobs_.begin()), std::make_move_iterator(end));
  logprobs_.erase(logprobs_.begin(), end);
  first_ = false;
  done_ = finished();
  return delta;
}

}  // namespace kvasir
