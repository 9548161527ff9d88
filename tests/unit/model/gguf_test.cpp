#include "engine/model/gguf.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/prng.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/unit/model/gguf_bytes.h"

namespace kvasir {
namespace {

using ::testing::ElementsAre;
using testing::GgufBytes;
using ::testing::HasSubstr;

std::string error_of(std::span<const std::byte> bytes) {
  const auto file = GgufFile::parse(bytes);
  return file ? "(no error)" : file.error().message;
}
std::string error_of(const GgufBytes& bytes) { return error_of(bytes.span()); }

// One key of every type and two tensors.
GgufBytes small_file(std::uint32_t version = 3) {
  GgufBytes b;
  b.header(2, 15, version);
  b.key("u8", 0).put<std::uint8_t>(200).key("i8", 1).put<std::int8_t>(-3);
  b.key("u16", 2).put<std::uint16_t>(60000).key("i16", 3).put<std::int16_t>(-300);
  b.key("u32", 4).u32(4000000000u).key("i32", 5).put<std::int32_t>(-70000);
  b.key("f32", 6).put(1.5f).key("bool", 7).put<std::uint8_t>(1).key("string", 8).text("hello");
  b.key("u64", 10).u64(1ull << 63).key("i64", 11).put<std::int64_t>(-5).key("f64", 12).put(0.25);
  b.key("strings", 9).u32(8).u64(2).text("a").text("");
  b.key("numbers", 9).u32(5).u64(3).put<std::int32_t>(1).put<std::int32_t>(-2).put<std::int32_t>(3);
  b.key("flags", 9).u32(7).u64(2).put<std::uint8_t>(1).put<std::uint8_t>(0);
  b.tensor("a", {3}, 0, 0).tensor("b", {32, 2}, 8, 32).pad();
  b.put(1.0f).put(2.0f).put(3.0f).pad();
  return b.raw(std::string(68, 'q'));
}

TEST(Gguf, ReadsEveryTypeOfBothVersions) {
  for (const std::uint32_t version : {2u, 3u}) {
    const GgufBytes bytes = small_file(version);
    const auto file = GgufFile::parse(bytes.span());
    ASSERT_TRUE(file) << file.error().message;
    const GgufFile& f = **file;
    EXPECT_EQ(f.version(), version);
    EXPECT_EQ(f.get_uint("u8"), 200u);
    EXPECT_EQ(f.get_uint("u16"), 60000u);
    EXPECT_EQ(f.get_uint("u32"), 4000000000u);
    EXPECT_EQ(f.get_uint("u64"), 1ull << 63);
    EXPECT_EQ(f.get_uint("i8"), std::nullopt);
    EXPECT_EQ(std::get<std::int64_t>(*f.meta("i8")), -3);
    EXPECT_EQ(std::get<std::int64_t>(*f.meta("i16")), -300);
    EXPECT_EQ(std::get<std::int64_t>(*f.meta("i32")), -70000);
    EXPECT_EQ(std::get<std::int64_t>(*f.meta("i64")), -5);
    EXPECT_EQ(f.get_float("f32"), 1.5);
    EXPECT_EQ(f.get_float("f64"), 0.25);
    EXPECT_EQ(f.get_bool("bool"), true);
    EXPECT_EQ(f.get_string("string"), "hello");
    EXPECT_EQ(f.get_string("u8"), std::nullopt);
    EXPECT_EQ(f.get_string("absent"), std::nullopt);
    EXPECT_THAT(*f.get_strings("strings"), ElementsAre("a", ""));
    EXPECT_EQ(f.get_strings("numbers"), nullptr);
    EXPECT_THAT(std::get<std::vector<std::int64_t>>(std::get<GgufFile::Array>(*f.meta("numbers"))),
                ElementsAre(1, -2, 3));
    EXPECT_EQ(f.metadata().size(), 15u);
  }
}

TEST(Gguf, PlacesTensors) {
  const GgufBytes bytes = small_file();
  const auto file = GgufFile::parse(bytes.span());
  ASSERT_TRUE(file) << file.error().message;
  const GgufTensor* a = (*file)->tensor("a");
  const GgufTensor* b = (*file)->tensor("b");
  ASSERT_TRUE(a && b);
  EXPECT_EQ((*file)->tensor("c"), nullptr);
  EXPECT_EQ(a->data.size(), 12u);
  EXPECT_EQ(b->data.size(), 68u);
  EXPECT_EQ(b->elements(), 64u);
  EXPECT_EQ(static_cast<char>(b->data[0]), 'q');
}

TEST(Gguf, EveryTruncationIsAnError) {
  const GgufBytes bytes = small_file();
  for (std::size_t size = 0; size < bytes.str().size(); ++size) {
    EXPECT_FALSE(GgufFile::parse(bytes.span().first(size))) << size;
  }
}

// No crash and no wild allocation, whatever single byte is wrong; what parses has its tensors inside of the file.
TEST(Gguf, EveryFlippedByteIsHarmless) {
  const std::string good = small_file().str();
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      const auto file = GgufFile::parse(std::as_bytes(std::span(bad)));
      if (!file) continue;
      for (const GgufTensor& tensor : (*file)->tensors()) {
        const auto bytes = (*file)->parts()[0].bytes;
        EXPECT_GE(tensor.data.data(), bytes.data());
        EXPECT_LE(tensor.data.data() + tensor.data.size(), bytes.data() + bytes.size());
      }
    }
  }
}

TEST(Gguf, RefusesOtherFiles) {
  EXPECT_THAT(error_of(GgufBytes().raw("GGML").u32(3).u64(0).u64(0)), HasSubstr("not a GGUF file"));
  EXPECT_THAT(error_of(GgufBytes().header(0, 0, 1)), HasSubstr("version 1 is not supported"));
  EXPECT_THAT(error_of(GgufBytes().header(0, 0, 4)), HasSubstr("version 4 is not supported"));
  EXPECT_THAT(error_of(GgufBytes().header(0, 0, 0x03000000)), HasSubstr("big-endian"));
}

TEST(Gguf, RefusesCountsThatTheFileCannotHold) {
  const std::uint64_t huge = ~0ull;
  EXPECT_THAT(error_of(GgufBytes().header(huge, 0)), HasSubstr("cannot hold 18446744073709551615 tensors"));
  EXPECT_THAT(error_of(GgufBytes().header(0, huge / 14)), HasSubstr("metadata keys"));
  EXPECT_THAT(error_of(GgufBytes().header(0, 1).u64(huge).raw(std::string(64, 'x'))), HasSubstr("a metadata key says"));
  EXPECT_THAT(error_of(GgufBytes().header(0, 1).key("k", 8).u64(1000).raw(std::string(64, 'x'))),
              HasSubstr("says it has 1000 bytes"));
  for (const std::uint32_t type : {0u, 3u, 6u, 7u, 8u, 10u}) {
    EXPECT_THAT(error_of(GgufBytes().header(0, 1).key("k", 9).u32(type).u64(huge).raw(std::string(64, 'x'))),
                HasSubstr("more than the file can hold"));
  }
}

TEST(Gguf, RefusesBadMetadata) {
  EXPECT_THAT(error_of(GgufBytes().header(0, 1).text("").u32(4).u32(1).u64(0)), HasSubstr("key is empty"));
  EXPECT_THAT(error_of(GgufBytes().header(0, 1).key("k", 13).u64(0).u64(0)), HasSubstr("unknown value type 13"));
  EXPECT_THAT(error_of(GgufBytes().header(0, 1).key("k", 9).u32(13).u64(0)), HasSubstr("unknown value type 13"));
  EXPECT_THAT(error_of(GgufBytes().header(0, 1).key("k", 9).u32(9).u64(1).u32(4).u64(0)), HasSubstr("array of arrays"));
  EXPECT_THAT(error_of(GgufBytes().header(0, 1).key("k", 7).put<std::uint8_t>(2)), HasSubstr("boolean is 2"));
  EXPECT_THAT(error_of(GgufBytes().header(0, 2).key("k", 4).u32(1).key("k", 4).u32(1)),
              HasSubstr("key k is there twice"));
}

TEST(Gguf, RefusesBadTensors) {
  const auto one = [](std::initializer_list<std::uint64_t> dims, std::uint32_t type, std::uint64_t offset) {
    return error_of(GgufBytes().header(1, 0).tensor("t", dims, type, offset).pad().raw(std::string(64, 'x')));
  };
  EXPECT_EQ(one({16}, 0, 0), "(no error)");
  EXPECT_THAT(one({}, 0, 0), HasSubstr("0 dimensions"));
  EXPECT_THAT(one({1, 1, 1, 1, 1}, 0, 0), HasSubstr("5 dimensions"));
  EXPECT_THAT(one({0}, 0, 0), HasSubstr("dimension of 0"));
  EXPECT_THAT(one({1ull << 32, 1ull << 32}, 0, 0), HasSubstr("too many elements"));
  EXPECT_THAT(one({1ull << 62}, 0, 0), HasSubstr("too many bytes"));
  EXPECT_THAT(one({33}, 8, 0), HasSubstr("multiple of 32"));
  EXPECT_THAT(one({16}, 0, 8), HasSubstr("not a multiple of 32"));
  EXPECT_THAT(one({17}, 0, 0), HasSubstr("outside"));
  EXPECT_THAT(one({9}, 0, 32), HasSubstr("outside"));
  EXPECT_THAT(one({1}, 0, ~0ull / 32 * 32), HasSubstr("outside"));
  EXPECT_THAT(error_of(GgufBytes().header(1, 0).tensor("", {16}, 0, 0).pad().raw(std::string(64, 'x'))),
              HasSubstr("name is empty"));
  EXPECT_THAT(error_of(GgufBytes().header(2, 0).tensor("t", {1}, 0, 0).tensor("t", {1}, 0, 0).pad().raw("abcd")),
              HasSubstr("tensor t is there twice"));
}

// Elements and bytes of a block, as the `gguf` package has them; Q8_1 (9) is left out, as it has had two sizes.
TEST(Gguf, KnowsTheBlocksOfAllTypes) {
  const std::map<std::uint32_t, std::pair<std::uint32_t, std::uint32_t>> blocks = {
      {0, {1, 4}},      {1, {1, 2}},     {2, {32, 18}},    {3, {32, 20}},    {6, {32, 22}},    {7, {32, 24}},
      {8, {32, 34}},    {10, {256, 84}}, {11, {256, 110}}, {12, {256, 144}}, {13, {256, 176}}, {14, {256, 210}},
      {15, {256, 292}}, {16, {256, 66}}, {17, {256, 74}},  {18, {256, 98}},  {19, {256, 50}},  {20, {32, 18}},
      {21, {256, 110}}, {22, {256, 82}}, {23, {256, 136}}, {24, {1, 1}},     {25, {1, 2}},     {26, {1, 4}},
      {27, {1, 8}},     {28, {1, 8}},    {29, {256, 56}},  {30, {1, 2}},     {34, {256, 54}},  {35, {256, 66}},
      {39, {32, 17}},   {40, {64, 36}},  {41, {128, 18}}};
  for (std::uint32_t type = 0; type < 64; ++type) {
    const auto known = blocks.find(type);
    const auto block = tensor_block(type);
    ASSERT_EQ(block.has_value(), known != blocks.end()) << type;
    if (!block) continue;
    EXPECT_EQ(std::pair(block->elements, block->bytes), known->second) << type;
    EXPECT_EQ(tensor_type_name(type).find("type"), std::string::npos) << type;
    if (!is_supported(type)) continue;
    EXPECT_EQ(block_elements(static_cast<TensorType>(type)), known->second.first) << type;
    EXPECT_EQ(block_bytes(static_cast<TensorType>(type)), known->second.second) << type;
  }
}

TEST(Gguf, LoadsElevenTypes) {
  std::string names;
  for (std::uint32_t type = 0; type < 64; ++type) names += is_supported(type) ? tensor_type_name(type) + " " : "";
  EXPECT_EQ(names, "F32 F16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K BF16 ");
  EXPECT_EQ(tensor_type_name(9), "Q8_1");
  EXPECT_EQ(tensor_type_name(4), "type 4");
  EXPECT_EQ(tensor_type_name(1000), "type 1000");
}

// They can be described, though not loaded.
TEST(Gguf, PlacesTensorsOfTypesThatItDoesNotLoad) {
  const GgufBytes bytes = GgufBytes().header(1, 0).tensor("t", {256}, 10, 0).pad().raw(std::string(84, 'x'));
  const auto file = GgufFile::parse(bytes.span());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->tensor("t")->data.size(), 84u);
  const GgufBytes unknown = GgufBytes().header(1, 0).tensor("t", {256}, 99, 0).pad().raw(std::string(84, 'x'));
  const auto other = GgufFile::parse(unknown.span());
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_TRUE((*other)->tensor("t")->data.empty());
}

TEST(Gguf, RefusesTensorsThatShareBytes) {
  const auto two = [](std::uint64_t second) {
    return error_of(
        GgufBytes().header(2, 0).tensor("a", {16}, 0, 0).tensor("b", {8}, 0, second).pad().raw(std::string(128, 'x')));
  };
  EXPECT_EQ(two(64), "(no error)");
  EXPECT_THAT(two(32), HasSubstr("tensors a and b overlap"));
  EXPECT_THAT(two(0), HasSubstr("overlap"));
}

// The copies of names and values are bounded whatever the size of the file.
TEST(Gguf, RefusesMetadataWithoutEnd) {
  const std::uint64_t count = GgufFile::kMetadataBytesMax / 8 + 1;  // bytes in the file, eight times that in memory
  GgufBytes bytes;
  bytes.header(0, 1).key("k", 9).u32(0).u64(count).raw(std::string(count, 'x'));
  EXPECT_THAT(error_of(bytes), HasSubstr("need more than 256 MiB of memory"));
}

TEST(Gguf, RefusesNamesWithoutEnd) {
  const std::string name(70'000, 'n');
  EXPECT_THAT(error_of(GgufBytes().header(0, 1).key(name, 4).u32(1)), HasSubstr("70000 bytes, at most 65535"));
  EXPECT_THAT(error_of(GgufBytes().header(1, 0).tensor(name.substr(0, 256), {1}, 0, 0).pad().raw("abcd")),
              HasSubstr("256 bytes, at most 255"));
}

TEST(Gguf, ShowsHostileNamesHarmlessly) {
  const std::string name = "\x1b[2J" + std::string(200, 'n');
  const std::string error = error_of(GgufBytes().header(0, 1).key(name, 13).u64(0));
  EXPECT_THAT(error, HasSubstr("key ?[2Jnnn"));
  EXPECT_LT(error.size(), 200u);
}

TEST(Gguf, HonoursTheAlignmentKey) {
  const auto with = [](std::uint32_t alignment) {
    GgufBytes b;
    b.header(1, 1).key("general.alignment", 4).u32(alignment).tensor("t", {1}, 0, 64).pad(64);
    return b.raw(std::string(64, 'a')).put(7.0f);
  };
  const GgufBytes bytes = with(64);
  const auto file = GgufFile::parse(bytes.span());
  ASSERT_TRUE(file) << file.error().message;
  float value = 0;
  std::memcpy(&value, (*file)->tensor("t")->data.data(), 4);
  EXPECT_EQ(value, 7.0f);
  for (const std::uint32_t bad : {0u, 1u, 24u, 1u << 21})
    EXPECT_THAT(error_of(with(bad)), HasSubstr("general.alignment"));
}

TEST(Gguf, OpensFiles) {
  const testing::TempDir dir;
  const std::string path = testing::write_tiny_model(dir / "tiny.gguf");
  auto file = GgufFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->get_string("general.architecture"), "llama");
  const std::string before((*file)->tensor("output_norm.weight")->data.size(), '\0');
  (*file)->drop_pages();  // they come back from the file
  EXPECT_EQ((*file)->tensor("output_norm.weight")->data.size(), before.size());
  EXPECT_NE(static_cast<int>((*file)->tensor("output_norm.weight")->data[3]), 0);
}

TEST(Gguf, PiecesOfItsPagesComeBack) {
  const testing::TempDir dir;
  const std::string bytes = testing::tiny_model_bytes({});
  std::ofstream(dir / "model.gguf", std::ios::binary) << bytes;
  const auto file = GgufFile::open(dir / "model.gguf");
  ASSERT_TRUE(file) << file.error().message;
  const std::span<const std::byte> whole = (*file)->parts()[0].bytes;
  for (const auto& [first, size] : {std::pair<std::size_t, std::size_t>{1, 4095}, {100, 3}, {4095, 9000}, {0, 4096}})
    (*file)->drop_pages(whole.subspan(first, std::min(size, whole.size() - first)));
  EXPECT_EQ(std::memcmp(whole.data(), bytes.data(), bytes.size()), 0);
}

TEST(Gguf, SaysWhyAFileCannotBeOpened) {
  const testing::TempDir dir;
  EXPECT_THAT(GgufFile::open(dir / "absent.gguf").error().message, HasSubstr("No such file"));
  EXPECT_THAT(GgufFile::open(dir.path()).error().message, HasSubstr("not a regular file"));
  std::ofstream(dir / "empty.gguf").close();
  EXPECT_THAT(GgufFile::open(dir / "empty.gguf").error().message, HasSubstr("not a regular file with bytes"));
  std::ofstream(dir / "text.gguf") << "hello, this is no model";
  EXPECT_THAT(GgufFile::open(dir / "text.gguf").error().message, HasSubstr("text.gguf: GGUF: this is not a GGUF file"));
}

// A whole model with random damage in its header, as the fuzzer does, without clang.
TEST(Gguf, RandomDamageIsHarmless) {
  const std::string good = testing::tiny_model_bytes({}).substr(0, 20000);
  Prng prng(7);
  for (int round = 0; round < 300; ++round) {
    std::string bad = good;
    for (std::uint64_t i = 0; i <= prng.below(8); ++i) bad[prng.below(bad.size())] = static_cast<char>(prng.below(256));
    bad.resize(prng.below(4) == 0 ? prng.below(bad.size()) : bad.size());
    (void)GgufFile::parse(std::as_bytes(std::span(bad)));
  }
}

}  // namespace
}  // namespace kvasir
