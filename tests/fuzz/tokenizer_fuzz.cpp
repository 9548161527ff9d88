#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/text/byte_level.h"
#include "engine/text/tokenizer.h"
#include "storage/base/assert.h"

namespace {

std::unique_ptr<kvasir::Tokenizer> make(const std::string& pre) {
  kvasir::VocabularyData v;
  v.model = "gpt2";
  v.pre = pre;
  for (int byte = 0; byte < 256; ++byte)
    v.tokens.push_back(kvasir::printable_of_bytes(std::string(1, static_cast<char>(byte))));
  for (const char* merged : {"aa", "aaaa", "ab", "Ġa", "ĠĠ", "ĊĊ", "in", "ing"}) v.tokens.emplace_back(merged);
  v.merges = {"a a", "aa aa", "a b", "Ġ a", "Ġ Ġ", "Ċ Ċ", "i n", "in g"};
  v.types.assign(v.tokens.size(), kvasir::TokenType::normal);
  for (const char* control : {"<s>", "</s>", "<|a|>"}) {
    v.tokens.emplace_back(control);
    v.types.push_back(kvasir::TokenType::control);
  }
  return std::move(*kvasir::Tokenizer::load(std::move(v)));
}

}  // namespace

// Any bytes, by every kind: decoding what was encoded gives the text back, and plain text has no control tokens.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::unique_ptr<kvasir::Tokenizer> tokenizers[] = {make("gpt-2"), make("smollm"), make("llama-bpe"),
                                                                  make("qwen2"), make("deepseek-coder")};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& tokenizer : tokenizers) {
    const auto ids = tokenizer->encode(text);
    KVASIR_ASSERT(tokenizer->decode(ids) == text);
    for (const kvasir::TokenId id : ids) KVASIR_ASSERT(!tokenizer->is_control(id));
    KVASIR_ASSERT(tokenizer->decode(tokenizer->encode_with_specials(text)) == text);
  }
  return 0;
}
