#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.h"

namespace kvasir {

// Incremental ids -> text for one stream: never hands out part of a UTF-8 character. Bytes that cannot become valid
// UTF-8 come out as U+FFFD. Single-threaded value.
class Detokenizer {
 public:
  // Goes on in the middle of a text: every space of the first token counts.
  explicit Detokenizer(const Tokenizer& tokenizer) : tokenizer_(&tokenizer), begun_(true) {}
  // Goes on after the token `before` (none: at the beginning), so that the whole is what Tokenizer::decode() gives.
  Detokenizer(const Tokenizer& tokenizer, std::optional<TokenId> before) : tokenizer_(&tokenizer), before_(before) {}
  std::string push(TokenId id);  // text that is complete now; may be empty
  void skip(TokenId id);         // a token that is not shown (a control token), but was there
  std::string finish();          // what was held back, repaired

 private:
  const Tokenizer* tokenizer_;
  std::optional<TokenId> before_;
  bool begun_ = false;  // the text before is not known, only that there is some
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
