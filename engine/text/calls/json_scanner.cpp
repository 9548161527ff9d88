#include "engine/text/calls/json_scanner.h"

#include <charconv>

#include "engine/text/utf8.h"
#include "storage/base/assert.h"

namespace kvasir {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::size_t digits_at(std::string_view text, std::size_t at) {
  std::size_t n = 0;
  while (at + n < text.size() && is_digit(text[at + n])) ++n;
  return n;
}

bool is_number(std::string_view text) {
  std::size_t at = text.starts_with('-') ? 1 : 0;
  const std::size_t whole = digits_at(text, at);
  if (whole == 0 || (whole > 1 && text[at] == '0')) return false;
  at += whole;
  if (at < text.size() && text[at] == '.') {
    const std::size_t fraction = digits_at(text, ++at);
    if (fraction == 0) return false;
    at += fraction;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const std::size_t exponent = digits_at(text, at);
    if (exponent == 0) return false;
    at += exponent;
  }
  return at == text.size();
}

bool is_scalar(std::string_view text) { return text == "true" || text == "false" || text == "null" || is_number(text); }

bool is_scalar_byte(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || c == 'E' || c == '-' || c == '+' || c == '.';
}

// Whether a number or a word may begin like this.
bool may_be_scalar(std::string_view text) {
  for (const std::string_view word : {"true", "false", "null"})
    if (word.starts_with(text)) return true;
  // Whatever a number lacks, one more digit gives it.
  return is_number(text) || is_number(std::string(text) + "0");
}

std::uint32_t hex4(std::string_view digits) {
  std::uint32_t unit = 0;
  std::from_chars(digits.data(), digits.data() + 4, unit, 16);
  return unit;
}

}  // namespace

JsonScanner::State JsonScanner::open(char c) {
  if (open_.size() == kDepthMax) return fail();
  open_ += c;
  expect_ = c == '{' ? Expect::first_key : Expect::first_element;
  return state_;
}

JsonScanner::State JsonScanner::close(char c) {
  if (open_.empty() || open_.back() != (c == '}' ? '{' : '[')) return fail();
  open_.pop_back();
  return after_value();
}

JsonScanner::State JsonScanner::after_value() {
  expect_ = Expect::separator;
  if (open_.empty()) state_ = State::complete;
  return state_;
}

JsonScanner::State JsonScanner::begin_value(char c) {
  if (is_json_space(c)) return state_;
  if (c == '{' || c == '[') return open(c);
  if (c == ']' && expect_ == Expect::first_element) return close(c);
  if (c == '"') {
    expect_ = Expect::string;
    is_key_ = false;
    return state_;
  }
  scalar_ = c;
  if (!is_scalar_byte(c) || !may_be_scalar(scalar_)) return fail();
  expect_ = Expect::scalar;
  return state_;
}

JsonScanner::State JsonScanner::in_string(char c) {
  if (c == '\\') {
    expect_ = Expect::escape;
  } else if (c == '"') {
    if (!is_key_) return after_value();
    expect_ = Expect::colon;
  } else if (static_cast<unsigned char>(c) < 0x20) {
    return fail();
  }
  return state_;
}

JsonScanner::State JsonScanner::in_scalar(char c) {
  constexpr std::size_t kScalarBytesMax = 512;
  if (is_scalar_byte(c)) {
    scalar_ += c;
    return scalar_.size() <= kScalarBytesMax && may_be_scalar(scalar_) ? state_ : fail();
  }
  if (!is_scalar(scalar_)) return fail();
  if (open_.empty()) return fail();  // what comes after it is not ours
  expect_ = Expect::separator;
  return push(c);
}

JsonScanner::State JsonScanner::push(char c) {
  KVASIR_ASSERT(state_ == State::inside);
  switch (expect_) {
    case Expect::value:
    case Expect::first_element:
      return begin_value(c);
    case Expect::first_key:
    case Expect::key:
      if (is_json_space(c)) return state_;
      if (c == '}' && expect_ == Expect::first_key) return close(c);
      if (c != '"') return fail();
      expect_ = Expect::string;
      is_key_ = true;
      return state_;
    case Expect::colon:
      if (is_json_space(c)) return state_;
      if (c != ':') return fail();
      expect_ = Expect::value;
      return state_;
    case Expect::separator:
      if (is_json_space(c)) return state_;
      if (c == '}' || c == ']') return close(c);
      if (c != ',') return fail();
      expect_ = open_.back() == '{' ? Expect::key : Expect::value;
      return state_;
    case Expect::string:
      return in_string(c);
    case Expect::escape:
      if (std::string_view("\"\\/bfnrtu").find(c) == std::string_view::npos) return fail();
      expect_ = c == 'u' ? Expect::hex : Expect::string;
      hex_left_ = 4;
      return state_;
    case Expect::hex:
      if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F')) return fail();
      if (--hex_left_ == 0) expect_ = Expect::string;
      return state_;
    case Expect::scalar:
      return in_scalar(c);
  }
  return fail();
}

bool is_json(std::string_view text, char opening) {
  text = trimmed(text);
  if (text.empty() || text.front() != opening) return false;
  JsonScanner scanner;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (scanner.push(text[i]) != JsonScanner::State::inside)
      return scanner.state() == JsonScanner::State::complete && i + 1 == text.size();
  return false;
}

bool is_json(std::string_view text) {
  text = trimmed(text);
  return is_scalar(text) || (!text.empty() && is_json(text, text.front()));
}

void append_json_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (const std::size_t at = std::string_view("\n\t\r\b\f").find(c); at != std::string_view::npos) {
      out += '\\';
      out += "ntrbf"[at];
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  append_json_escaped(out, text);
  return out += '"';
}

std::string unescape_json(std::string_view string) {
  string = trimmed(string);
  KVASIR_ASSERT(string.size() >= 2);
  string = string.substr(1, string.size() - 2);
  std::string out;
  for (std::size_t i = 0; i < string.size(); ++i) {
    if (string[i] != '\\') {
      out += string[i];
      continue;
    }
    const char c = string[++i];
    if (c != 'u') {
      const std::size_t at = std::string_view("ntrbf").find(c);
      out += at == std::string_view::npos ? c : "\n\t\r\b\f"[at];
      continue;
    }
    std::uint32_t unit = hex4(string.substr(i + 1, 4));
    i += 4;
    const bool high = unit >= 0xd800 && unit < 0xdc00;
    if (high && string.substr(i + 1, 2) == "\\u") {
      const std::uint32_t low = hex4(string.substr(i + 3, 4));
      if (low >= 0xdc00 && low < 0xe000) {
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        i += 6;
      }
    }
    utf8_append(out, unit >= 0xd800 && unit < 0xe000 ? 0xfffd : unit);
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_json_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_json_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace kvasir
