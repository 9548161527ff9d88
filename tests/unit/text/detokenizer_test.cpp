#include "engine/text/detokenizer.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/text/byte_level.h"
#include "engine/text/utf8.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

std::unique_ptr<Tokenizer> byte_tokenizer() {
  VocabularyData v;
  v.model = "gpt2";
  v.pre = "gpt-2";
  for (int byte = 0; byte < 256; ++byte)
    v.tokens.push_back(printable_of_bytes(std::string(1, static_cast<char>(byte))));
  return std::move(*Tokenizer::load(std::move(v)));
}

std::string stream(const Tokenizer& tokenizer, std::string_view bytes) {
  Detokenizer detokenizer(tokenizer);
  std::string out;
  for (const char c : bytes) {
    const std::string piece = detokenizer.push(static_cast<unsigned char>(c));
    for (std::string_view rest = piece; !rest.empty(); rest.remove_prefix(utf8_length(rest)))
      EXPECT_NE(utf8_length(rest), 0u) << "a broken character was sent";
    out += piece;
  }
  return out + detokenizer.finish();
}

TEST(Detokenizer, NeverSplitsCharactersAndRepairsBrokenOnes) {
  const auto tokenizer = byte_tokenizer();
  EXPECT_EQ(stream(*tokenizer, "aé日😀z"), "aé日😀z");
  EXPECT_EQ(stream(*tokenizer, "a\xe6\x97"), "a\uFFFD");
  EXPECT_EQ(stream(*tokenizer, "\xf0\x9f\x98z\xff\xc3"), "\uFFFDz\uFFFD\uFFFD");
  EXPECT_EQ(stream(*tokenizer, "\xc0\x80\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD");
  Detokenizer held(*tokenizer);
  EXPECT_EQ(held.push(0xE6), "");
  EXPECT_EQ(held.push(0x97), "");
  EXPECT_EQ(held.push(0xA5), "日");
}

std::string cut_stream(const std::vector<std::string>& stops, const std::string& text, std::uint64_t seed,
                       std::string& match) {
  StopMatcher matcher(stops);
  Prng prng(seed);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t n = std::min<std::size_t>(1 + prng.below(5), text.size() - at);
    out += matcher.push(text.substr(at, n));
    at += n;
  }
  out += matcher.finish();
  match = matcher.matched() ? matcher.match() : "";
  return out;
}

TEST(StopMatcher, SameResultHoweverTheTextIsCut) {
  struct Case {
    std::vector<std::string> stops;
    std::string text, out, match;
  };
  const Case cases[] = {
      {{"END"}, "some text END more", "some text ", "END"},
      {{"END"}, "no EN stop E", "no EN stop E", ""},
      {{"abc", "b"}, "xxabc", "xxa", "b"},
      {{"bc", "abc"}, "xxabc", "xx", "abc"},
      {{"aab"}, "aaaab", "aa", "aab"},
      {{""}, "text", "text", ""},
      {{}, "text", "text", ""},
      {{"日本"}, "a日b日本c", "a日b", "日本"},
      {{"\n\n", "###"}, "one\ntwo\n\nthree", "one\ntwo", "\n\n"},
  };
  for (const Case& c : cases)
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      std::string match;
      EXPECT_EQ(cut_stream(c.stops, c.text, seed, match), c.out) << c.text;
      EXPECT_EQ(match, c.match) << c.text;
    }
}

TEST(StopMatcher, HoldsBackOnlyWhatMayBecomeAStop) {
  StopMatcher matcher({"STOP"});
  EXPECT_EQ(matcher.push("abc"), "abc");
  EXPECT_EQ(matcher.push("dST"), "d");
  EXPECT_EQ(matcher.push("x"), "STx");
  EXPECT_EQ(matcher.push("STO"), "");
  EXPECT_EQ(matcher.push("P!"), "");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.push("more"), "");
  EXPECT_EQ(matcher.finish(), "");
}

}  // namespace
}  // namespace kvasir
