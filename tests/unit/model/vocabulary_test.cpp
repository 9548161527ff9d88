#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/model/model_config.h"
#include "tests/unit/model/gguf_bytes.h"
#include "tests/unit/model/model_file.h"

namespace kvasir {
namespace {

using ::testing::ElementsAre;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::ModelFile;

constexpr std::uint32_t kU32 = 4, kI32 = 5, kString = 8, kArray = 9;

// A list of ids under `key`.
GgufBytes ids(const char* key, std::uint32_t type, std::initializer_list<std::int32_t> values) {
  GgufBytes entry;
  entry.key(key, kArray).u32(type).u64(values.size());
  for (const std::int32_t value : values) entry.put(value);
  return entry;
}

VocabularyData vocabulary_with(const GgufBytes& entry) { return *read_vocabulary(*ModelFile().add(entry).parse()); }

TEST(Vocabulary, MoreEndsThanOne) {
  EXPECT_THAT(vocabulary_with(ids("tokenizer.ggml.eos_token_ids", kI32, {3, 4})).ends, ElementsAre(3, 4));
  EXPECT_THAT(vocabulary_with(ids("tokenizer.ggml.eog_token_ids", kU32, {5})).ends, ElementsAre(5));
  EXPECT_EQ(vocabulary_with(GgufBytes().key("tokenizer.ggml.eom_token_id", kU32).u32(6)).eom, 6);
}

TEST(Vocabulary, EndsThatAreNoTokensAreNamed) {
  for (const std::int32_t id : {-1, 512})
    EXPECT_THAT(ModelFile().add(ids("tokenizer.ggml.eos_token_ids", kI32, {id})).vocabulary_error(),
                HasSubstr("tokenizer.ggml.eos_token_ids"));
  EXPECT_THAT(ModelFile().add(GgufBytes().key("tokenizer.ggml.eos_token_ids", kString).text("x")).vocabulary_error(),
              HasSubstr("tokenizer.ggml.eos_token_ids"));
}

// Phi-3 alone, by its architecture and its kind of tokenizer.
TEST(Vocabulary, WhiteSpaceAfterSpecialTokensIsPhi3s) {
  const auto strips = [](const char* architecture, const char* model) {
    const auto bytes = GgufBytes()
                           .header(0, 3)
                           .key("general.architecture", kString)
                           .text(architecture)
                           .key("tokenizer.ggml.model", kString)
                           .text(model)
                           .key("tokenizer.ggml.tokens", kArray)
                           .u32(kString)
                           .u64(1)
                           .text("a");
    const auto file = GgufFile::parse(bytes.span());
    return read_vocabulary(**file)->strip_after_specials;
  };
  EXPECT_TRUE(strips("phi3", "llama"));
  EXPECT_FALSE(strips("phi3", "gpt2"));
  EXPECT_FALSE(strips("llama", "llama"));
}

}  // namespace
}  // namespace kvasir
