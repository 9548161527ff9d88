#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/special_tokens.h"
#include "engine/text/token_index.h"
#include "engine/text/tokenizer.h"

namespace kvasir {

// No longer token is looked for in texts, as a whole or as what merges make: looking takes as long as tokens are. The
// longest of real vocabularies have some hundred bytes.
inline constexpr std::size_t kMatchedBytesMax = 1024;

// The tokens of a vocabulary and what each is: what all kinds of tokenizer have in common. Immutable after building;
// any thread may use it.
class TokenTable {
 public:
  // Bytes of an ordinary token from its text in the file: a kind of tokenizer has its own.
  using BytesOf = std::string (*)(std::string_view text, TokenType type);

  // Errors: invalid_argument (broken vocabulary).
  static Result<TokenTable> build(const VocabularyData& vocabulary, BytesOf bytes_of);

  std::uint32_t size() const { return static_cast<std::uint32_t>(kinds_.size()); }
  std::string_view text(TokenId id) const { return slice(texts_, text_ends_, id); }  // as in the file
  std::string_view bytes(TokenId id) const { return slice(bytes_, byte_ends_, id); }
  // Never part of plain text: control tokens, the unknown token, and what is written like one.
  bool is_control(TokenId id) const { return kind(id).control; }
  bool is_whole(TokenId id) const { return kind(id).whole; }  // matched as a whole text: control and user-defined
  bool is_end(TokenId id) const { return kind(id).end; }
  bool strips_after(TokenId id) const { return kind(id).strips_after; }  // white space after it vanishes
  TokenType type(TokenId id) const { return kind(id).type; }

  TokenId find(std::string_view text) const { return index_.find(text); }  // or kNoToken
  // A token that plain text may become: never a control token, also where a vocabulary has merges that lead to one.
  TokenId find_plain(std::string_view text) const { return plain(find(text)); }
  TokenId plain(TokenId id) const { return id != kNoToken && is_control(id) ? kNoToken : id; }
  const TokenIndex& index() const { return index_; }
  const SpecialTokens& specials() const { return specials_; }

 private:
  struct Kind {
    TokenType type = TokenType::normal;
    bool control = false, whole = false, end = false, strips_after = false;
  };

  explicit TokenTable(std::size_t tokens) : index_(tokens) {}
  const Kind& kind(TokenId id) const {
    KVASIR_ASSERT(id >= 0 && static_cast<std::size_t>(id) < kinds_.size());
    return kinds_[static_cast<std::size_t>(id)];
  }
  std::string_view slice(const std::string& all, const std::vector<std::size_t>& ends, TokenId id) const {
    KVASIR_ASSERT(id >= 0 && static_cast<std::size_t>(id) < kinds_.size());
    const auto i = static_cast<std::size_t>(id);
    return std::string_view(all).substr(ends[i], ends[i + 1] - ends[i]);
  }
  void add_texts(const VocabularyData& v);
  void add_kinds(const VocabularyData& v, BytesOf bytes_of);
  void add_ends(const VocabularyData& v);

  std::string texts_, bytes_;                       // of all tokens, one after another
  std::vector<std::size_t> text_ends_, byte_ends_;  // (size + 1), the first is 0
  std::vector<Kind> kinds_;                         // by id
  TokenIndex index_;                                // views into texts_
  SpecialTokens specials_;
};

}  // namespace kvasir
