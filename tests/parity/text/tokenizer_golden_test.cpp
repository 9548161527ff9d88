#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/tokenizer.h"
#include "gateway/json/json.h"

// What tokenizers of others made of our texts; tools/tokenizer_golden.py wrote it.
namespace kvasir {
namespace {

const std::string kGolden = std::string(KVASIR_SOURCE_DIR) + "/tests/parity/text/golden/";

// Calls `check` with each row of a file; how many there were.
template <class Check>
int for_each_row(const std::string& name, Check check) {
  std::ifstream rows(kGolden + name);
  int count = 0;
  for (std::string line; std::getline(rows, line); ++count) {
    const auto row = parse_json(line);
    if (!row) throw std::runtime_error(row.error().message);
    check(*row);
  }
  return count;
}

TEST(TokenizerGolden, PiecesAreThoseOfTheOriginalPreTokenizers) {
  std::map<std::string, std::unique_ptr<PreTokenizer>> kinds;
  const int count = for_each_row("pre_tokenizer.jsonl", [&](const Value& row) {
    const std::string& kind = *row.find("kind")->as_string();
    if (!kinds.contains(kind)) kinds[kind] = std::move(*PreTokenizer::create(kind));
    const std::string& text = *row.find("text")->as_string();
    std::vector<std::string> expected;
    for (const Value& piece : *row.find("pieces")->as_array()) expected.push_back(*piece.as_string());
    const auto pieces = kinds[kind]->split(text);
    EXPECT_EQ(std::vector<std::string>(pieces.begin(), pieces.end()), expected) << kind << " on " << text;
  });
  EXPECT_GT(count, 400);
  EXPECT_GE(kinds.size(), 19u);
}

void check_vocabulary(const std::string& name, bool lossless) {
  const auto file = GgufFile::open(kGolden + name + ".gguf");
  ASSERT_TRUE(file.ok()) << file.error().message;
  auto vocabulary = read_vocabulary(**file);
  ASSERT_TRUE(vocabulary.ok()) << vocabulary.error().message;
  const auto tokenizer = Tokenizer::load(std::move(*vocabulary));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const int count = for_each_row(name + ".jsonl", [&](const Value& row) {
    const std::string& text = *row.find("text")->as_string();
    std::vector<TokenId> expected;
    for (const Value& id : *row.find("ids")->as_array()) expected.push_back(std::stoi(id.as_number()->text));
    EXPECT_EQ((*tokenizer)->encode(text), expected) << text;
    if (lossless) {
      EXPECT_EQ((*tokenizer)->decode(expected), text);
    }
  });
  EXPECT_GT(count, 80);
}

TEST(TokenizerGolden, SentencePieceWithBytesAndSpacePrefix) { check_vocabulary("spm_bytes", true); }
TEST(TokenizerGolden, SentencePieceWithUnknownsAndWithoutExtraSpaces) { check_vocabulary("spm_unknown", false); }

}  // namespace
}  // namespace kvasir
