#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kvasir {

// Finds the end of one JSON value in a text that comes in pieces, and the first byte that no JSON value can have there.
// Keeps no text. An array, an object or a string ends with its last byte; a number or a word needs a byte after it, so
// it never ends here by itself. Single-threaded value.
class JsonScanner {
 public:
  enum class State : std::uint8_t { inside, complete, broken };
  static constexpr std::size_t kDepthMax = 256;  // deeper is broken

  // REQUIRES: state() == inside. A byte that is broken is not part of the value.
  State push(char c);
  State state() const { return state_; }

 private:
  enum class Expect : std::uint8_t {
    value,
    first_element,
    first_key,
    key,
    colon,
    separator,
    string,
    escape,
    hex,
    scalar
  };
  State fail() { return state_ = State::broken; }
  State open(char c);
  State close(char c);
  State after_value();
  State begin_value(char c);
  State in_string(char c);
  State in_scalar(char c);

  std::string open_;    // '{' and '[' around the place
  std::string scalar_;  // a number or a word so far
  Expect expect_ = Expect::value;
  std::uint8_t hex_left_ = 0;
  bool is_key_ = false;  // the string is an object's key
  State state_ = State::inside;
};

// Whether `text` is one JSON value that begins with `opening` ('{', '[' or '"'), and nothing but white space around it.
bool is_json(std::string_view text, char opening);
// Whether it is any one JSON value.
bool is_json(std::string_view text);

// Appends `text` as a JSON string without its quotes: escapes only what JSON demands.
void append_json_escaped(std::string& out, std::string_view text);
std::string json_string(std::string_view text);  // with quotes

// The text that a JSON string, quotes included, stands for. REQUIRES: is_json(string, '"').
std::string unescape_json(std::string_view string);

inline bool is_json_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
std::string_view trimmed(std::string_view text);  // without JSON's white space around it

}  // namespace kvasir
