#include "gateway/choice_text.h"

#include <algorithm>
#include <iterator>

#include "storage/base/assert.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

constexpr std::uint32_t kIdLength = 24;
constexpr std::size_t kWrittenIdBytesMax = 64;

bool is_usable_id(std::string_view id) {
  const auto usable = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.' || c == ':';
  };
  return !id.empty() && id.size() <= kWrittenIdBytesMax && std::all_of(id.begin(), id.end(), usable);
}

}  // namespace

std::string make_call_id(std::uint64_t seed, std::uint32_t choice, std::uint32_t call, std::uint32_t length) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  std::string id = length == 0 ? "call_" : "";
  const std::uint64_t own = uniform64(seed, (static_cast<std::uint64_t>(choice) << 32) | call);
  for (std::uint32_t i = 0; i < (length == 0 ? kIdLength : length); ++i)
    id += kLetters[uniform64(own, i) % kLetters.size()];
  return id;
}

ChoiceText::ChoiceText(std::uint32_t index, const Tokenizer& tokenizer, std::vector<std::string> stops,
                       bool want_logprobs, ReplyRules rules)
    : tokenizer_(&tokenizer),
      detokenizer_(tokenizer, rules.before),
      stops_(std::move(stops)),
      want_logprobs_(want_logprobs),
      index_(index),
      rules_(std::move(rules)) {
  if (rules_.format) parser_.emplace(*rules_.format, rules_.tools, rules_.in_reasoning);
}

void ChoiceText::echo(std::string_view prompt) {
  ready_ += prompt;
  bytes_content_ += prompt.size();
  bytes_ready_ += prompt.size();
}

void ChoiceText::append(std::string_view text) {
  bytes_decoded_ += text.size();
  if (!parser_) {
    pass(text.size(), true);
    return content(text);
  }
  parser_->push(text);
  apply_events();
}

void ChoiceText::apply_events() {
  for (const ReplyEvent& event : parser_->take()) {
    if (cut_short_) return;
    apply(event);
  }
}

void ChoiceText::apply(const ReplyEvent& event) {
  pass(event.text.size(), event.kind == ReplyEvent::Kind::content);
  switch (event.kind) {
    case ReplyEvent::Kind::content:
      return content(event.text);
    case ReplyEvent::Kind::reasoning:
      reasoning_ += event.text;
      return;
    case ReplyEvent::Kind::hidden:
      return;
    case ReplyEvent::Kind::call_begin:
      return begin_call(event);
    case ReplyEvent::Kind::arguments:
      call_.arguments += event.text;
      if (!rules_.streamed) return;
      if (calls_.empty() || calls_.back().index != call_.index) calls_.push_back({call_.index, {}, {}, {}});
      if (!calls_.back().id.empty()) calls_.push_back({call_.index, {}, {}, {}});  // the first part has none
      calls_.back().arguments += event.text;
      return;
    case ReplyEvent::Kind::call_end:
      if (!rules_.streamed) calls_.push_back(call_);
      whole_calls_.push_back(std::move(call_));
      if (!rules_.parallel_calls) cut_short_ = true;
      return;
    case ReplyEvent::Kind::call_broken:
      return break_call(event);
  }
}

void ChoiceText::begin_call(const ReplyEvent& event) {
  call_ = {calls_begun_, call_id(event.id), event.name, {}};
  ++calls_begun_;
  if (rules_.streamed) calls_.push_back(call_);
}

// A stream has given away what came before the break; a whole answer takes it all back.
void ChoiceText::break_call(const ReplyEvent& event) {
  if (!rules_.streamed) --calls_begun_;
  content(rules_.streamed ? event.rest : event.text);
}

// What the model wrote counts where it is an id that clients can tell from others.
std::string ChoiceText::call_id(const std::string& written) const {
  const auto is_taken = [&](const std::string& id) {
    const auto same = [&](const ToolCallDelta& call) { return call.id == id; };
    return (rules_.used_ids && rules_.used_ids->contains(id)) ||
           std::any_of(whole_calls_.begin(), whole_calls_.end(), same);
  };
  const bool fits = rules_.id_length == 0 || written.size() == rules_.id_length;
  if (fits && is_usable_id(written) && !is_taken(written)) return written;
  return make_call_id(rules_.id_seed, index_, calls_begun_, rules_.id_length);
}

// Places the tokens that start in the next `bytes` of the decoded text.
void ChoiceText::pass(std::size_t bytes, bool is_content) {
  const std::uint64_t end = bytes_passed_ + bytes;
  const auto past =
      std::find_if(unplaced_.begin(), unplaced_.end(), [end](const TokenLogprobs& t) { return t.text_offset >= end; });
  if (is_content)
    for (auto token = unplaced_.begin(); token != past; ++token) {
      token->text_offset = token->text_offset - bytes_passed_ + bytes_content_;
      logprobs_.push_back(std::move(*token));
    }
  unplaced_.erase(unplaced_.begin(), past);
  bytes_passed_ = end;
}

void ChoiceText::content(std::string_view text) {
  bytes_content_ += text.size();
  const std::string passed = stops_.push(text);
  bytes_ready_ += passed.size();
  ready_ += passed;
  if (stops_.matched()) cut_short_ = true;
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
    unplaced_.push_back(std::move(entry));
  }
  const bool is_text = !tokenizer_->is_control(token.id) || (parser_ && parser_->shows(tokenizer_->bytes(token.id)));
  if (is_text)
    append(detokenizer_.push(token.id));
  else
    detokenizer_.skip(token.id);
  if (parser_ && parser_->in_reasoning()) ++reasoning_tokens_;
  if (!cut_short_) return;
  finish_reason_ = stops_.matched() ? "stop" : "tool_calls";
  end_content();
}

void ChoiceText::end_content() {
  if (stops_.matched()) return;
  const std::string rest = stops_.finish();
  bytes_ready_ += rest.size();
  ready_ += rest;
  // Tokens without text at the end of the content.
  for (TokenLogprobs& token : unplaced_)
    if (token.text_offset == bytes_passed_ && whole_calls_.empty()) {
      token.text_offset = bytes_content_;
      logprobs_.push_back(std::move(token));
    }
  unplaced_.clear();
}

void ChoiceText::finish(std::string_view reason) {
  if (finished()) return;
  append(detokenizer_.finish());
  if (parser_ && !cut_short_) {
    parser_->finish();
    apply_events();
  }
  end_content();
  const bool calls = !whole_calls_.empty() && (reason == "stop" || cut_short_);
  finish_reason_ = stops_.matched() ? "stop" : calls ? "tool_calls" : reason;
}

std::optional<ChoiceDelta> ChoiceText::take() {
  const bool news = !ready_.empty() || !reasoning_.empty() || !calls_.empty() || (finished() && !done_);
  if (!news) return std::nullopt;
  ChoiceDelta delta{index_, first_, std::move(ready_), std::move(reasoning_), std::move(calls_), {}, finish_reason_};
  ready_.clear();
  reasoning_.clear();
  calls_.clear();
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
