#pragma once

#include <array>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/text/bpe.h"
#include "engine/text/token_table.h"

namespace kvasir {

inline constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";  // U+2581, SentencePiece's space

// What SentencePiece's BPE merges: tokens, and characters that are part of tokens but are none themselves (symbols with
// ids from the size of the vocabulary on). A byte that is no part of a character counts as one. Immutable after
// building.
class SpmSymbols {
 public:
  // All the ways in which two symbols make a token. The result with the higher score goes first; NaN goes last. Errors:
  // invalid_argument.
  static Result<SpmSymbols> by_scores(const TokenTable& table, const std::vector<float>& scores);
  // Only the merges listed, "left right", best first. Errors: invalid_argument.
  static Result<SpmSymbols> by_list(const TokenTable& table, const std::vector<std::string>& merges);

  // The symbol of a character; kNoToken: no token has it.
  TokenId of_character(std::string_view character) const;
  // The character of a symbol that is no token.
  std::string_view character(TokenId symbol) const { return extra_[static_cast<std::size_t>(symbol - tokens_)]; }
  bool is_token(TokenId symbol) const { return symbol < tokens_; }
  // Whether a token has this character and then U+2581: where none has, no merge crosses that place.
  bool joins_space(TokenId symbol) const { return joins_space_[static_cast<std::size_t>(symbol)]; }
  const MergeTable& merges() const { return merges_; }

 private:
  explicit SpmSymbols(const TokenTable& table);
  void add_space_joins(const TokenTable& table);
  TokenId intern(std::string_view character);
  TokenId& place_of(std::string_view character);

  TokenId tokens_;                    // number of tokens
  std::vector<TokenId> basic_;        // by code point below 0x10000
  std::array<TokenId, 256> bytes_{};  // of bytes that are no part of a character
  std::unordered_map<char32_t, TokenId> others_;
  std::vector<std::string> extra_;
  std::vector<bool> joins_space_;  // by symbol
  MergeTable merges_;
};

// Whether plain text can become this token.
bool is_mergeable(const TokenTable& table, TokenId id);

}  // namespace kvasir
