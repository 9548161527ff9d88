#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/text/detokenizer.h"
#include "engine/text/tokenizer.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

const std::string kSpace = "\u2581";

// "<unk>", "<s>", "</s>", all bytes, then what the tests need: merges that go by score.
VocabularyData small_vocabulary() {
  VocabularyData v;
  v.model = "llama";
  const auto add = [&v](std::string text, float score, TokenType type = TokenType::normal) {
    v.tokens.push_back(std::move(text));
    v.scores.push_back(score);
    v.types.push_back(type);
  };
  add("<unk>", 0, TokenType::unknown);
  add("<s>", 0, TokenType::control);
  add("</s>", 0, TokenType::control);
  const char* digits = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte)
    add(std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">", 0, TokenType::byte);
  float score = 0;
  for (const char* text : {"▁", "a", "b", "c", "x", "é", "ab", "bc", "abc", "▁a", "▁ab", "▁▁", "aa", "aaaa", "xé"})
    add(text, score -= 1);
  add("<tool>", 0, TokenType::user_defined);
  add("<|end|>", 0, TokenType::control);
  add("\n\n", 0, TokenType::user_defined);
  v.bos = 1;
  v.eos = 2;
  v.unknown = 0;
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
  std::vector<std::string> plain(std::string_view text) const { return names(tokenizer->encode(text)); }
  std::vector<std::string> special(std::string_view text) const { return names(tokenizer->encode_with_specials(text)); }
  VocabularyData data;
  std::unique_ptr<Tokenizer> tokenizer;
};

using Names = std::vector<std::string>;

template <class Change>
Fixture changed(Change change) {
  VocabularyData v = small_vocabulary();
  change(v);
  return Fixture(std::move(v));
}

TEST(SpmTokenizer, MergesTheHighestScoreFirstAndTheLeftmostOfEqualOnes) {
  const Fixture f;
  EXPECT_EQ(f.plain("xab"), (Names{"▁", "x", "ab"}));
  EXPECT_EQ(f.plain("xabc"), (Names{"▁", "x", "abc"}));  // ab, then abc
  EXPECT_EQ(f.plain("abc"), (Names{"▁", "abc"}));        // ab is better than ▁a, abc than ▁ab
  EXPECT_EQ(f.plain("xaaaaaaa"), (Names{"▁", "x", "aaaa", "aa", "a"}));
  const Fixture equal = changed([](auto& v) { v.scores.assign(v.scores.size(), 0.0f); });
  EXPECT_EQ(equal.plain("xabc"), (Names{"▁", "x", "abc"}));
  EXPECT_EQ(equal.plain("ab"), Names{"▁ab"});
}

TEST(SpmTokenizer, ScoresOfAnyKindAreAnOrder) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const auto with = [](float ab, float bc) {
    return changed([&](auto& v) {
             for (std::size_t i = 0; i < v.tokens.size(); ++i) {
               if (v.tokens[i] == "ab") v.scores[i] = ab;
               if (v.tokens[i] == "bc") v.scores[i] = bc;
               if (v.tokens[i] == "abc") v.tokens[i] = "unused";
             }
           })
        .plain("xabc");
  };
  const Names left{"▁", "x", "ab", "c"}, right{"▁", "x", "a", "bc"};
  EXPECT_EQ(with(1, 2), right);
  EXPECT_EQ(with(-1, -2), left);
  EXPECT_EQ(with(-infinity, -1e30f), right);
  EXPECT_EQ(with(infinity, 1e30f), left);
  EXPECT_EQ(with(nan, -infinity), right);
  EXPECT_EQ(with(nan, nan), left);
  EXPECT_EQ(with(-0.0f, 0.0f), left);
  EXPECT_EQ(with(0.0f, -0.0f), left);
}

TEST(SpmTokenizer, TextBeginsWithASpaceAlsoAfterSpecialTokens) {
  const Fixture f;
  EXPECT_EQ(f.plain(""), Names{});
  EXPECT_EQ(f.plain(" "), Names{"▁▁"});
  EXPECT_EQ(f.plain(" x"), (Names{"▁▁", "x"}));
  EXPECT_EQ(f.special("<s>x</s>x"), (Names{"<s>", "▁", "x", "</s>", "▁", "x"}));
  EXPECT_EQ(f.special("<s> x"), (Names{"<s>", "▁▁", "x"}));
  EXPECT_EQ(f.special("<s></s>"), (Names{"<s>", "</s>"}));
  EXPECT_EQ(f.plain("x<tool>x"), (Names{"▁", "x", "<tool>", "▁", "x"}));
  const Fixture without = changed([](auto& v) { v.add_space_prefix = false; });
  EXPECT_EQ(without.plain("x x"), (Names{"x", "▁", "x"}));
  EXPECT_EQ(without.special("<s>x"), (Names{"<s>", "x"}));
}

// Mistral's v2 and v3: their templates print a space after [INST], which is the prefix.
TEST(SpmTokenizer, InstructionTokensHaveOneSpaceAfterThem) {
  const Fixture f = changed([](auto& v) {
    v.tokens.emplace_back("[INST]");
    v.scores.push_back(0);
    v.types.push_back(TokenType::control);
  });
  EXPECT_EQ(f.special("<s>[INST] x"), (Names{"<s>", "[INST]", "▁", "x"}));
  EXPECT_EQ(f.special("<s>[INST]x"), (Names{"<s>", "[INST]", "▁", "x"}));
  EXPECT_EQ(f.plain(" x"), (Names{"▁▁", "x"}));
}

TEST(SpmTokenizer, ExtraSpacesGoWhereTheFileSaysSo) {
  const Fixture f = changed([](auto& v) { v.remove_extra_spaces = true; });
  EXPECT_EQ(f.plain("  x   x "), (Names{"▁", "x", "▁", "x"}));
  EXPECT_EQ(f.plain("   "), Names{});
}

TEST(SpmTokenizer, UnknownCharactersAreBytesOrOneUnknownToken) {
  const Fixture f;
  EXPECT_EQ(f.plain("x日"), (Names{"▁", "x", "<0xE6>", "<0x97>", "<0xA5>"}));
  EXPECT_EQ(f.plain("x\xff\xc3"), (Names{"▁", "x", "<0xFF>", "<0xC3>"}));
  const Fixture without = changed([](auto& v) {
    for (auto& type : v.types)
      if (type == TokenType::byte) type = TokenType::unused;
  });
  EXPECT_EQ(without.plain("x日本x日"), (Names{"▁", "x", "<unk>", "x", "<unk>"}));
  EXPECT_EQ(without.plain("日"), (Names{"▁", "<unk>"}));
  EXPECT_EQ(without.special("<unk>日"), (Names{"<unk>", "▁", "<unk>"}));
  const Fixture none = changed([](auto& v) {
    for (auto& type : v.types)
      if (type == TokenType::byte || type == TokenType::unknown) type = TokenType::unused;
    v.unknown.reset();
  });
  EXPECT_EQ(none.plain("x日x"), (Names{"▁", "x", "x"}));
}

// A character that is only part of a token: "é" is taken away, "xé" stays.
TEST(SpmTokenizer, CharactersThatAreNoTokensStillMerge) {
  const Fixture f = changed([](auto& v) {
    for (auto& token : v.tokens)
      if (token == "é") token = "taken away";
  });
  EXPECT_EQ(f.plain("xé"), (Names{"▁", "xé"}));
  EXPECT_EQ(f.plain("aéx"), (Names{"▁a", "<0xC3>", "<0xA9>", "x"}));
}

TEST(SpmTokenizer, SpecialTextIsTextUnlessAskedFor) {
  const Fixture f;
  for (const char* text : {"<s>", "</s>", "<unk>", "<|end|>", "<0x41>"}) {
    for (const TokenId id : f.tokenizer->encode(text)) EXPECT_FALSE(f.tokenizer->is_control(id)) << text;
    EXPECT_EQ(f.tokenizer->decode(f.tokenizer->encode(text)), text);
  }
  EXPECT_EQ(f.special("<|end|>"), Names{"<|end|>"});
  EXPECT_EQ(f.special("<unk>"), Names{"<unk>"});
  EXPECT_EQ(f.special("<0x41>").size(), 7u);  // byte tokens have no text of their own
  EXPECT_EQ(f.plain("a\n\n\nb"), (Names{"▁a", "\n\n", "▁", "<0x0A>", "b"}));
}

// Phi-3: white space after special tokens belongs to them.
TEST(SpmTokenizer, WhiteSpaceAfterSpecialTokensGoesWhereTheModelDoesSo) {
  const Fixture f = changed([](auto& v) { v.strip_after_specials = true; });
  EXPECT_EQ(f.special("<|end|>\n \u3000x"), (Names{"<|end|>", "▁", "x"}));
  EXPECT_EQ(f.special("<|end|>\n<|end|> "), (Names{"<|end|>", "<|end|>"}));
  EXPECT_EQ(f.special("<s> x"), (Names{"<s>", "▁▁", "x"}));
}

TEST(SpmTokenizer, Ends) {
  const Fixture f = changed([](auto& v) {
    v.ends = {40};
    v.eom = 41;
  });
  EXPECT_TRUE(f.tokenizer->is_end_of_generation(2));
  EXPECT_TRUE(f.tokenizer->is_end_of_generation(*f.tokenizer->find("<|end|>")));
  EXPECT_TRUE(f.tokenizer->is_end_of_generation(40));
  EXPECT_TRUE(f.tokenizer->is_end_of_generation(41));
  EXPECT_FALSE(f.tokenizer->is_end_of_generation(1));
  EXPECT_TRUE(f.tokenizer->add_bos());
  EXPECT_FALSE(changed([](auto& v) { v.add_bos = false; }).tokenizer->add_bos());
}

// Gemma has "<s>" and "</s>" as HTML.
TEST(SpmTokenizer, EndMarkThatIsHtmlEndsNothing) {
  const Fixture f = changed([](auto& v) {
    v.types[1] = v.types[2] = TokenType::user_defined;
    v.eos.reset();
  });
  EXPECT_EQ(f.plain("</s>"), Names{"</s>"});
  EXPECT_FALSE(f.tokenizer->is_end_of_generation(2));
}

std::string stream(Detokenizer detokenizer, const std::vector<TokenId>& ids, std::size_t from) {
  std::string text;
  for (std::size_t i = from; i < ids.size(); ++i) text += detokenizer.push(ids[i]);
  return text + detokenizer.finish();
}

TEST(SpmTokenizer, StreamingFromAnyCutGivesTheWholeText) {
  const Fixture f;
  for (const std::string text : {"x日<s>ab  é</s>x", " <|end|> x", "<s>\xE6\x97\xA5<tool>a", "", "  "}) {
    const auto ids = f.tokenizer->encode_with_specials(text);
    EXPECT_EQ(f.tokenizer->decode(ids), text);
    for (std::size_t cut = 0; cut <= ids.size(); ++cut) {
      const auto before = cut == 0 ? std::nullopt : std::optional(ids[cut - 1]);
      const std::string head = f.tokenizer->decode(std::span(ids).first(cut));
      const std::string tail = stream(Detokenizer(*f.tokenizer, before), ids, cut);
      if (tail.find("\uFFFD") == std::string::npos) {
        EXPECT_EQ(head + tail, text) << cut;
      }
    }
  }
}

TEST(SpmTokenizer, AReplyKeepsItsFirstSpaceUnlessItFollowsASpecialToken) {
  const Fixture f;
  const auto ids = f.tokenizer->encode("ab");
  EXPECT_EQ(stream(Detokenizer(*f.tokenizer), ids, 0), " ab");               // in the middle of a text
  EXPECT_EQ(stream(Detokenizer(*f.tokenizer, std::nullopt), ids, 0), "ab");  // at its beginning
  EXPECT_EQ(stream(Detokenizer(*f.tokenizer, TokenId{2}), ids, 0), "ab");    // after </s>
  EXPECT_EQ(stream(Detokenizer(*f.tokenizer, *f.tokenizer->find("x")), ids, 0), " ab");
  Detokenizer skipping(*f.tokenizer);
  EXPECT_EQ(skipping.push(*f.tokenizer->find("x")), "x");
  skipping.skip(2);
  EXPECT_EQ(skipping.push(*f.tokenizer->find("▁a")), "a");
}

// Words are merged one by one only where no token reaches over the space between them.
TEST(SpmTokenizer, TokensWithSpacesInside) {
  const Fixture f = changed([](auto& v) {
    for (const char* text : {"c▁", "c▁a", "▁x"}) {
      v.tokens.emplace_back(text);
      v.scores.push_back(100);
      v.types.push_back(TokenType::normal);
    }
  });
  EXPECT_EQ(f.plain("c ac x"), (Names{"▁", "c▁a", "c▁", "x"}));
}

TEST(SpmTokenizer, AnyBytesComeBack) {
  const Fixture f;
  Prng prng(7);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::uint64_t i = prng.below(40); i > 0; --i) {
      constexpr std::string_view kPieces[] = {"a", "b", "c", " ", "  ", "é", "日", "<s>", "<tool>", "\n", "<0x41>"};
      text += prng.chance(80) ? std::string(kPieces[prng.below(std::size(kPieces))])
                              : std::string(1, static_cast<char>(prng.below(256)));
    }
    if (text.find(kSpace) != std::string::npos) continue;
    ASSERT_EQ(f.tokenizer->decode(f.tokenizer->encode(text)), text);
    ASSERT_EQ(f.tokenizer->decode(f.tokenizer->encode_with_specials(text)), text);
  }
}

// The definition, word for word: of all neighbours that make a token, those of the highest score, the leftmost first.
Names merged_by_definition(const VocabularyData& v, const std::string& text) {
  Names symbols;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = text[at] == kSpace[0] ? kSpace.size() : 1;
    symbols.push_back(text.substr(at, length));
    at += length;
  }
  while (true) {
    std::size_t best = symbols.size();
    float best_score = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto token = std::find(v.tokens.begin(), v.tokens.end(), symbols[i] + symbols[i + 1]);
      if (token == v.tokens.end()) continue;
      const float score = v.scores[static_cast<std::size_t>(token - v.tokens.begin())];
      if (best == symbols.size() || score > best_score) {
        best = i;
        best_score = score;
      }
    }
    if (best == symbols.size()) return symbols;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(SpmTokenizer, RandomVocabulariesMergeAsDefined) {
  Prng prng(11);
  for (int round = 0; round < 300; ++round) {
    VocabularyData v;
    v.model = "llama";
    v.add_space_prefix = false;
    v.tokens = {"a", "b", "c", kSpace};
    for (std::uint64_t i = prng.below(30); i > 0; --i) {
      std::string token;
      for (std::uint64_t k = 2 + prng.below(4); k > 0; --k) token += v.tokens[prng.below(4)];
      if (std::find(v.tokens.begin(), v.tokens.end(), token) == v.tokens.end()) v.tokens.push_back(token);
    }
    for (std::size_t i = 0; i < v.tokens.size(); ++i) v.scores.push_back(static_cast<float>(prng.below(6)));
    const Fixture f(v);
    for (const std::uint64_t size : {3, 10, 23, 24, 25, 60}) {
      std::string text, with_symbols;
      for (std::uint64_t i = 0; i < size; ++i) {
        const char c = "abc "[prng.below(4)];
        text += c;
        with_symbols += c == ' ' ? kSpace : std::string(1, c);
      }
      ASSERT_EQ(f.plain(text), merged_by_definition(v, with_symbols)) << text;
    }
  }
}

// Tokens of every length up to 300, so that each merge makes another possible, in the best and in the worst order.
TEST(SpmTokenizer, ChainsOfMergesOnLongRuns) {
  for (const int order : {1, -1, 0}) {
    VocabularyData v;
    v.model = "llama";
    v.add_space_prefix = false;
    for (int length = 1; length <= 300; ++length) {
      v.tokens.emplace_back(static_cast<std::size_t>(length), 'a');
      v.scores.push_back(static_cast<float>(order * length));
    }
    const Fixture f(v);
    EXPECT_EQ(f.tokenizer->decode(f.tokenizer->encode(std::string(200'000, 'a'))), std::string(200'000, 'a'));
    EXPECT_EQ(f.plain(std::string(60, 'a')), merged_by_definition(v, std::string(60, 'a')));
  }
}

TEST(SpmTokenizer, ListedMerges) {
  VocabularyData v = small_vocabulary();
  v.model = "gemma4";
  v.scores.clear();
  v.merges = {"b c", "a b", "▁ a", "a bc"};
  v.tokens.emplace_back("\n");
  v.types.push_back(TokenType::normal);
  v.types[static_cast<std::size_t>(std::find(v.tokens.begin(), v.tokens.end(), "\n\n") - v.tokens.begin())] =
      TokenType::normal;
  const Fixture f(v);
  EXPECT_EQ(f.plain("xabc ab"), (Names{"x", "abc", "▁", "ab"}));
  EXPECT_EQ(f.plain("a\n\nb\n\n\n日"), (Names{"a", "\n\n", "b", "\n", "\n", "\n", "<0xE6>", "<0x97>", "<0xA5>"}));
  v.merges.emplace_back("nonsense");
  EXPECT_NE(Tokenizer::load(v).error().message.find("merge 4"), std::string::npos);
}

TEST(SpmTokenizer, BrokenVocabulariesAreRefused) {
  const auto refusal = [](auto change) {
    VocabularyData v = small_vocabulary();
    change(v);
    auto loaded = Tokenizer::load(std::move(v));
    return loaded ? std::string("accepted") : loaded.error().message;
  };
  EXPECT_NE(refusal([](auto& v) { v.scores.pop_back(); }).find("scores"), std::string::npos);
  EXPECT_NE(refusal([](auto& v) { v.ends = {-1}; }).find("-1"), std::string::npos);
  EXPECT_NE(refusal([](auto& v) { v.model = "t5"; }).find("'t5'"), std::string::npos);
  EXPECT_EQ(refusal([](auto& v) { v.types.clear(); }), "accepted");
  const auto many = [](TokenType type) {
    return [type](auto& v) {
      for (int i = 0; i < 4000; ++i) {
        v.tokens.push_back(std::to_string(i) + std::string(800, 'y'));
        v.scores.push_back(0);
        v.types.push_back(type);
      }
    };
  };
  EXPECT_NE(refusal(many(TokenType::user_defined)).find("user-defined tokens of"), std::string::npos);
  EXPECT_EQ(refusal(many(TokenType::normal)), "accepted");
}

TEST(SpmTokenizer, HugeTokensAreNotLookedFor) {
  const Fixture f = changed([](auto& v) {
    for (const std::size_t size : {1024, 1025, 2048}) {
      v.tokens.push_back("<" + std::string(size - 1, 'x'));
      v.scores.push_back(0);
      v.types.push_back(TokenType::user_defined);
    }
  });
  EXPECT_EQ(f.plain("<" + std::string(1023, 'x')).size(), 1u);
  EXPECT_EQ(f.plain("<" + std::string(1030, 'x')).size(), 1 + 1 + 7u);  // the shorter one, the prefix, the rest
}

// Files of old have no token types: byte tokens are known by their text, special ones by their ids.
TEST(SpmTokenizer, WithoutTypes) {
  const Fixture f = changed([](auto& v) { v.types.clear(); });
  EXPECT_EQ(f.plain("x日"), (Names{"▁", "x", "<0xE6>", "<0x97>", "<0xA5>"}));
  EXPECT_EQ(f.tokenizer->decode(f.tokenizer->encode("x日")), "x日");
  EXPECT_EQ(f.special("<s>x"), (Names{"<s>", "▁", "x"}));
}

}  // namespace
}  // namespace kvasir
