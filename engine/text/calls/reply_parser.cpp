#include "engine/text/calls/reply_parser.h"

#include <algorithm>
#include <utility>

#include "engine/text/calls/marker_text.h"
#include "storage/base/assert.h"

namespace kvasir {

using namespace reply;

namespace {

using Kind = ReplyEvent::Kind;
using Body = CallNotation::Body;

bool merges(Kind kind) {
  return kind == Kind::content || kind == Kind::reasoning || kind == Kind::hidden || kind == Kind::arguments;
}

}  // namespace

ReplyParser::ReplyParser(const ReplyFormat& format, std::shared_ptr<const ToolSchemas> tools, bool in_reasoning)
    : format_(&format), tools_(std::move(tools)) {
  if (tools_ && tools_->empty()) tools_.reset();
  if (in_reasoning && !format.reasoning_close.empty()) {
    state_ = State::reasoning;
    after_markers_ = true;
  } else if (!format.channel_end.empty()) {
    state_ = State::channel;
  }
  add_triggers();
}

void ReplyParser::add_triggers() {
  for (const std::string& text : format_->hidden) triggers_.push_back({text});
  if (!tools_) return;
  const auto add = [this](const Markers& markers, const CallNotation& notation, bool section) {
    if (markers.empty()) return;
    const auto same = [&](const Trigger& t) { return t.text == markers.front() && t.notation; };
    if (std::none_of(triggers_.begin(), triggers_.end(), same))
      triggers_.push_back({markers.front(), &notation, section});
  };
  for (const CallNotation& notation : format_->calls) {
    add(notation.section_open, notation, true);
    add(notation.call_open, notation, false);
  }
}

bool ReplyParser::shows(std::string_view control_token) const {
  const auto in = [control_token](std::string_view marker) { return marker.find(control_token) != std::string::npos; };
  const auto in_any = [&in](const Markers& markers) { return std::any_of(markers.begin(), markers.end(), in); };
  if (control_token.empty()) return false;
  if (in(format_->channel_start) || in(format_->channel_end) || control_token == "<|channel|>") {
    if (!format_->channel_end.empty()) return true;
  }
  if (in(format_->reasoning_open) || in(format_->reasoning_close) || in_any(format_->hidden)) return true;
  if (!tools_) return false;
  return std::any_of(format_->calls.begin(), format_->calls.end(), [&](const CallNotation& n) {
    return in_any(n.section_open) || in_any(n.section_close) || in_any(n.call_open) || in_any(n.call_close) ||
           in(n.header_end) || in(n.id_end) || in(n.parameter_open) || in(n.key_end) || in(n.value_open) ||
           in(n.value_close) || in(n.quote);
  });
}

void ReplyParser::push(std::string_view text) {
  // Piece by piece: a marker that is not there is looked for up to the end of what is held.
  constexpr std::size_t kPieceBytes = 512;
  for (; !text.empty(); text.remove_prefix(std::min(kPieceBytes, text.size()))) {
    held_ += text.substr(0, kPieceBytes);
    while (step(false) == Step::again) {
    }
    held_.erase(0, at_);
    at_ = 0;
  }
}

void ReplyParser::finish() {
  while (step(true) == Step::again) {
  }
  KVASIR_ASSERT(rest().empty());
  if (any_call_ && fresh_)
    emit(Kind::hidden, std::exchange(spaces_, {}));
  else
    flush_spaces();
}

std::vector<ReplyEvent> ReplyParser::take() { return std::exchange(events_, {}); }

ReplyParser::Step ReplyParser::step(bool at_end) {
  switch (state_) {
    case State::content:
      return in_content(at_end);
    case State::reasoning:
      return in_reasoning_text(at_end);
    case State::channel:
      return in_channel(at_end);
    case State::open:
      return in_open(at_end);
    case State::header:
      return in_header(at_end);
    case State::envelope:
      return in_envelope(at_end);
    case State::next:
      return in_next(at_end);
    case State::json:
      return in_json(at_end);
    case State::parameter:
      return in_parameter(at_end);
    case State::key:
      return in_key(at_end);
    case State::attributes:
      return in_attributes(at_end);
    case State::value:
      return in_value(at_end);
    case State::converted:
      return in_converted(at_end);
    case State::close:
      return in_close(at_end);
    case State::between:
      return in_between(at_end);
  }
  return Step::wait;
}

void ReplyParser::emit(Kind kind, std::string_view text) {
  if (text.empty()) return;
  at_start_ = false;
  if (merges(kind) && !events_.empty() && events_.back().kind == kind)
    events_.back().text += text;
  else
    events_.push_back({kind, std::string(text), {}, {}, {}});
}

void ReplyParser::flush_spaces() {
  std::string_view spaces = spaces_;
  if (at_start_ && spaces.starts_with(format_->content_lead)) {
    emit(Kind::hidden, spaces.substr(0, format_->content_lead.size()));
    spaces.remove_prefix(format_->content_lead.size());
  }
  at_start_ = false;
  if (after_markers_) {
    const std::size_t lines = std::min(spaces.find_first_not_of("\r\n"), spaces.size());
    emit(Kind::hidden, spaces.substr(0, lines));
    spaces.remove_prefix(lines);
  }
  after_markers_ = false;
  emit(Kind::content, spaces);
  spaces_.clear();
}

void ReplyParser::emit_content(std::string_view text) {
  // White space at the end may belong to a call; after a marker, what is nothing else may go on.
  const bool holds_spaces = tools_ || (after_markers_ && leading_spaces(text) == text.size());
  const std::size_t end = text.size() - (holds_spaces ? trailing_spaces(text) : 0);
  if (end > 0) {
    if (after_markers_) {  // line feeds at the start
      const std::size_t spaces = leading_spaces(text);
      spaces_ += text.substr(0, spaces);
      flush_spaces();
      emit(Kind::content, text.substr(spaces, end - spaces));
    } else {
      flush_spaces();
      emit(Kind::content, text.substr(0, end));
    }
    fresh_ = false;
  }
  spaces_ += text.substr(end);
}

void ReplyParser::take_raw(std::size_t bytes) {
  raw_ += rest().substr(0, bytes);
  at_ += bytes;
}

void ReplyParser::hide(std::size_t bytes) {
  emit(Kind::hidden, spaces_);
  spaces_.clear();
  emit(Kind::hidden, rest().substr(0, bytes));
  at_ += bytes;
}

ReplyParser::Match ReplyParser::look(std::string_view marker, std::size_t& bytes, bool at_end) const {
  const std::size_t spaces = leading_spaces(rest());
  const std::string_view text = rest().substr(spaces);
  bytes = spaces + marker.size();
  if (spaces > kSpacesMax) return Match::no;
  if (text.starts_with(marker)) return Match::yes;
  return !at_end && is_proper_prefix(text, marker) ? Match::unknown : Match::no;
}

ReplyParser::Match ReplyParser::expect(const Markers& markers, bool at_end) {
  for (; marker_ < markers.size(); ++marker_) {
    std::size_t bytes = 0;
    const Match match = look(markers[marker_], bytes, at_end);
    if (match != Match::yes) return match;
    done_ ? hide(bytes) : take_raw(bytes);
  }
  return Match::yes;
}

char ReplyParser::next_byte() const {
  const std::size_t spaces = leading_spaces(rest());
  return spaces < rest().size() ? rest()[spaces] : '\0';
}

// Content, and reasoning around it.

// Reasoning and calls without markers, which may stand only where no content is before them.
bool ReplyParser::starts_here(Step& result, bool at_end) {
  const std::size_t spaces = leading_spaces(rest());
  spaces_ += rest().substr(0, spaces);
  at_ += spaces;
  result = Step::again;
  for (const bool open : {true, false}) {
    const std::string& marker = open ? format_->reasoning_open : format_->reasoning_close;
    if (marker.empty()) continue;
    if (rest().starts_with(marker)) {
      hide(marker.size());
      after_markers_ = true;
      if (open) state_ = State::reasoning;
      return true;
    }
    if (!at_end && is_proper_prefix(rest(), marker)) {
      result = Step::wait;
      return true;
    }
  }
  if (!tools_ || (next_byte() != '{' && next_byte() != '[')) return false;
  for (const CallNotation& notation : format_->calls) {
    if (!notation.call_open.empty() || !notation.section_open.empty()) continue;
    begin(notation, false);
    return true;
  }
  return false;
}

ReplyParser::Step ReplyParser::in_content(bool at_end) {
  Step result = Step::wait;
  if (fresh_ && starts_here(result, at_end)) return result;
  const Trigger* best = nullptr;
  std::size_t first = held_.size(), partial = held_.size();
  for (const Trigger& trigger : triggers_) {
    const std::size_t place = held_.find(trigger.text, at_);
    if (place < first || (place == first && best && trigger.text.size() > best->text.size())) {
      first = place;
      best = &trigger;
    }
    partial = std::min(partial, held_.size() - partial_at_end(rest(), trigger.text));
  }
  if (!at_end && partial < held_.size() && partial <= first) best = nullptr;
  const std::size_t end = best ? first : at_end ? held_.size() : partial;
  const std::string content = held_.substr(at_, end - at_);
  at_ = end;
  if (!content.empty()) emit_content(content);
  if (!best) return Step::wait;
  found(*best);
  return Step::again;
}

void ReplyParser::found(const Trigger& trigger) {
  if (trigger.notation) return begin(*trigger.notation, trigger.section);
  hide(trigger.text.size());
  after_markers_ = true;
  if (trigger.text == format_->channel_start) state_ = State::channel;
}

ReplyParser::Step ReplyParser::in_channel(bool at_end) {
  const std::size_t end = rest().find(format_->channel_end);
  const bool too_long = is_header_too_long(rest(), end, format_->channel_end.size());
  if (end != std::string::npos && !too_long) return begin_message(end);
  if (end == std::string::npos && !too_long && !at_end) return Step::wait;
  state_ = State::content;  // no header
  return Step::again;
}

// What a header says of its message.
ReplyParser::Step ReplyParser::begin_message(std::size_t header) {
  const std::string text(rest().substr(0, header));
  const std::size_t bytes = header + format_->channel_end.size();
  const auto says = [&text](std::string_view word) { return text.find(word) != std::string::npos; };
  constexpr std::string_view kCall = "to=functions.";
  if (tools_ && says(kCall)) {
    static const CallNotation notation = [] {
      CallNotation message;
      message.body = Body::json;
      return message;
    }();
    begin(notation, false);
    take_raw(bytes);
    scanner_ = JsonScanner();
    at_value_start_ = true;
    state_ = State::json;
    return commit_header(std::string_view(text).substr(text.find(kCall) + kCall.size())) ? Step::again : broken();
  }
  hide(bytes);
  after_markers_ = true;
  state_ = says("analysis") || says("to=self") ? State::reasoning : State::content;
  return Step::again;
}

ReplyParser::Step ReplyParser::in_reasoning_text(bool at_end) {
  const std::string& marker = format_->reasoning_close;
  const std::size_t place = rest().find(marker);
  const bool closed = place != std::string::npos;
  const std::size_t end = closed ? place : rest().size() - (at_end ? 0 : partial_at_end(rest(), marker));
  std::string text = std::exchange(spaces_, {}) + std::string(rest().substr(0, end));
  at_ += end;
  if (after_markers_) {
    const std::size_t spaces = std::min(text.find_first_not_of("\r\n"), text.size());
    emit(Kind::hidden, text.substr(0, spaces));
    text.erase(0, spaces);
    if (!text.empty()) after_markers_ = false;
  }
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  const std::size_t words = last == std::string::npos ? 0 : last + 1;
  emit(Kind::reasoning, std::string_view(text).substr(0, words));
  text.erase(0, words);
  if (!closed) {
    if (at_end)
      emit(Kind::reasoning, text);
    else
      spaces_ = std::move(text);
    return Step::wait;
  }
  // Line feeds at the end belong to the marker; other white space to the reasoning.
  const std::size_t lines = std::min(text.find_last_not_of("\r\n") + 1, text.size());
  emit(Kind::reasoning, std::string_view(text).substr(0, lines));
  emit(Kind::hidden, std::string_view(text).substr(lines));
  hide(marker.size());
  state_ = State::content;
  fresh_ = after_markers_ = true;
  return Step::again;
}

}  // namespace kvasir
