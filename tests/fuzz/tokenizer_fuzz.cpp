#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/byte_level.h"
#include "engine/text/detokenizer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/utf8.h"
#include "storage/base/assert.h"

namespace {

using kvasir::TokenId;
using kvasir::Tokenizer;
using kvasir::TokenType;
using kvasir::VocabularyData;

void add(VocabularyData& v, std::string text, TokenType type = TokenType::normal) {
  v.tokens.push_back(std::move(text));
  v.types.push_back(type);
  v.scores.push_back(-static_cast<float>(v.tokens.size()));
}

void add_specials(VocabularyData& v) {
  for (const char* control : {"<s>", "</s>", "<|a|>"}) add(v, control, TokenType::control);
  add(v, "<tool>", TokenType::user_defined);
}

std::unique_ptr<Tokenizer> byte_level(const char* pre) {
  VocabularyData v;
  v.model = "gpt2";
  v.pre = pre;
  for (int byte = 0; byte < 256; ++byte) add(v, kvasir::printable_of_bytes(std::string(1, static_cast<char>(byte))));
  for (const char* merged : {"aa", "aaaa", "ab", "Ġa", "ĠĠ", "ĊĊ", "in", "ing"}) add(v, merged);
  v.merges = {"a a", "aa aa", "a b", "Ġ a", "Ġ Ġ", "Ċ Ċ", "i n", "in g"};
  add_specials(v);
  return std::move(*Tokenizer::load(std::move(v)));
}

std::unique_ptr<Tokenizer> sentence_piece(bool prefix) {
  VocabularyData v;
  v.model = "llama";
  v.add_space_prefix = prefix;
  for (int byte = 0; byte < 256; ++byte) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    add(v, std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">", TokenType::byte);
  }
  for (const char* text : {"▁", "a", "b", "aa", "aaaa", "ab", "▁a", "▁▁", "in", "i", "n", "ing", "b▁a", "é", "日本"})
    add(v, text);
  add_specials(v);
  return std::move(*Tokenizer::load(std::move(v)));
}

// Numbers and texts out of fuzz bytes; zeros when there are no more.
class Source {
 public:
  explicit Source(std::string_view bytes) : rest_(bytes) {}
  std::uint8_t byte() { return static_cast<std::uint8_t>(text(1)[0]); }
  std::string text(std::size_t size) {
    std::string taken(rest_.substr(0, size));
    rest_.remove_prefix(taken.size());
    taken.resize(size);
    return taken;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// A vocabulary that nobody meant well with: any texts, types, scores, merges and ids.
VocabularyData hostile(Source& source) {
  VocabularyData v;
  const std::uint8_t flags = source.byte();
  constexpr const char* kModels[] = {"gpt2", "llama", "gemma4", "llama"};
  v.model = kModels[flags & 3];
  if (flags & 4) v.add_space_prefix = (flags & 8) != 0;
  v.remove_extra_spaces = (flags & 16) != 0;
  v.strip_after_specials = (flags & 32) != 0;
  if (flags & 64) v.pre = "deepseek-llm";
  const std::size_t tokens = source.byte() % 40;
  for (std::size_t i = 0; i < tokens; ++i) {
    const std::uint8_t shape = source.byte();
    std::string text = source.text(shape % 8);
    if (shape & 128) text = "<0x" + text + ">";
    if (shape & 64) text.insert(0, "\xE2\x96\x81");
    add(v, std::move(text), static_cast<TokenType>(1 + (shape >> 3) % 6));
    std::uint32_t bits = 0;
    for (int k = 0; k < 4; ++k) bits = bits << 8 | source.byte();
    v.scores.back() = std::bit_cast<float>(bits);
  }
  if (flags & 128) v.types.clear();
  for (std::size_t i = source.byte() % 8; i > 0 && tokens > 0; --i)
    v.merges.push_back(v.tokens[source.byte() % tokens] + " " + v.tokens[source.byte() % tokens]);
  for (auto* id : {&v.bos, &v.eos, &v.unknown})
    if (const std::uint8_t number = source.byte(); number < 50) *id = static_cast<TokenId>(number) - 2;
  v.ends = {static_cast<TokenId>(source.byte() % 64)};
  return v;
}

// What a stream of tokens shows is the text of all, repaired, however it begins.
void check_stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  kvasir::Detokenizer detokenizer(tokenizer, std::nullopt);
  std::string shown;
  for (const TokenId id : ids) shown += detokenizer.push(id);
  shown += detokenizer.finish();
  std::string expected;
  const std::string text = tokenizer.decode(ids);
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t length = kvasir::utf8_length(rest);
    expected += length ? rest.substr(0, length) : kvasir::kReplacementCharacter;
    rest.remove_prefix(length ? length : kvasir::utf8_broken_length(rest));
  }
  KVASIR_ASSERT(shown == expected);
}

void check(const Tokenizer& tokenizer, std::string_view text, bool lossless, std::optional<TokenId> unknown) {
  const auto plain = tokenizer.encode(text), special = tokenizer.encode_with_specials(text);
  kvasir::PromptText prompt;
  prompt.segments = {{std::string(text.substr(0, text.size() / 2)), true},
                     {std::string(text.substr(text.size() / 2)), false}};
  for (const auto& ids : {plain, special, tokenizer.encode(prompt)}) {
    for (const TokenId id : ids) KVASIR_ASSERT(id >= 0 && static_cast<std::uint32_t>(id) < tokenizer.size());
    KVASIR_ASSERT(!lossless || tokenizer.decode(ids) == text);
    check_stream(tokenizer, ids);
  }
  for (const TokenId id : plain) KVASIR_ASSERT(!tokenizer.is_control(id) || id == unknown);
}

}  // namespace

// Any bytes, by vocabularies of every kind: decoding what was encoded gives the text back, plain text has no control
// tokens, streaming shows the same. And the same without the first for vocabularies that the bytes themselves make up.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::unique_ptr<Tokenizer> tokenizers[] = {
      byte_level("gpt-2"),        byte_level("smollm"),  byte_level("llama-bpe"), byte_level("deepseek-coder"),
      byte_level("deepseek-llm"), byte_level("gpt-4o"),  byte_level("tekken"),    byte_level("kimi-k2"),
      byte_level("deepseek-v3"),  byte_level("falcon"),  byte_level("tiny_aya"),  byte_level("exaone-moe"),
      sentence_piece(true),       sentence_piece(false),
  };
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const bool has_space_symbol = text.find("\xE2\x96\x81") != std::string_view::npos;
  for (const auto& tokenizer : tokenizers) check(*tokenizer, text, !has_space_symbol, std::nullopt);

  Source source(text);
  VocabularyData v = hostile(source);
  std::optional<TokenId> unknown = v.unknown;
  for (std::size_t i = 0; !unknown && i < v.types.size(); ++i)
    if (v.types[i] == TokenType::unknown) unknown = static_cast<TokenId>(i);
  if (const auto made = kvasir::Tokenizer::load(std::move(v))) {
    for (TokenId id = 0; id < static_cast<TokenId>((*made)->size()); ++id) (*made)->find((*made)->bytes(id));
    check(**made, source.rest(), false, unknown);
  }
  return 0;
}
