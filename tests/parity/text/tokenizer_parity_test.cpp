#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "engine/text/tokenizer.h"
#include "gateway/json/json.h"
#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::unique_ptr<Tokenizer> load(const std::string& gguf) {
  auto file = GgufFile::open(gguf);
  if (!file) throw std::runtime_error(file.error().message);
  auto vocabulary = read_vocabulary(**file);
  if (!vocabulary) throw std::runtime_error(vocabulary.error().message);
  auto tokenizer = Tokenizer::load(std::move(*vocabulary));
  if (!tokenizer) throw std::runtime_error(tokenizer.error().message);
  return std::move(*tokenizer);
}

std::vector<TokenId> ids_of(const Value& array) {
  std::vector<TokenId> ids;
  for (const Value& id : *array.as_array()) ids.push_back(std::stoi(id.as_number()->text));
  return ids;
}

double seconds(auto&& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Every row of a file of truth, with special tokens as text and as control tokens; `agreed` names the field that says
// whether two implementations gave the same. `lossless`: no byte of any text is lost.
void check_rows(const Tokenizer& tokenizer, const std::string& path, const char* agreed, bool lossless, int expected) {
  std::ifstream rows(path);
  int count = 0;
  for (std::string line; std::getline(rows, line);) {
    auto row = parse_json(line);
    ASSERT_TRUE(row.ok()) << row.error().message;
    if (!*row->find(agreed)->as_bool()) continue;
    ++count;
    const std::string& text = *row->find("text")->as_string();
    const std::string number = row->find("id")->as_number()->text;
    const auto ids = tokenizer.encode(text), with_specials = tokenizer.encode_with_specials(text);
    EXPECT_EQ(ids, ids_of(*row->find("ids"))) << "row " << number;
    EXPECT_EQ(with_specials, ids_of(*row->find("ids_special"))) << "row " << number;
    if (!lossless || text.find("\u2581") != std::string::npos) continue;  // SentencePiece's own space
    EXPECT_EQ(tokenizer.decode(ids), text) << "row " << number;
    EXPECT_EQ(tokenizer.decode(with_specials), text) << "row " << number;
  }
  EXPECT_EQ(count, expected);
}

TEST(TokenizerParity, DefaultModelOnEveryRowInBothModes) {
  const std::string data = testing::shared_data_dir(), model = testing::default_model_path();
  if (data.empty() || model.empty()) GTEST_SKIP() << "needs the shared data and the default model";
  check_rows(*load(model), data + "/tokenizer/smollm2.jsonl", "agree_python_bpe", false, 395);
}

std::string gemma3_path() {
  const char* path = std::getenv("KVASIR_GEMMA3");
  const std::string file = path ? path : std::string(KVASIR_SOURCE_DIR) + "/models/gemma-3-270m-q4_k_m.gguf";
  return std::filesystem::exists(file) ? file : std::string();
}

TEST(TokenizerParity, Gemma3OnEveryRowOnWhichTheReferencesAgree) {
  const std::string data = testing::shared_data_dir(), model = gemma3_path();
  if (data.empty() || model.empty())
    GTEST_SKIP() << "needs the shared data and the Gemma 3 270M file (KVASIR_GEMMA3, or models/)";
  check_rows(*load(model), data + "/tokenizer/gemma3.jsonl", "agree_hf_bpe", true, 393);
}

// `.inp` holds texts between separator lines, `.out` a line of ids for each.
void check_vocabulary(const std::string& gguf) {
  const auto tokenizer = load(gguf);
  const std::string input = read_file(gguf + ".inp");
  std::istringstream expected(read_file(gguf + ".out"));
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::size_t at = 0;
  int count = 0;
  for (std::string line; std::getline(expected, line) && at <= input.size(); ++count) {
    const std::size_t end = std::min(input.find(separator, at), input.size());
    const std::string text = input.substr(at, end - at);
    at = end + separator.size();
    std::istringstream numbers(line);
    const std::vector<TokenId> ids{std::istream_iterator<TokenId>(numbers), {}};
    EXPECT_EQ(tokenizer->encode(text), ids) << ::testing::PrintToString(text);
    EXPECT_EQ(tokenizer->decode(ids), text);
  }
  EXPECT_GT(count, 40);
}

TEST(TokenizerParity, EveryVocabularyOnItsTexts) {
  const std::string data = testing::shared_data_dir();
  if (data.empty()) GTEST_SKIP() << "needs the shared data";
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data + "/vocab")) {
    const std::string path = entry.path().string();
    if (!path.ends_with(".gguf") || !std::filesystem::exists(path + ".out")) continue;
    SCOPED_TRACE(entry.path().stem().string());
    check_vocabulary(path);
    ++count;
  }
  EXPECT_GE(count, 6);
}

// Four times the text takes about four times the time, whatever it is.
void check_linear(const Tokenizer& tokenizer) {
  for (const char* unit :
       {"a", " ", "\n", "0", "!", "é", "\xff", "a ", " \n", "<|im_start", "日", "'s", "\x04", "</"}) {
    std::string run;
    while (run.size() < 60'000) run += unit;
    for (const char* tail : {"", "x"}) {
      const double once = seconds([&] { tokenizer.encode_with_specials(run + tail); });
      const double four = seconds([&] { tokenizer.encode_with_specials(run + run + run + run + tail); });
      EXPECT_LT(four, 30 * once + 0.5) << ::testing::PrintToString(unit);
    }
  }
}

TEST(TokenizerParity, HugeTextsTakeLinearTime) {
  const std::string data = testing::shared_data_dir(), model = testing::default_model_path();
  if (data.empty() || model.empty()) GTEST_SKIP() << "needs the shared data and the default model";
  check_linear(*load(model));
  check_linear(*load(data + "/vocab/ggml-vocab-llama-spm.gguf"));
}

TEST(TokenizerParity, LongProseComesBack) {
  const std::string data = testing::shared_data_dir();
  if (data.empty()) GTEST_SKIP() << "needs the shared data";
  std::string prose;
  for (int i = 0; prose.size() < 1'000'000; ++i)
    prose += "The year " + std::to_string(i * 7919) + " wasn't über-good;\n";
  for (const char* name : {"llama-bpe", "llama-spm"}) {
    const auto tokenizer = load(data + "/vocab/ggml-vocab-" + name + ".gguf");
    const double taken = seconds([&] { EXPECT_EQ(tokenizer->decode(tokenizer->encode(prose)), prose); });
    RecordProperty(std::string("seconds_per_megabyte_") + name, std::to_string(taken));
  }
}

}  // namespace
}  // namespace kvasir
