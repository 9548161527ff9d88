#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/text/token_table.h"
#include "engine/text/tokenizer.h"

namespace kvasir {

// What all tokenizers with a vocabulary do alike: tokens that are matched as whole texts are cut out first, leftmost
// and longest; the text between them is encoded by the kind of tokenizer.
class VocabularyTokenizer : public Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view text) const override { return encode_runs(text, {}); }
  std::vector<TokenId> encode_with_specials(std::string_view text) const override;
  std::vector<TokenId> encode(const PromptText& prompt) const override;

  std::string_view bytes(TokenId id) const override { return table_.bytes(id); }
  std::string decode(std::span<const TokenId> ids) const override;
  bool is_control(TokenId id) const override { return table_.is_control(id); }
  bool is_end_of_generation(TokenId id) const override { return table_.is_end(id); }
  std::optional<TokenId> bos() const override { return bos_; }
  std::optional<TokenId> eos() const override { return eos_; }
  std::optional<TokenId> find(std::string_view token) const override;
  bool add_bos() const override { return add_bos_; }
  std::uint32_t size() const override { return table_.size(); }

 protected:
  VocabularyTokenizer(const VocabularyData& v, TokenTable table, bool add_bos)
      : table_(std::move(table)), bos_(v.bos), eos_(v.eos), add_bos_(v.add_bos.value_or(add_bos)) {}

  // Appends the ids of a stretch of text without special tokens; never empty. `before` is the special token before it;
  // none: it is the beginning.
  virtual void encode_stretch(std::string_view text, std::optional<TokenId> before,
                              std::vector<TokenId>& out) const = 0;

  const TokenTable& table() const { return table_; }

 private:
  // A run of text in which control tokens may stand.
  struct Run {
    std::size_t begin, end;
  };
  static std::vector<Run> template_runs(const PromptText& prompt);
  std::vector<TokenId> encode_runs(std::string_view text, const std::vector<Run>& control_runs) const;

  TokenTable table_;
  std::optional<TokenId> bos_, eos_;
  bool add_bos_;
};

}  // namespace kvasir
