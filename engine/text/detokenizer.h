#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.h"

namespace kvasir {

// Incremental ids -> text for one stream: never hands out part of a UTF-8 character. Bytes that cannot become valid
// UTF-8 come out as U+FFFD. Single-threaded value.
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  std::string push(TokenId id);  // text that is complete now; may be empty
  std::string finish();          // what was held back, repaired

 private:
  const Tokenizer* tokenizer_;
  std::string held_;
};

// Finds the stop string that is complete first in a growing text, however the text is cut, and holds back what might
// become one. Of two that end at the same place the longer one counts. Empty stop strings are ignored.
// Single-threaded value.
class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops);
  // Appends text; returns what may be sent now. After matched() is true it returns only what preceded the match.
  std::string push(std::string_view text);
  std::string finish();  // what was held back, when generation ended without a match
  bool matched() const { return matched_; }
  const std::string& match() const { return match_; }  // the stop string found

 private:
  std::vector<std::string> stops_;
  std::string held_;
  std::string match_;
  bool matched_ = false;
};

}  // namespace kvasir
