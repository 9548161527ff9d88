#include "engine/text/calls/envelope_reader.h"

#include <utility>

#include "engine/text/calls/reply_format.h"
#include "storage/base/assert.h"

namespace kvasir {
namespace {

constexpr std::size_t kKeyBytesMax = 256;
constexpr std::size_t kScalarBytesMax = 256;

bool is_one_of(std::string_view text, std::string_view probed, std::string_view a, std::string_view b) {
  return text == probed || text == a || text == b;
}

}  // namespace

EnvelopeReader::EnvelopeReader(const CallNotation& notation) : notation_(&notation) {}

EnvelopeReader::State EnvelopeReader::finish() {
  if (!has_name_) return fail();
  if (!arguments_seen_) arguments_ = "{}";  // a tool without parameters
  return state_ = State::complete;
}

EnvelopeReader::State EnvelopeReader::push(char c) {
  KVASIR_ASSERT(state_ == State::inside);
  switch (place_) {
    case Place::start:
      if (is_json_space(c)) return state_;
      if (c != '{') return fail();
      place_ = Place::first_key;
      return state_;
    case Place::first_key:
      if (is_json_space(c)) return state_;
      if (c != '"') return fail();
      scanner_ = JsonScanner();
      scanner_.push(c);
      text_ = c;
      place_ = Place::key;
      return state_;
    case Place::key:
      if (text_.size() == kKeyBytesMax || scanner_.push(c) == JsonScanner::State::broken) return fail();
      text_ += c;
      return scanner_.state() == JsonScanner::State::complete ? end_key() : state_;
    case Place::colon:
      if (is_json_space(c)) return state_;
      if (c != ':') return fail();
      place_ = Place::value;
      return state_;
    case Place::value:
      return is_json_space(c) ? state_ : begin_value(c);
    case Place::in_value:
      return in_value(c);
    case Place::scalar:
      return end_scalar(c);
    case Place::separator:
      if (is_json_space(c)) return state_;
      if (c == '}') return finish();
      if (c != ',' || notation_->body == CallNotation::Body::keyed) return fail();
      place_ = Place::first_key;
      return state_;
  }
  return fail();
}

EnvelopeReader::State EnvelopeReader::end_key() {
  key_ = unescape_json(text_);
  text_.clear();
  is_arguments_ = is_one_of(key_, notation_->arguments_field, "arguments", "parameters");
  if (notation_->body == CallNotation::Body::keyed) {
    name_ = key_;
    has_name_ = is_arguments_ = true;
  } else if (notation_->bare && !is_arguments_ &&
             !is_one_of(key_, notation_->name_field, notation_->id_field, "type")) {
    return fail();  // a JSON answer that is no call
  }
  if (is_arguments_ && arguments_seen_) return fail();
  place_ = Place::colon;
  return state_;
}

EnvelopeReader::State EnvelopeReader::begin_value(char c) {
  scanner_ = JsonScanner();
  text_.clear();
  as_string_ = c == '"';
  if (is_arguments_ && (c == '{' || as_string_)) arguments_seen_ = true;
  if (c != '{' && c != '[' && c != '"') {
    place_ = Place::scalar;
    return end_scalar(c);
  }
  if (is_arguments_ && c == '[') return fail();
  place_ = Place::in_value;
  return in_value(c);
}

EnvelopeReader::State EnvelopeReader::in_value(char c) {
  if (scanner_.push(c) == JsonScanner::State::broken) return fail();
  if (is_arguments_ && !as_string_)
    arguments_ += c;
  else
    text_ += c;
  return scanner_.state() == JsonScanner::State::complete ? end_value() : state_;
}

EnvelopeReader::State EnvelopeReader::end_value() {
  place_ = Place::separator;
  if (is_arguments_ && as_string_) {
    arguments_ = unescape_json(text_);
    if (!is_json(arguments_, '{')) return fail();
  }
  if (is_arguments_ || !as_string_) return state_;
  if (is_one_of(key_, notation_->name_field, "name", "name")) {
    if (has_name_) return fail();
    name_ = unescape_json(text_);
    has_name_ = true;
  }
  if (is_one_of(key_, notation_->id_field, "id", "id")) id_ = unescape_json(text_);
  return state_;
}

// A number or a word: it ends before the byte that cannot be part of it.
EnvelopeReader::State EnvelopeReader::end_scalar(char c) {
  if (c != ',' && c != '}' && !is_json_space(c)) {
    if (text_.size() == kScalarBytesMax) return fail();
    text_ += c;
    return state_;
  }
  if (!is_json(text_)) return fail();
  if (is_arguments_ && text_ != "null") return fail();
  if (is_arguments_) {
    arguments_seen_ = true;
    arguments_ = "{}";
  }
  place_ = Place::separator;
  return push(c);
}

std::string EnvelopeReader::take_arguments() {
  KVASIR_ASSERT(ready());
  if (as_string_ && is_arguments_ && place_ == Place::in_value) return {};
  return std::exchange(arguments_, {});
}

}  // namespace kvasir
