// The calls of a reply: ReplyParser's steps from a call's first marker to its last.
#include <algorithm>
#include <utility>

#include "engine/text/calls/marker_text.h"
#include "engine/text/calls/reply_parser.h"

namespace kvasir {

using namespace reply;
using Kind = ReplyEvent::Kind;
using Body = CallNotation::Body;

// A call's beginning.

void ReplyParser::begin(const CallNotation& notation, bool section) {
  notation_ = &notation;
  raw_.clear();
  value_.clear();
  raw_given_ = 0;
  committed_ = done_ = list_ = false;
  opening_ = section ? &notation.section_open : &notation.call_open;
  marker_ = 0;
  state_ = State::open;
}

ReplyParser::Step ReplyParser::in_open(bool at_end) {
  switch (expect(*opening_, at_end)) {
    case Match::unknown:
      return Step::wait;
    case Match::no:
      return broken();
    case Match::yes:
      break;
  }
  if (opening_ == &notation_->section_open && opening_ != &notation_->call_open) {
    opening_ = &notation_->call_open;
    marker_ = 0;
    return Step::again;
  }
  if (notation_->body != Body::envelope && notation_->body != Body::keyed && notation_->body != Body::python) {
    state_ = State::header;
    return Step::again;
  }
  const char next = next_byte();
  if (next == '\0') return at_end ? broken() : Step::wait;
  if (next != '{' && notation_->body == Body::envelope)  // the same marker before another notation
    for (const CallNotation& other : format_->calls)
      if (other.body == Body::python && other.call_open == notation_->call_open) notation_ = &other;
  if (notation_->body == Body::python) {
    state_ = State::converted;
    return Step::again;
  }
  if (next == '[') {
    list_ = true;
    take_raw(leading_spaces(rest()) + 1);
  }
  begin_envelope();
  return Step::again;
}

void ReplyParser::begin_envelope() {
  envelope_ = EnvelopeReader(*notation_);
  committed_ = done_ = false;
  state_ = State::envelope;
}

bool ReplyParser::commit(std::string name, std::string id) {
  if (!tools_->offers(name)) return false;
  emit(Kind::hidden, spaces_);
  spaces_.clear();
  name_ = name;
  events_.push_back({Kind::call_begin, {}, std::move(name), std::move(id), {}});
  return committed_ = true;
}

void ReplyParser::arguments(std::string_view text) {
  emit(Kind::arguments, text);
  raw_given_ = raw_.size();
}

// Envelopes.

ReplyParser::Step ReplyParser::in_envelope(bool at_end) {
  while (at_ < held_.size()) {
    if (envelope_.push(held_[at_]) == EnvelopeReader::State::broken) return broken();
    take_raw(1);
    if (!committed_ && envelope_.has_name() && !tools_->offers(envelope_.name())) return broken();
    if (!committed_ && envelope_.ready()) commit(envelope_.name(), envelope_.id());
    if (committed_)
      if (const std::string text = envelope_.take_arguments(); !text.empty()) arguments(text);
    if (envelope_.state() == EnvelopeReader::State::complete) {
      state_ = State::next;
      if (!list_ && notation_->call_close.empty()) call_done();
      return Step::again;
    }
  }
  return at_end ? broken() : Step::wait;
}

// After an envelope: the next one, or the markers that close.
ReplyParser::Step ReplyParser::in_next(bool at_end) {
  const char next = next_byte();
  if (next == '\0' && !at_end) return Step::wait;
  const bool separator = next == ',' || next == ';';
  if (separator || (next == '{' && !list_)) {
    if (!done_) call_done();
    raw_.clear();
    raw_given_ = 0;
    done_ = false;
    if (separator) take_raw(leading_spaces(rest()) + 1);
    begin_envelope();
    return Step::again;
  }
  if (list_ && next == ']') {
    if (!done_) call_done();
    hide(leading_spaces(rest()) + 1);
    list_ = false;
    done_ = true;
  } else if (list_ && next != '\0') {
    return broken();
  }
  marker_ = 0;
  state_ = State::close;
  return Step::again;
}

// Headers, and arguments as JSON after them.

ReplyParser::Step ReplyParser::in_header(bool at_end) {
  const Body body = notation_->body;
  const bool keep = notation_->header_end.empty();  // what ends the header is the beginning of the arguments
  std::size_t end = std::string::npos;
  const std::size_t marker = notation_->header_end.size();
  std::size_t ending = keep ? 1 : marker;  // bytes of the longest thing that may end it
  if (!keep) {
    end = rest().find(notation_->header_end);
  } else if (body != Body::parameters) {
    end = rest().find('{');
  } else {
    end = rest().find(notation_->parameter_open);
    ending = notation_->parameter_open.size();
    if (!notation_->call_close.empty()) {
      end = std::min(end, rest().find(notation_->call_close.front()));
      ending = std::max(ending, notation_->call_close.front().size());
    }
  }
  if (is_header_too_long(rest(), end, ending)) return broken();
  if (end == std::string::npos) return at_end ? broken() : Step::wait;
  const std::string header(rest().substr(0, end));
  take_raw(end + marker);
  if (body == Body::gemma) {
    name_ = header;
    state_ = State::converted;
    return Step::again;
  }
  if (!commit_header(header)) return broken();
  scanner_ = JsonScanner();
  parameters_ = 0;
  at_value_start_ = true;
  state_ = body == Body::json ? State::json : State::parameter;
  return Step::again;
}

// The name is the run of letters, digits, '_', '-' and '.' that the header begins with; Kimi's "functions.NAME:0" is
// name and id in one.
bool ReplyParser::commit_header(std::string_view header) {
  std::string id;
  if (!notation_->id_end.empty()) {
    const std::size_t end = header.find(notation_->id_end);
    if (end != std::string_view::npos) {
      id = trimmed(header.substr(0, end));
      header.remove_prefix(end + notation_->id_end.size());
    }
  }
  header = trimmed(header);
  const auto in_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  };
  const auto end = std::find_if_not(header.begin(), header.end(), in_name);
  std::string name(header.begin(), end);
  constexpr std::string_view kNamespace = "functions.";
  if (!tools_->offers(name) && name.starts_with(kNamespace)) {
    if (end != header.end() && *end == ':') id = header;
    name.erase(0, kNamespace.size());
  }
  return commit(std::move(name), std::move(id));
}

ReplyParser::Step ReplyParser::in_json(bool at_end) {
  while (at_ < held_.size()) {
    const char c = held_[at_];
    if (at_value_start_ && is_json_space(c)) {
      take_raw(1);
      continue;
    }
    if (at_value_start_ && c != '{') return broken();
    at_value_start_ = false;
    if (scanner_.push(c) == JsonScanner::State::broken) return broken();
    take_raw(1);
    arguments(std::string_view(&c, 1));
    if (scanner_.state() != JsonScanner::State::complete) continue;
    marker_ = 0;
    state_ = State::close;
    return Step::again;
  }
  return at_end ? broken() : Step::wait;
}

// Parameters, from which JSON is made.

ReplyParser::Step ReplyParser::in_parameter(bool at_end) {
  std::size_t bytes = 0;
  const Match end = notation_->call_close.empty() ? Match::no : look(notation_->call_close.front(), bytes, at_end);
  if (end == Match::yes) {
    arguments(parameters_ == 0 ? "{}" : "}");
    marker_ = 0;
    state_ = State::close;
    return Step::again;
  }
  if (end == Match::unknown) return Step::wait;
  const Match parameter = look(notation_->parameter_open, bytes, at_end);
  if (parameter == Match::unknown) return Step::wait;
  if (parameter == Match::no) return broken();
  take_raw(bytes);
  state_ = State::key;
  return Step::again;
}

ReplyParser::Step ReplyParser::in_key(bool at_end) {
  const std::size_t end = rest().find(notation_->key_end);
  if (is_header_too_long(rest(), end, notation_->key_end.size())) return broken();
  if (end == std::string::npos) return at_end ? broken() : Step::wait;
  key_ = trimmed(rest().substr(0, end));
  take_raw(end + notation_->key_end.size());
  value_close_ = notation_->value_close;
  if (notation_->value_tree) value_close_ += key_ + ">";
  if (notation_->value_open.empty() || notation_->value_tree)
    begin_value({});
  else
    state_ = State::attributes;
  return Step::again;
}

ReplyParser::Step ReplyParser::in_attributes(bool at_end) {
  const std::size_t end = rest().find(notation_->value_open);
  if (is_header_too_long(rest(), end, notation_->value_open.size())) return broken();
  if (end == std::string::npos) return at_end ? broken() : Step::wait;
  const std::string attributes(rest().substr(0, end));
  take_raw(end + notation_->value_open.size());
  begin_value(attributes);
  return Step::again;
}

// Attributes such as string="true" and type="number" say what the value is; else the tool's schema does.
void ReplyParser::begin_value(std::string_view attributes) {
  const auto says = [attributes](std::string_view text) { return attributes.find(text) != std::string_view::npos; };
  if (says("=\"true\"") || says("=\"string\""))
    type_ = ValueType::text;
  else if (says("=\"false\"") || says("=\"number\"") || says("=\"object\"") || says("=\"array\"") ||
           says("=\"boolean\"") || says("=\"null\"") || says("=\"integer\""))
    type_ = ValueType::data;
  else
    type_ = tools_->type(name_, key_);
  std::string text = parameters_++ == 0 ? "{" : ", ";
  text += json_string(key_) + ": ";
  if (type_ == ValueType::text && !notation_->cdata) text += '"';
  arguments(text);
  value_.clear();
  at_value_start_ = notation_->value_lines;
  state_ = State::value;
}

// Takes the first `end` bytes of the rest as more of the value: text goes on as it comes, the rest waits for its end.
void ReplyParser::stream_value(std::size_t end) {
  std::string_view text = rest().substr(0, end);
  std::string escaped;
  const bool streams = type_ == ValueType::text && !notation_->cdata;
  if (streams)
    append_json_escaped(escaped, text);
  else
    value_ += text;
  take_raw(end);
  if (streams && end > 0) arguments(escaped);
}

ReplyParser::Step ReplyParser::in_value(bool at_end) {
  if (at_value_start_) {
    if (rest().empty()) return at_end ? broken() : Step::wait;
    if (rest().front() == '\n') take_raw(1);
    at_value_start_ = false;
  }
  const std::size_t place = rest().find(value_close_);
  if (place == std::string::npos) {
    if (at_end) return broken();
    std::size_t ready = rest().size() - partial_at_end(rest(), value_close_);
    if (notation_->value_lines && ready > 0 && rest()[ready - 1] == '\n') --ready;
    stream_value(ready);
    return Step::wait;
  }
  const bool line = notation_->value_lines && place > 0 && rest()[place - 1] == '\n';
  stream_value(place - (line ? 1 : 0));
  take_raw(value_close_.size() + (line ? 1 : 0));
  return end_value();
}

ReplyParser::Step ReplyParser::end_value() {
  state_ = State::parameter;
  if (notation_->cdata) {
    const std::string_view value = trimmed(value_);
    constexpr std::string_view kOpen = "<![CDATA[", kClose = "]]>";
    const bool wrapped = value.starts_with(kOpen) && value.ends_with(kClose);
    arguments(wrapped ? json_string(value.substr(kOpen.size(), value.size() - kOpen.size() - kClose.size()))
                      : value_as_json(value_, type_));
    value_.clear();
    return Step::again;
  }
  if (type_ == ValueType::text) {
    arguments("\"");
    return Step::again;
  }
  if (!notation_->value_tree) {
    arguments(value_as_json(value_, type_));
    return Step::again;
  }
  const std::optional<std::string> json = tree_as_json(value_, notation_->value_open, type_);
  if (!json) return broken();
  arguments(*json);
  return Step::again;
}

// Calls that are converted as a whole.

ReplyParser::Step ReplyParser::in_converted(bool at_end) {
  const Markers& close = notation_->call_close;
  const std::size_t place = close.empty() ? std::string::npos : rest().find(close.front());
  const bool closed = place != std::string::npos;
  const std::size_t partial = close.empty() || at_end ? 0 : partial_at_end(rest(), close.front());
  const std::size_t end = closed ? place : rest().size() - partial;
  value_ += rest().substr(0, end);
  take_raw(end);
  if (!closed && !at_end) return Step::wait;
  if (closed) take_raw(close.front().size());
  return convert() ? Step::again : broken();
}

bool ReplyParser::convert() {
  Calls calls;
  if (notation_->body == Body::gemma) {
    std::optional<std::string> json = gemma_as_json("{" + value_, notation_->quote);
    if (!json) return false;
    calls.emplace_back(trimmed(name_), std::move(*json));
  } else if (std::optional<Calls> read = python_calls(value_)) {
    calls = std::move(*read);
  } else if (const auto code = tools_->first_of({"python", "ipython", "code_interpreter"})) {
    calls.emplace_back(*code, "{\"code\": " + json_string(value_) + "}");
  }
  if (calls.empty()) return false;
  for (const auto& [name, json] : calls)
    if (!tools_->offers(name)) return false;
  for (const auto& [name, json] : calls) {
    commit(name, {});
    arguments(json);
    call_done();
  }
  after_call(State::content);
  return true;
}

// A call's end.

void ReplyParser::call_done() {
  events_.push_back({Kind::call_end, std::exchange(raw_, {}), {}, {}, {}});
  done_ = any_call_ = true;
  committed_ = false;
}

ReplyParser::Step ReplyParser::after_call(State next) {
  raw_.clear();
  raw_given_ = 0;
  fresh_ = true;
  state_ = next;
  return Step::again;
}

ReplyParser::Step ReplyParser::in_close(bool at_end) {
  const Match match = expect(notation_->call_close, at_end);
  if (match == Match::unknown) return Step::wait;
  if (match == Match::no) {
    // At the end of a reply only the marker may be missing, or its end.
    const std::string_view left = rest().substr(leading_spaces(rest()));
    const bool ended = at_end && is_proper_prefix(left, notation_->call_close[marker_]);
    if (!done_ && !ended) return broken();
    if (ended) done_ ? hide(rest().size()) : take_raw(rest().size());
  }
  if (!done_) call_done();
  marker_ = 0;
  return after_call(notation_->section_close.empty() ? State::content : State::between);
}

ReplyParser::Step ReplyParser::in_between(bool at_end) {
  const Markers& close = notation_->section_close;
  std::size_t bytes = 0;
  const Match another = marker_ > 0 ? Match::no : look(notation_->call_open.front(), bytes, at_end);
  if (another == Match::yes) {
    begin(*notation_, false);
    return Step::again;
  }
  if (another == Match::unknown) return Step::wait;
  const Match end = expect(close, at_end);
  if (end == Match::unknown) return Step::wait;
  const std::size_t spaces = leading_spaces(rest());
  if (at_end && end == Match::no && is_proper_prefix(rest().substr(spaces), close[marker_])) hide(rest().size());
  return after_call(State::content);
}

// What was taken for a call is content.
ReplyParser::Step ReplyParser::broken() {
  if (committed_)
    events_.push_back({Kind::call_broken, raw_, {}, {}, raw_.substr(std::min(raw_given_, raw_.size()))});
  else
    emit_content(raw_);
  raw_.clear();
  raw_given_ = 0;
  committed_ = false;
  fresh_ = after_markers_ = false;
  state_ = State::content;
  return Step::again;
}

}  // namespace kvasir
