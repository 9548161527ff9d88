#include "gateway/inspect/model_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/cpu/cpu_backends.h"
#include "engine/kv_sizes.h"
#include "gateway/json/json.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/unit/model/split_gguf.h"

namespace kvasir {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::PartWriter;

// Keeps the bytes that the file lies in.
struct File {
  std::string bytes;
  std::unique_ptr<GgufFile> gguf;
  explicit File(std::string b) : bytes(std::move(b)) {
    gguf = std::move(GgufFile::parse(std::as_bytes(std::span(bytes)))).value();
  }
};

// The keys of the tiny model, some with other values.
PartWriter keys(const std::map<std::string, GgufFile::MetaValue>& others = {}) {
  const File tiny(testing::tiny_model_bytes({}));
  PartWriter writer;
  for (const auto& [key, value] : tiny.gguf->metadata()) {
    const auto other = others.find(key);
    writer.copy(key, other == others.end() ? value : other->second);
  }
  return writer;
}

GgufFile::MetaValue text(std::string value) { return value; }

TEST(ModelReport, TellsWhatATinyModelIs) {
  const testing::TempDir dir;
  const std::string path = testing::write_tiny_model(dir / "tiny.gguf");
  const auto file = std::move(GgufFile::open(path)).value();
  const ModelReport report = describe_model(*file);
  EXPECT_TRUE(report.served());
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_EQ(report.path, path);
  EXPECT_EQ(report.file.tensors, file->tensors().size());
  EXPECT_EQ(report.file.types[0].type, "Q4_1");
  EXPECT_EQ(report.architecture.family, "llama");
  EXPECT_EQ(report.architecture.layers, 2u);
  EXPECT_EQ(report.architecture.kv_heads, 2u);
  EXPECT_EQ(report.architecture.head_dim, 16u);
  EXPECT_TRUE(report.architecture.tied_output);
  ASSERT_TRUE(report.tokenizer.has_value());
  EXPECT_TRUE(report.tokenizer->loads);
  EXPECT_EQ(report.tokenizer->pre, "smollm");
  EXPECT_EQ(report.tokenizer->eos->text, "<|im_end|>");
  EXPECT_EQ(report.tokenizer->control_tokens, 5u);
  EXPECT_THAT(report.tokenizer->ends, Not(IsEmpty()));
  EXPECT_TRUE(report.chat_template.present && report.chat_template.features);
}

TEST(ModelReport, MemoryIsWhatTheBackendsTake) {
  const File tiny(testing::tiny_model_bytes({}));
  const ModelReport report = describe_model(*tiny.gguf, {.block_tokens = 64});
  ASSERT_EQ(report.memory.size(), 3u);
  EXPECT_EQ(report.memory[0].backend, "cpu");
  EXPECT_EQ(report.memory[0].kv_type, "f16");
  EXPECT_EQ(report.memory[0].kv_token, 2u * 2 * 2 * 16 * 2);
  EXPECT_EQ(report.memory[0].kv_context, 4096u * report.memory[0].kv_token);
  EXPECT_EQ(report.memory[1].backend, "reference");
  EXPECT_EQ(report.memory[1].kv_token, 2u * 2 * 2 * 16 * 4);
  EXPECT_EQ(report.memory[1].weights, report.file.parameters * 4);
  EXPECT_EQ(report.memory[2].backend, "cpu");
  EXPECT_EQ(report.memory[2].kv_type, "int8");
  EXPECT_EQ(report.memory[2].kv_token, 2u * 2 * 2 * (16 + 4));
  EXPECT_LT(report.memory[0].weights, report.memory[1].weights / 4);
}

TEST(ModelReport, TextAndJsonSayTheSame) {
  const testing::TempDir dir;
  const auto file = std::move(GgufFile::open(testing::write_tiny_model(dir / "tiny.gguf"))).value();
  const ModelReport report = describe_model(*file, {.digest = true});
  const std::string text = to_text(report);
  for (const char* part :
       {"tiny.gguf: kvasir can serve it\n", "\nFile\n", "\nArchitecture\n", "  family          llama\n",
        "  heads           4 query, 2 KV, 16 wide\n", "\nTokenizer\n", "\nMemory\n", "\nChat template\n"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("Problems")));
  const auto json = parse_json(to_json(report));
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->find("architecture")->find("layers")->as_number()->text, "2");
  EXPECT_EQ(json->find("file")->find("weights_digest")->as_string()->size(), 64u);
  EXPECT_EQ(json->find("problems")->as_array()->size(), 0u);
}

TEST(ModelReport, TheDigestIsReadOnlyWhenAskedFor) {
  const File tiny(testing::tiny_model_bytes({}));
  EXPECT_EQ(describe_model(*tiny.gguf).file.weights_digest, "");
  EXPECT_EQ(describe_model(*tiny.gguf, {.digest = true}).file.weights_digest.size(), 64u);
}

TEST(ModelReport, AVocabularyIsNoModelButIsDescribed) {
  const File file(keys().bytes());
  const ModelReport report = describe_model(*file.gguf);
  EXPECT_THAT(report.problems, ElementsAre("the file has no tensors: it holds a vocabulary only"));
  EXPECT_TRUE(report.tokenizer && report.tokenizer->loads);
  EXPECT_EQ(report.architecture.layers, 2u);
  EXPECT_THAT(report.memory, IsEmpty());
  EXPECT_THAT(to_text(report), AllOf(HasSubstr("kvasir cannot serve it"), HasSubstr("as the file's keys say")));
}

TEST(ModelReport, ListsEveryProblem) {
  PartWriter writer = keys({{"tokenizer.ggml.pre", text("klingon")}, {"tokenizer.chat_template", text("{% for %}")}});
  const File tiny(testing::tiny_model_bytes({}));
  std::string block(84, 'x');
  for (GgufTensor tensor : tiny.gguf->tensors()) {
    if (tensor.name.ends_with("attn_q.weight")) {
      tensor.type = 10, tensor.dims = {256}, tensor.data = std::as_bytes(std::span(block));
    }
    writer.tensor(tensor);
  }
  const File file(writer.bytes());
  const ModelReport report = describe_model(*file.gguf);
  EXPECT_THAT(report.problems,
              ElementsAre("tensor blk.0.attn_q.weight and 1 more are Q2_K, which this build does not load",
                          HasSubstr("klingon"), HasSubstr("chat template: ")));
  EXPECT_FALSE(report.served());
}

TEST(ModelReport, ListsEveryKeyThatIsRefused) {
  PartWriter writer = keys();
  writer.copy("llama.expert_count", std::uint64_t{8});
  writer.copy("llama.attention.clamp_kqv", 30.0);
  const File file(writer.bytes());
  EXPECT_THAT(describe_model(*file.gguf).problems,
              ElementsAre("the file has no tensors: it holds a vocabulary only", HasSubstr("llama.expert_count"),
                          HasSubstr("llama.attention.clamp_kqv")));
}

TEST(ModelReport, ListsTensorsThatAreRefusedUpToADozen) {
  PartWriter writer = keys();
  const File tiny(testing::tiny_model_bytes({}));
  for (const GgufTensor& tensor : tiny.gguf->tensors()) {
    writer.tensor(tensor);
    if (tensor.name != "output_norm.weight") continue;
    for (int i = 0; i < 20; ++i) {
      GgufTensor other = tensor;
      other.name = "odd." + std::to_string(i);
      writer.tensor(other);
    }
  }
  const File file(writer.bytes());
  const std::vector<std::string> problems = describe_model(*file.gguf).problems;
  ASSERT_EQ(problems.size(), 13u);
  EXPECT_THAT(problems[1], HasSubstr("tensor odd.1 is not part of a llama model"));
  EXPECT_EQ(problems.back(), "and 8 more of that kind");
}

TEST(ModelReport, HeadsThatTheKernelsCannotDoAreAProblem) {
  testing::TinyModelSpec spec;
  spec.head_dim = 24;
  const File file(testing::tiny_model_bytes(spec));
  EXPECT_THAT(describe_model(*file.gguf).problems,
              ElementsAre(AllOf(HasSubstr("multiple of 16"), HasSubstr("not 24"), HasSubstr("backend: reference"))));
  const auto config = read_model_config(*file.gguf);
  ASSERT_TRUE(config.ok());
  BackendOptions options;
  options.threads = 1, options.pool_bytes = 1u << 20;
  EXPECT_FALSE(make_cpu_backend(*file.gguf, *config, options).ok());
  EXPECT_TRUE(make_reference_backend(*file.gguf, *config, options).ok());
}

TEST(ModelReport, AnotherFamilyIsNamed) {
  const File file(keys({{"general.architecture", text("mamba")}}).bytes());
  const ModelReport report = describe_model(*file.gguf);
  EXPECT_THAT(report.problems, Contains(HasSubstr("mamba")));
  EXPECT_EQ(report.architecture.family, "mamba");
  EXPECT_FALSE(report.architecture.known);
}

TEST(ModelReport, WithoutATemplateThereIsNoChat) {
  const File tiny(testing::tiny_model_bytes({}));
  PartWriter writer;
  for (const auto& [key, value] : tiny.gguf->metadata()) {
    if (key != "tokenizer.chat_template") writer.copy(key, value);
  }
  for (const GgufTensor& tensor : tiny.gguf->tensors()) writer.tensor(tensor);
  const File file(writer.bytes());
  const ModelReport report = describe_model(*file.gguf);
  EXPECT_TRUE(report.served());
  EXPECT_THAT(report.limits, ElementsAre(HasSubstr("POST /v1/chat/completions answers 400")));
}

TEST(ModelReport, HostileTextsStayOnTheirLine) {
  const File file(keys({{"general.name", text("evil\n\x1b[31mProblems\xff")}}).bytes());
  const ModelReport report = describe_model(*file.gguf);
  const std::string printed = to_text(report);
  EXPECT_THAT(printed, HasSubstr("evil\\n\\x1b[31mProblems\\xff\n"));
  EXPECT_EQ(printed.find('\x1b'), std::string::npos);
  EXPECT_TRUE(parse_json(to_json(report)).ok());
}

TEST(ModelReport, ASplitModelHasItsParts) {
  const testing::TempDir dir;
  const File tiny(testing::tiny_model_bytes({}));
  const std::vector<std::string> parts = testing::split_gguf(*tiny.gguf, 2);
  std::vector<std::span<const std::byte>> spans;
  for (const std::string& part : parts) spans.push_back(std::as_bytes(std::span(part)));
  const auto split = std::move(GgufFile::parse_parts(spans)).value();
  const ModelReport report = describe_model(*split, {.digest = true}),
                    whole = describe_model(*tiny.gguf, {.digest = true});
  EXPECT_TRUE(report.served());
  EXPECT_EQ(report.file.parts.size(), 2u);
  EXPECT_THAT(to_text(report), HasSubstr(", in 2 files"));
  EXPECT_EQ(report.file.weights_digest, whole.file.weights_digest);
}

}  // namespace
}  // namespace kvasir
