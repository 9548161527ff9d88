#include "engine/model/dequantize.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "storage/base/prng.h"
#include "tests/support/tiny_types.h"

namespace kvasir {
namespace {

// Sign, exponent and fraction by the definition of binary16.
double half_by_definition(std::uint32_t bits) {
  const double sign = bits & 0x8000 ? -1 : 1, fraction = (bits & 1023) / 1024.0;
  const int exponent = static_cast<int>((bits >> 10) & 31);
  if (exponent == 31) return fraction == 0 ? sign * HUGE_VAL : NAN;
  return sign * (exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15));
}

TEST(Dequantize, EveryHalf) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = f16_to_f32(static_cast<std::uint16_t>(bits));
    const double expected = half_by_definition(bits);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value))));
      continue;
    }
    ASSERT_EQ(value, expected) << bits;
    ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0) << bits;
    ASSERT_EQ(f32_to_f16(value), bits);
  }
}

// Between two neighbours: the nearer one, and the even one in the middle.
TEST(Dequantize, RoundsToNearestHalfTiesToEven) {
  for (std::uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    const double low = half_by_definition(bits), high = half_by_definition(bits + 1), middle = (low + high) / 2;
    const auto even = static_cast<std::uint16_t>(bits + (bits & 1));
    ASSERT_EQ(f32_to_f16(static_cast<float>(middle)), even) << bits;
    ASSERT_EQ(f32_to_f16(std::nextafter(static_cast<float>(middle), 0.0f)), bits);
    ASSERT_EQ(f32_to_f16(std::nextafter(static_cast<float>(middle), 1e9f)), bits + 1);
    ASSERT_EQ(f32_to_f16(-static_cast<float>(middle)), even | 0x8000);
  }
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(f32_to_f16(INFINITY), 0x7C00);
  EXPECT_EQ(f32_to_f16(1e-30f), 0);
}

TEST(Dequantize, Bfloat16) {
  EXPECT_EQ(bf16_to_f32(0x3F80), 1.0f);
  EXPECT_EQ(bf16_to_f32(0xC049), -3.140625f);
}

void put_u16(std::vector<std::byte>& out, std::uint16_t value) {
  out.push_back(static_cast<std::byte>(value & 255));
  out.push_back(static_cast<std::byte>(value >> 8));
}

TEST(Dequantize, Q8_0IsScaleTimesInteger) {
  std::vector<std::byte> row;
  for (int block = 0; block < 2; ++block) {
    put_u16(row, f32_to_f16(block == 0 ? 0.5f : -2.0f));
    for (int i = 0; i < 32; ++i) row.push_back(static_cast<std::byte>(static_cast<std::int8_t>(i * 8 - 128)));
  }
  std::vector<float> out(64);
  ASSERT_EQ(row_bytes(TensorType::q8_0, 64), row.size());
  dequantize_row(TensorType::q8_0, row, out);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(out[static_cast<std::size_t>(i)], 0.5f * static_cast<float>(i * 8 - 128));
    EXPECT_EQ(out[static_cast<std::size_t>(32 + i)], -2.0f * static_cast<float>(i * 8 - 128));
  }
}

TEST(Dequantize, Q4_1HasLowNibblesFirstAndAMinimum) {
  std::vector<std::byte> row;
  put_u16(row, f32_to_f16(0.25f));
  put_u16(row, f32_to_f16(-1.5f));
  for (int i = 0; i < 16; ++i) row.push_back(static_cast<std::byte>(i | (15 - i) << 4));
  std::vector<float> out(32);
  ASSERT_EQ(row_bytes(TensorType::q4_1, 32), row.size());
  dequantize_row(TensorType::q4_1, row, out);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(out[static_cast<std::size_t>(i)], 0.25f * static_cast<float>(i) - 1.5f);
    EXPECT_EQ(out[static_cast<std::size_t>(16 + i)], 0.25f * static_cast<float>(15 - i) - 1.5f);
  }
}

TEST(Dequantize, PlainTypesAndRowsOfATensor) {
  const std::vector<float> values = {1.0f, -2.5f, 0.125f, 8.0f};
  GgufTensor tensor;
  tensor.dims = {2, 2};
  tensor.type = static_cast<std::uint32_t>(TensorType::f32);
  tensor.data = std::as_bytes(std::span(values));
  std::vector<float> row(2);
  dequantize_row(tensor, 1, row);
  EXPECT_EQ(row, (std::vector<float>{0.125f, 8.0f}));

  std::vector<std::byte> halves, brains;
  for (const float value : values) {
    put_u16(halves, f32_to_f16(value));
    put_u16(brains, static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
  }
  std::vector<float> out(4);
  dequantize_row(TensorType::f16, halves, out);
  EXPECT_EQ(out, values);
  dequantize_row(TensorType::bf16, brains, out);
  EXPECT_EQ(out, values);
}

// Random blocks of each type, and what another implementation says they are (tools/golden/tensor_types.py): the same
// bits.
TEST(Dequantize, EqualsTheGgufPackage) {
  const auto file = GgufFile::open(std::string(KVASIR_SOURCE_DIR) + "/tests/golden/types/types.gguf");
  ASSERT_TRUE(file) << file.error().message;
  std::size_t types = 0;
  for (const GgufTensor& tensor : (*file)->tensors()) {
    const GgufTensor* expected = (*file)->tensor(tensor.name + ".expected");
    if (expected == nullptr) continue;
    ++types;
    ASSERT_EQ(tensor.name, tensor_type_name(tensor.type));
    std::vector<float> actual(tensor.dims[0]);
    dequantize_row(tensor, 0, actual);
    ASSERT_EQ(expected->data.size(), actual.size() * sizeof(float));
    for (std::size_t i = 0; i < actual.size(); ++i) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, expected->data.data() + i * sizeof bits, sizeof bits);
      ASSERT_EQ(std::bit_cast<std::uint32_t>(actual[i]), bits) << tensor.name << " " << i;
    }
  }
  EXPECT_EQ(types, 9u);  // all but F32 and F16
}

// The writer of tiny models and the engine were written apart; what one puts down the other reads, to within a step
// of the type.
TEST(Dequantize, ReadsWhatTheTestsWrite) {
  const std::pair<testing::TinyType, double> steps[] = {
      {testing::TinyType::f32, 0.0},        {testing::TinyType::f16, 1.0 / 2048}, {testing::TinyType::bf16, 1.0 / 128},
      {testing::TinyType::q8_0, 0.5 / 127}, {testing::TinyType::q4_0, 1.01 / 8},  {testing::TinyType::q4_1, 1.01 / 15},
      {testing::TinyType::q5_0, 1.01 / 16}, {testing::TinyType::q5_1, 1.01 / 31}, {testing::TinyType::q4_k, 1.2 / 15},
      {testing::TinyType::q5_k, 1.2 / 31},  {testing::TinyType::q6_k, 1.0 / 31}};
  ASSERT_EQ(std::size(steps), std::size(testing::kTinyTypes));
  Prng prng(5);
  std::vector<float> values(512);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double scale = 0.1 + static_cast<double>(i / 16 % 8);  // groups of unequal width
    values[i] = static_cast<float>(scale / 8 * (static_cast<double>(prng.below(2001)) / 1000 - 1));
  }
  for (const auto& [type, step] : steps) {
    std::string bytes;
    testing::put_values(bytes, type, values);
    const auto engine_type = static_cast<TensorType>(type);
    ASSERT_EQ(bytes.size(), row_bytes(engine_type, values.size()));
    ASSERT_EQ(testing::tiny_block_elements(type), block_elements(engine_type));
    std::vector<float> out(values.size());
    dequantize_row(engine_type, std::as_bytes(std::span(bytes)), out);
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_NEAR(out[i], values[i], step) << tensor_type_name(static_cast<std::uint32_t>(type)) << " " << i;
  }
}

TEST(Dequantize, ZerosStayZeros) {
  const std::vector<float> zeros(256);
  for (const testing::TinyType type : testing::kTinyTypes) {
    std::string bytes;
    testing::put_values(bytes, type, zeros);
    std::vector<float> out(256, 1.0f);
    dequantize_row(static_cast<TensorType>(type), std::as_bytes(std::span(bytes)), out);
    EXPECT_EQ(out, zeros);
  }
}

}  // namespace
}  // namespace kvasir
