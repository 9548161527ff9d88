#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/text/calls/json_scanner.h"

namespace kvasir {

struct CallNotation;

// Reads a call that is a JSON object with its name and arguments in it, byte by byte. Arguments that come after the
// name are handed on as they come; those before it wait for it. Arguments written as a JSON string count as what it
// says. Single-threaded value.
class EnvelopeReader {
 public:
  enum class State : std::uint8_t { inside, complete, broken };
  EnvelopeReader() = default;
  explicit EnvelopeReader(const CallNotation& notation);

  State push(char c);  // REQUIRES: inside. A byte that is broken is not taken.
  State state() const { return state_; }
  bool has_name() const { return has_name_; }
  // The name is known and so is that arguments come (or that there are none).
  bool ready() const { return has_name_ && (arguments_seen_ || state_ == State::complete); }
  const std::string& name() const { return name_; }
  const std::string& id() const { return id_; }
  std::string take_arguments();  // more of them; REQUIRES: ready()

 private:
  enum class Place : std::uint8_t { start, first_key, key, colon, value, in_value, scalar, separator };
  State fail() { return state_ = State::broken; }
  State finish();
  State begin_value(char c);
  State in_value(char c);
  State end_value();
  State end_scalar(char c);
  State end_key();

  const CallNotation* notation_ = nullptr;
  State state_ = State::inside;
  Place place_ = Place::start;
  JsonScanner scanner_;
  std::string text_;  // of the key or value that is being read, unless it is handed on
  std::string key_, name_, id_, arguments_;
  bool has_name_ = false, arguments_seen_ = false, is_arguments_ = false, as_string_ = false;
};

}  // namespace kvasir
