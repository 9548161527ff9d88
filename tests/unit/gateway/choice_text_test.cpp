#include "gateway/choice_text.h"

#include <gtest/gtest.h>

#include "tests/unit/gateway/fakes.h"

namespace kvasir::testing {
namespace {

// As SentencePiece's tokenizers: encode() puts a space before a text that follows a control token.
class PrefixingTokenizer final : public ByteTokenizer {
 public:
  std::string_view bytes_after(std::optional<TokenId> before, TokenId id) const override {
    return id == ' ' && (!before || is_control(*before)) ? std::string_view() : bytes(id);
  }
};

std::string reply_after(std::optional<TokenId> before, const std::vector<TokenId>& ids) {
  const PrefixingTokenizer tokenizer;
  ReplyRules rules;
  rules.before = before;
  ChoiceText choice(0, tokenizer, {}, false, rules);
  for (const TokenId id : ids) choice.push({id, 0.0f, {}});
  choice.finish("stop");
  return choice.take()->text;
}

TEST(ChoiceText, TheSpaceThatEncodingPutsAfterAControlTokenIsNoPartOfTheReply) {
  EXPECT_EQ(reply_after(ByteTokenizer::kBos, {' ', 'h', 'i'}), "hi");
  EXPECT_EQ(reply_after(']', {' ', 'h', 'i'}), " hi");
}

TEST(ChoiceText, HiddenControlTokensCountAsWhatStandsBefore) {
  EXPECT_EQ(reply_after(']', {'a', ByteTokenizer::kBos, ' ', 'b'}), "ab");
}

}  // namespace
}  // namespace kvasir::testing
