#include "engine/text/tokenizer.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/text/byte_level.h"
#include "engine/text/utf8.h"

namespace kvasir {
namespace {

// All bytes as tokens 0..255, then what the tests need.
VocabularyData small_vocabulary() {
  VocabularyData v;
  v.model = "gpt2";
  v.pre = "smollm";
  for (int byte = 0; byte < 256; ++byte)
    v.tokens.push_back(printable_of_bytes(std::string(1, static_cast<char>(byte))));
  for (const char* merged : {"ab", "abc", "bc", "aa", "aaaa", "Ġa", "ĊĊ"}) v.tokens.emplace_back(merged);
  v.types.assign(v.tokens.size(), TokenType::normal);
  v.merges = {"a b", "b c", "ab c", "a a", "aa aa", "Ġ a", "Ċ Ċ"};
  for (const char* control : {"<|im_start|>", "<|im_end|>", "<|im"}) {
    v.tokens.emplace_back(control);
    v.types.push_back(TokenType::control);
  }
  for (const char* added : {"<tool>", "<|made_up|>"}) {
    v.tokens.emplace_back(added);
    v.types.push_back(TokenType::user_defined);
  }
  return v;
}

struct Fixture {
  explicit Fixture(VocabularyData vocabulary = small_vocabulary()) : data(vocabulary) {
    auto loaded = Tokenizer::load(std::move(vocabulary));
    if (!loaded) throw std::runtime_error(loaded.error().message);
    tokenizer = std::move(*loaded);
  }
  std::vector<std::string> names(const std::vector<TokenId>& ids) const {
    std::vector<std::string> names;
    for (const TokenId id : ids) names.push_back(data.tokens[static_cast<std::size_t>(id)]);
    return names;
  }
  VocabularyData data;
  std::unique_ptr<Tokenizer> tokenizer;
};

using Names = std::vector<std::string>;

TEST(Tokenizer, MergesBestRankFirst) {
  const Fixture f;
  EXPECT_EQ(f.names(f.tokenizer->encode("abc")), Names{"abc"});
  EXPECT_EQ(f.names(f.tokenizer->encode("xbcab")), (Names{"x", "bc", "ab"}));
  EXPECT_EQ(f.names(f.tokenizer->encode("aaaaa")), (Names{"aaaa", "a"}));
  EXPECT_EQ(f.names(f.tokenizer->encode(" ab")), (Names{"Ġ", "ab"}));
}

// The same result by the scan for short pieces and by the heap for long ones.
TEST(Tokenizer, LongPiecesMergeAsShortOnes) {
  const Fixture f;
  Names expected;
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += "xabc";
    expected.insert(expected.end(), {"x", "abc"});
  }
  EXPECT_EQ(f.names(f.tokenizer->encode(text)), expected);
  EXPECT_EQ(f.tokenizer->encode(std::string(100'003, 'a')).size(), 25'000u + 2u);
}

TEST(Tokenizer, DigitsStandAloneBeforeSpacesAreCut) {
  const Fixture f;
  EXPECT_EQ(f.names(f.tokenizer->encode("\n\n2")), (Names{"ĊĊ", "2"}));
  VocabularyData v = small_vocabulary();
  v.pre = "gpt-2";
  const Fixture gpt2(std::move(v));
  EXPECT_EQ(gpt2.names(gpt2.tokenizer->encode("\n\n2")), (Names{"Ċ", "Ċ", "2"}));
}

TEST(Tokenizer, SpecialTextIsTextUnlessAskedFor) {
  const Fixture f;
  const auto plain = f.tokenizer->encode("<|im_start|>");
  EXPECT_EQ(f.tokenizer->decode(plain), "<|im_start|>");
  for (const TokenId id : plain) EXPECT_FALSE(f.tokenizer->is_control(id));
  EXPECT_EQ(f.names(f.tokenizer->encode_with_specials("ab<|im_start|>ab<|im_x")),
            (Names{"ab", "<|im_start|>", "ab", "<|im", "_", "x"}));
}

TEST(Tokenizer, UserDefinedTokensAreTextUnlessTheyLookLikeControl) {
  const Fixture f;
  EXPECT_EQ(f.names(f.tokenizer->encode("ab<tool>")), (Names{"ab", "<tool>"}));
  EXPECT_EQ(f.tokenizer->encode("<|made_up|>").size(), std::string("<|made_up|>").size());
  EXPECT_EQ(f.names(f.tokenizer->encode_with_specials("<|made_up|>")), Names{"<|made_up|>"});
  EXPECT_TRUE(f.tokenizer->is_control(*f.tokenizer->find("<|made_up|>")));
  EXPECT_FALSE(f.tokenizer->is_control(*f.tokenizer->find("<tool>")));
}

TEST(Tokenizer, OnlyTemplateSegmentsHoldSpecials) {
  const Fixture f;
  PromptText prompt;
  prompt.segments = {{"<|im_", true}, {"start|>", true}, {"<|im_end|>", false}, {"<|im_e", true}, {"nd|>", false}};
  const Names names = f.names(f.tokenizer->encode(prompt));
  EXPECT_EQ(names.front(), "<|im_start|>");
  EXPECT_EQ(std::count(names.begin(), names.end(), "<|im_end|>"), 0);
  EXPECT_EQ(std::count(names.begin(), names.end(), "<|im"), 1);  // wholly inside the last template segment
  EXPECT_EQ(f.tokenizer->decode(f.tokenizer->encode(prompt)), prompt.text());
  prompt.segments = {{"a", false}, {"b", true}, {"c", false}};
  EXPECT_EQ(f.names(f.tokenizer->encode(prompt)), Names{"abc"});
}

TEST(Tokenizer, InvalidUtf8PassesThrough) {
  const Fixture f;
  for (const std::string text : {"\xff\xfe", "a\xc3", "\xe2\x82", "ab\x80 abc", "\xf0\x9f\x98"})
    EXPECT_EQ(f.tokenizer->decode(f.tokenizer->encode(text)), text);
}

TEST(Tokenizer, BytesWithoutTokenVanish) {
  VocabularyData v = small_vocabulary();
  v.tokens['!'] = "[unused]";
  const Fixture f(std::move(v));
  EXPECT_EQ(f.names(f.tokenizer->encode("?!?")), (Names{"?", "?"}));
}

TEST(Tokenizer, MergesNeverMakeControlTokens) {
  VocabularyData v = small_vocabulary();
  v.tokens.emplace_back("xy");
  v.types.push_back(TokenType::control);
  v.merges.emplace_back("x y");
  const Fixture f(std::move(v));
  EXPECT_EQ(f.names(f.tokenizer->encode("xy")), (Names{"x", "y"}));
  EXPECT_EQ(f.names(f.tokenizer->encode_with_specials("xy")), Names{"xy"});
}

TEST(Tokenizer, EndsOfGeneration) {
  VocabularyData v = small_vocabulary();
  v.eos = 3;
  const Fixture f(std::move(v));
  EXPECT_TRUE(f.tokenizer->is_end_of_generation(3));
  EXPECT_TRUE(f.tokenizer->is_end_of_generation(*f.tokenizer->find("<|im_end|>")));
  EXPECT_FALSE(f.tokenizer->is_end_of_generation(*f.tokenizer->find("<|im_start|>")));
  EXPECT_EQ(f.tokenizer->eos(), 3);
  EXPECT_EQ(f.tokenizer->bos(), std::nullopt);
}

// gpt-oss: a turn is several messages, each with <|end|> after it.
TEST(Tokenizer, MessageEndEndsNothingWhereTurnsHaveTheirOwn) {
  VocabularyData v = small_vocabulary();
  for (const char* text : {"<|end|>", "<|call|>"}) {
    v.tokens.emplace_back(text);
    v.types.push_back(TokenType::control);
  }
  const Fixture phi(v);
  EXPECT_TRUE(phi.tokenizer->is_end_of_generation(*phi.tokenizer->find("<|end|>")));
  v.tokens.emplace_back("<|return|>");
  v.types.push_back(TokenType::control);
  const Fixture f(std::move(v));
  EXPECT_FALSE(f.tokenizer->is_end_of_generation(*f.tokenizer->find("<|end|>")));
  EXPECT_TRUE(f.tokenizer->is_end_of_generation(*f.tokenizer->find("<|return|>")));
  EXPECT_TRUE(f.tokenizer->is_end_of_generation(*f.tokenizer->find("<|call|>")));
}

TEST(Tokenizer, TextIsComposedWhereTheModelsDoSo) {
  VocabularyData v = small_vocabulary();
  const Fixture plain(v);
  EXPECT_EQ(plain.tokenizer->encode("e\u0301").size(), 3u);
  v.pre = "qwen2";
  const Fixture composing(std::move(v));
  EXPECT_EQ(composing.tokenizer->encode("e\u0301"), composing.tokenizer->encode("\u00E9"));
}

TEST(Tokenizer, KindsSayWhetherABosIsAdded) {
  VocabularyData v = small_vocabulary();
  EXPECT_FALSE(Fixture(v).tokenizer->add_bos());
  v.pre = "llama-bpe";
  EXPECT_TRUE(Fixture(v).tokenizer->add_bos());
  v.add_bos = false;
  EXPECT_FALSE(Fixture(v).tokenizer->add_bos());
}

TEST(Tokenizer, BrokenVocabulariesAreRefused) {
  const auto refusal = [](auto change) {
    VocabularyData v = small_vocabulary();
    change(v);
    auto loaded = Tokenizer::load(std::move(v));
    return loaded ? std::string("accepted") : loaded.error().message;
  };
  EXPECT_NE(refusal([](auto& v) { v.model = "bert"; }).find("bert"), std::string::npos);
  EXPECT_NE(refusal([](auto& v) { v.pre = "martian"; }).find("'martian'"), std::string::npos);
  EXPECT_NE(refusal([](auto& v) {
              v.tokens.clear();
              v.types.clear();
            }).find("no tokens"),
            std::string::npos);
  EXPECT_NE(refusal([](auto& v) { v.types.pop_back(); }).find("token types"), std::string::npos);
  EXPECT_NE(refusal([](auto& v) { v.merges.emplace_back("ab"); }).find("merge 7"), std::string::npos);
  EXPECT_NE(refusal([](auto& v) { v.eos = 1'000'000; }).find("1000000"), std::string::npos);
}

TEST(Tokenizer, ManySpecialTokensStayLinear) {
  VocabularyData v = small_vocabulary();
  for (int i = 0; i < 5'000; ++i) {
    v.tokens.push_back("<|reserved_" + std::to_string(i) + "|>");
    v.types.push_back(TokenType::control);
  }
  const Fixture f(std::move(v));
  std::string text;
  while (text.size() < 500'000) text += "<|reserved_";
  EXPECT_EQ(f.tokenizer->decode(f.tokenizer->encode_with_specials(text)), text);
  EXPECT_EQ(f.names(f.tokenizer->encode_with_specials("<|reserved_4999|>")), Names{"<|reserved_4999|>"});
}

TEST(Utf8, LengthsFollowTheStandard) {
  EXPECT_EQ(utf8_length("a"), 1u);
  EXPECT_EQ(utf8_length("é"), 2u);
  EXPECT_EQ(utf8_length("日"), 3u);
  EXPECT_EQ(utf8_length("😀"), 4u);
  for (const char* broken : {"", "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\x80", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                             "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xff"})
    EXPECT_EQ(utf8_length(broken), 0u) << broken;
  EXPECT_EQ(utf8_incomplete("\xe2\x82"), 2u);
  EXPECT_EQ(utf8_incomplete("\xe2\x28"), 0u);
  EXPECT_EQ(utf8_count("aé😀\xff"), 4u);
}

}  // namespace
}  // namespace kvasir
