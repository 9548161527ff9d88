#include "engine/text/pre_tokenizer.h"

#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/text/pre_kinds.h"

namespace kvasir {
namespace {

std::vector<std::string> split(std::string_view kind, std::string_view text) {
  auto pre = PreTokenizer::create(kind);
  if (!pre) throw std::runtime_error(pre.error().message);
  const auto pieces = (*pre)->split(text);
  return {pieces.begin(), pieces.end()};
}

using Pieces = std::vector<std::string>;

TEST(PreTokenizer, KindsCutAsTheirModelsDo) {
  EXPECT_EQ(split("gpt-2", "It's  12345 a!\n"), (Pieces{"It", "'s", " ", " 12345", " a", "!", "\n"}));
  EXPECT_EQ(split("llama-bpe", "IT'S 12345 (a)\n\n"), (Pieces{"IT", "'S", " ", "123", "45", " (", "a", ")\n\n"}));
  EXPECT_EQ(split("qwen2", "a12"), (Pieces{"a", "1", "2"}));
  EXPECT_EQ(split("gpt-4o", "helloWorld's HTTPServer 日本"), (Pieces{"hello", "World's", " HTTPServer", " 日本"}));
  EXPECT_EQ(split("tekken", "helloWorld's 12"), (Pieces{"hello", "World", "'s", " ", "1", "2"}));
  EXPECT_EQ(split("kimi-k2", "ab日本cd 1234"), (Pieces{"ab", "日本", "cd", " ", "123", "4"}));
  EXPECT_EQ(split("deepseek-v3", "a1234日本 (b)"), (Pieces{"a", "123", "4", "日本", " (", "b", ")"}));
  EXPECT_EQ(split("deepseek-llm", "ab  \n x"), (Pieces{"ab", "  ", "\n", " x"}));
  EXPECT_EQ(split("falcon", "a $12345"), (Pieces{"a", " ", "$", "123", "45"}));
  EXPECT_EQ(split("bloom", "a, b.c"), (Pieces{"a", ",", " b", ".", "c"}));
  EXPECT_EQ(split("tiny_aya", "1234567 12ab"), (Pieces{"1", "234", "567", " ", "12", "ab"}));
  EXPECT_EQ(split("superbpe", "a 1234٣٣٣"), (Pieces{"a ", "1", "234", "٣٣٣"}));
  EXPECT_EQ(split("exaone-moe", "ab cd  e"), (Pieces{"ab cd", " ", " e"}));
  EXPECT_EQ(split("qwen35", "नमस्ते"), Pieces{"नमस्ते"});
}

TEST(PreTokenizer, NoKindIsTheDefault) {
  EXPECT_EQ(split("", "a-1234"), split("default", "a-1234"));
  EXPECT_EQ(split("", "a-1234"), (Pieces{"a", "-", "123", "4"}));
}

TEST(PreTokenizer, UnknownKindsAreNamedWithTheNearest) {
  const auto refused = PreTokenizer::create("qwen-2");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::unsupported);
  EXPECT_NE(refused.error().message.find("'qwen-2'"), std::string::npos);
  EXPECT_NE(refused.error().message.find("nearest it knows is 'qwen2'"), std::string::npos);
  EXPECT_NE(refused.error().message.find("tekken"), std::string::npos);
  EXPECT_FALSE(PreTokenizer::create(std::string(100'000, 'q')).ok());
}

// Every kind, on what makes naive matching quadratic or deep: the time for twice the text is about twice.
TEST(PreTokenizer, EveryKindIsLinear) {
  const auto seconds = [](const PreTokenizer& pre, const std::string& text) {
    const auto begin = std::chrono::steady_clock::now();
    std::size_t bytes = 0;
    for (const std::string_view piece : pre.split(text)) bytes += piece.size();
    EXPECT_EQ(bytes, text.size());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  for (const PreKind& kind : pre_kinds()) {
    const std::string name(kind.names.substr(0, kind.names.find(' ')));
    const auto pre = PreTokenizer::create(name);
    ASSERT_TRUE(pre.ok()) << pre.error().message;
    for (const char* unit : {"a", "A", "aA", " ", "\n", "\t ", "1", "1a", "!", "日", "\u0301"}) {
      std::string run, longer;
      while (run.size() < 4'000) run += unit;
      for (int i = 0; i < 8; ++i) longer += run;
      const double once = seconds(**pre, run + "x"), eight = seconds(**pre, longer + "x");
      EXPECT_LT(eight, 40 * once + 0.5) << name << " on " << ::testing::PrintToString(unit);
    }
  }
}

}  // namespace
}  // namespace kvasir
