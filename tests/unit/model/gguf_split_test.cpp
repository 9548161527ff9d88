#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/unit/model/split_gguf.h"

namespace kvasir {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::PartWriter;

std::unique_ptr<GgufFile> parsed(const std::string& bytes) {
  auto file = GgufFile::parse(std::as_bytes(std::span(bytes)));
  KVASIR_ASSERT(file.ok());
  return std::move(*file);
}

Result<std::unique_ptr<GgufFile>> joined(const std::vector<std::string>& parts) {
  std::vector<std::span<const std::byte>> spans;
  for (const std::string& part : parts) spans.push_back(std::as_bytes(std::span(part)));
  return GgufFile::parse_parts(spans);
}

std::string error_of(const std::vector<std::string>& parts) {
  const auto file = joined(parts);
  return file ? "(no error)" : file.error().message;
}

// A tiny model in a folder, in one file and in three.
class SplitModel : public ::testing::Test {
 protected:
  std::string path_of(int number, int count = 3) const {
    return dir_ / ("tiny-0000" + std::to_string(number) + "-of-0000" + std::to_string(count) + ".gguf");
  }
  static void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  void write_parts() const {
    for (int i = 0; i < 3; ++i) write(path_of(i + 1), parts_[static_cast<std::size_t>(i)]);
  }
  std::string open_error(const std::string& path) const {
    const auto file = GgufFile::open(path);
    return file ? "(no error)" : file.error().message;
  }

  const testing::TempDir dir_;
  const std::string bytes_ = testing::tiny_model_bytes({});
  const std::unique_ptr<GgufFile> whole_ = parsed(bytes_);
  std::vector<std::string> parts_ = testing::split_gguf(*whole_, 3);
};

TEST_F(SplitModel, OpensFromAnyPart) {
  write_parts();
  for (const int named : {1, 2, 3}) {
    const auto file = GgufFile::open(path_of(named));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ((*file)->parts().size(), 3u);
    EXPECT_EQ((*file)->parts()[1].path, path_of(2));
    EXPECT_EQ((*file)->bytes(), parts_[0].size() + parts_[1].size() + parts_[2].size());
    EXPECT_EQ((*file)->get_string("general.architecture"), "llama");
    ASSERT_EQ((*file)->tensors().size(), whole_->tensors().size());
    for (std::size_t i = 0; i < whole_->tensors().size(); ++i) {
      const GgufTensor &tensor = (*file)->tensors()[i], &expected = whole_->tensors()[i];
      EXPECT_EQ(tensor.name, expected.name);
      EXPECT_TRUE(std::equal(tensor.data.begin(), tensor.data.end(), expected.data.begin(), expected.data.end()));
      EXPECT_EQ((*file)->tensor(expected.name), &tensor);
    }
  }
}

// Blocks in the cache outlive a change between one file and several.
TEST_F(SplitModel, HasTheDigestOfTheWholeModel) {
  const auto split = joined(parts_);
  ASSERT_TRUE(split) << split.error().message;
  const auto whole_config = read_model_config(*whole_), split_config = read_model_config(**split);
  ASSERT_TRUE(whole_config) << whole_config.error().message;
  ASSERT_TRUE(split_config) << split_config.error().message;
  EXPECT_EQ(weights_digest(*whole_, *whole_config), weights_digest(**split, *split_config));
}

TEST_F(SplitModel, PagesOfEveryPartComeBack) {
  write_parts();
  const auto file = GgufFile::open(path_of(1));
  ASSERT_TRUE(file) << file.error().message;
  (*file)->drop_pages();
  for (const GgufTensor& tensor : whole_->tensors()) {
    const auto data = (*file)->tensor(tensor.name)->data;
    EXPECT_TRUE(std::equal(data.begin(), data.end(), tensor.data.begin(), tensor.data.end())) << tensor.name;
  }
}

TEST_F(SplitModel, NamesTheMissingPart) {
  write(path_of(1), parts_[0]);
  write(path_of(3), parts_[2]);
  EXPECT_THAT(open_error(path_of(1)), AllOf(HasSubstr("cannot open " + path_of(2)), HasSubstr("part 2 of 3")));
  EXPECT_THAT(open_error(path_of(2)), HasSubstr("cannot open " + path_of(2)));
}

TEST_F(SplitModel, NeedsTheNameToFindTheOthers) {
  write(dir_ / "renamed.gguf", parts_[1]);
  EXPECT_THAT(open_error(dir_ / "renamed.gguf"),
              AllOf(HasSubstr("split into 3 files"), HasSubstr("-00002-of-00003.gguf")));
  write(path_of(1, 4), parts_[0]);
  EXPECT_THAT(open_error(path_of(1, 4)), HasSubstr("-00001-of-00003.gguf"));
  write(dir_ / "x-0000a-of-00003.gguf", parts_[0]);
  EXPECT_THAT(open_error(dir_ / "x-0000a-of-00003.gguf"), HasSubstr("name must end in"));
}

TEST_F(SplitModel, NamesThePartThatIsNotInItsPlace) {
  write_parts();
  write(path_of(2), parts_[2]);
  EXPECT_THAT(open_error(path_of(1)),
              AllOf(HasSubstr(path_of(2)), HasSubstr("part 2 of 3"), HasSubstr("split.no is 2")));
  write(path_of(2), bytes_);
  EXPECT_THAT(open_error(path_of(1)), HasSubstr("has no split.count"));
  EXPECT_EQ(open_error(path_of(2)), "(no error)");  // a whole model, whatever its name
  write(path_of(2), parts_[1].substr(0, 60));
  EXPECT_THAT(open_error(path_of(1)), HasSubstr(path_of(2) + ": GGUF: "));
}

TEST_F(SplitModel, AFileThatSaysItIsOnePartIsWhole) {
  write(dir_ / "whole.gguf", testing::split_gguf(*whole_, 1)[0]);
  const auto file = GgufFile::open(dir_ / "whole.gguf");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->tensors().size(), whole_->tensors().size());
}

TEST_F(SplitModel, RefusesPartsOfAnotherModel) {
  const GgufTensor& tensor = whole_->tensors().back();
  const auto part = [&](std::uint64_t count, std::uint64_t tensors) {
    PartWriter writer;
    return writer.number("split.no", 2).number("split.count", count).number("split.tensors.count", tensors);
  };
  const std::uint64_t tensors = whole_->tensors().size();
  const auto with = [&](const PartWriter& writer) { return error_of({parts_[0], parts_[1], writer.bytes()}); };
  EXPECT_THAT(with(part(4, tensors)), HasSubstr("split.count is 4"));
  EXPECT_THAT(with(part(3, tensors + 1)), HasSubstr("split.tensors.count is not the first part's"));
  EXPECT_THAT(with(part(3, tensors).tensor(tensor)), HasSubstr("tensors, split.tensors.count says"));
  EXPECT_THAT(with(part(3, tensors).tensor(whole_->tensors()[0])), HasSubstr("in an earlier part"));
  EXPECT_THAT(with(part(3, tensors).copy("general.architecture", std::string("qwen2"))),
              HasSubstr("its general.architecture is another model's"));
  EXPECT_EQ(error_of(parts_), "(no error)");
}

TEST_F(SplitModel, RefusesCountsWithoutEnd) {
  PartWriter first;
  first.number("split.no", 0).number("split.count", 1ull << 60).number("split.tensors.count", 0);
  write(path_of(1), first.bytes());
  EXPECT_THAT(open_error(path_of(1)), HasSubstr("at most 1024"));
}

}  // namespace
}  // namespace kvasir
