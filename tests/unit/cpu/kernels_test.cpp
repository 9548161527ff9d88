// Every kernel of every class that this machine has against the scalar class, bit for bit.
#include "engine/cpu/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "engine/cpu/cpu_backends.h"
#include "engine/cpu/kernel_dispatch.h"
#include "engine/cpu/packed_matrix.h"
#include "engine/cpu/panel_columns.h"
#include "engine/model/dequantize.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

using cpu::KernelTable;
using cpu::PanelType;

class Random {
 public:
  explicit Random(std::uint64_t seed) : prng_(seed) {}
  std::uint8_t byte() { return static_cast<std::uint8_t>(prng_.next()); }
  float uniform(float limit) {  // in (-limit, limit)
    return (static_cast<float>(prng_.next() >> 40) * 0x1p-23f - 1.0f) * limit;
  }
  std::vector<float> floats(std::size_t n, float limit = 1.0f) {
    std::vector<float> values(n);
    for (float& v : values) v = uniform(limit);
    return values;
  }

 private:
  Prng prng_;
};

std::string bytes_of(const void* data, std::size_t bytes) { return {static_cast<const char*>(data), bytes}; }
std::string bytes_of(const std::vector<float>& v) { return bytes_of(v.data(), v.size() * sizeof(float)); }

class KernelsTest : public ::testing::TestWithParam<std::string> {
 protected:
  const KernelTable& kernels_ = *find_kernels(GetParam()).value();
  const KernelTable& scalar_ = *find_kernels("scalar").value();
};

constexpr PanelType kInt8Types[] = {PanelType::q4_0, PanelType::q4_1, PanelType::q5_0, PanelType::q5_1,
                                    PanelType::q8_0, PanelType::q4_k, PanelType::q5_k, PanelType::q6_k};
constexpr PanelType kFloatTypes[] = {PanelType::f16, PanelType::bf16, PanelType::f32};
bool has_super_blocks(PanelType type) { return cpu::wants_int8(type) && cpu::panel_format(type).super; }

void add_halves(std::vector<std::uint8_t>& bytes, std::uint32_t count, float limit, Random& random) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint16_t bits = f32_to_f16(random.uniform(limit));
    bytes.push_back(static_cast<std::uint8_t>(bits));
    bytes.push_back(static_cast<std::uint8_t>(bits >> 8));
  }
}

std::vector<std::uint8_t> random_panel(PanelType type, std::uint32_t k, Random& random) {
  std::vector<std::uint8_t> panel;
  if (cpu::wants_int8(type)) {
    const cpu::PanelFormat format = cpu::panel_format(type);
    for (std::uint32_t g = 0; g < k / cpu::kGroup; ++g) {
      if (g % format.groups() == 0) add_halves(panel, format.header_bytes() / 2, 0.001f, random);
      const std::uint32_t random_bytes = format.super ? format.group_bytes() : format.scale_offset();
      for (std::uint32_t i = 0; i < random_bytes; ++i) panel.push_back(random.byte());
      add_halves(panel, (format.group_bytes() - random_bytes) / 2, 0.02f, random);
    }
    return panel;
  }
  if (type == PanelType::f16) {
    add_halves(panel, k * 16, 0.1f, random);
    return panel;
  }
  for (std::uint32_t i = 0; i < k * 16; ++i) {
    const float value = random.uniform(0.1f);
    std::uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if (type == PanelType::bf16) bits >>= 16;
    for (std::uint32_t b = 0; b < (type == PanelType::f32 ? 4u : 2u); ++b)
      panel.push_back(static_cast<std::uint8_t>(bits >> (8 * b)));
  }
  return panel;
}

// Rows as the kernels of `quantizer` put them into tiles (or as f32).
std::vector<std::uint8_t> tiles_of(const KernelTable& quantizer, PanelType type, std::uint32_t rows, std::uint32_t k,
                                   const std::vector<float>& x, std::size_t& tile_bytes) {
  const std::uint32_t tiles = (rows + 7) / 8;
  tile_bytes = cpu::wants_int8(type) ? std::size_t{k} / cpu::kGroup * cpu::kTileGroupBytes : std::size_t{k} * 8 * 4;
  std::vector<std::uint8_t> memory(tiles * tile_bytes, 0xFF);
  for (std::uint32_t r = 0; r < rows; ++r) {
    std::uint8_t* tile = memory.data() + r / 8 * tile_bytes;
    if (cpu::wants_int8(type))
      quantizer.quantize(x.data() + r * k, k, tile, r % 8);
    else
      for (std::uint32_t i = 0; i < k; ++i) std::memcpy(tile + (i * 8 + r % 8) * 4, &x[r * k + i], 4);
  }
  return memory;
}

class GemmTest : public ::testing::TestWithParam<std::tuple<std::string, PanelType>> {
 protected:
  std::vector<float> multiply(const KernelTable& kernels, const std::uint8_t* panel, const std::uint8_t* tiles,
                              std::size_t tile_bytes, std::uint32_t k, std::uint32_t rows, std::vector<float> out,
                              std::size_t stride, bool add) const {
    kernels.gemm[static_cast<std::uint32_t>(type_)]({panel, 0, 1, tiles, tile_bytes, k, rows, out.data(), stride, add});
    return out;
  }
  const PanelType type_ = std::get<1>(GetParam());
  const KernelTable& kernels_ = *find_kernels(std::get<0>(GetParam())).value();
  const KernelTable& scalar_ = *find_kernels("scalar").value();
};

class Int8GemmTest : public GemmTest {};  // of quantized types only

// Runs of panels, some of them many enough to be unpacked first, against the scalar class a panel at a time.
TEST_P(GemmTest, AnyRowsAndPanelsEqualScalar) {
  Random random(1);
  constexpr std::uint32_t kRows = 70, kPanels = 7, kStride = kPanels * 16 + 4;
  const bool oracle = &kernels_ == &scalar_;  // against itself: slow, and less to see
  for (const std::uint32_t k : has_super_blocks(type_) ? std::vector{256u, 1024u} : std::vector{32u, 864u}) {
    const std::size_t panel_bytes = cpu::panel_bytes(type_, k);
    std::vector<std::uint8_t> panels;
    for (std::uint32_t p = 0; p < kPanels; ++p) {
      const std::vector<std::uint8_t> panel = random_panel(type_, k, random);
      ASSERT_EQ(panel.size(), panel_bytes);
      panels.insert(panels.end(), panel.begin(), panel.end());
    }
    const std::vector<float> x = random.floats(kRows * k, 3.0f);
    std::size_t tile_bytes = 0;
    const std::vector<std::uint8_t> tiles = tiles_of(scalar_, type_, kRows, k, x, tile_bytes);
    const std::vector<float> start = random.floats(kRows * kStride);
    for (const bool add : {false, true}) {
      std::vector<float> truth = start;
      for (std::uint32_t p = 0; p < kPanels; ++p)
        scalar_.gemm[static_cast<std::uint32_t>(type_)]({panels.data() + p * panel_bytes, panel_bytes, 1, tiles.data(),
                                                         tile_bytes, k, kRows, truth.data() + p * 16, kStride, add});
      for (const std::uint32_t count : {1u, 2u, 3u, 5u, 7u})
        for (std::uint32_t rows = 1; rows <= kRows; rows += oracle ? 23 : rows < 33 && count == 3 ? 1 : 7) {
          std::vector<float> expected = start;
          for (std::uint32_t r = 0; r < rows; ++r)
            std::copy_n(truth.begin() + r * kStride, count * 16, expected.begin() + r * kStride);
          std::vector<float> out = start;
          kernels_.gemm[static_cast<std::uint32_t>(type_)](
              {panels.data(), panel_bytes, count, tiles.data(), tile_bytes, k, rows, out.data(), kStride, add});
          ASSERT_EQ(bytes_of(out), bytes_of(expected)) << "k " << k << " rows " << rows << " panels " << count;
        }
    }
  }
}

// Sums of more rows than wait at once while K goes on.
TEST_P(GemmTest, ManyRowsOfALongKEqualFewRows) {
  Random random(6);
  constexpr std::uint32_t kRows = 133, kPanels = 3, k = 1024;
  std::vector<std::uint8_t> panels;
  for (std::uint32_t p = 0; p < kPanels; ++p) {
    const std::vector<std::uint8_t> panel = random_panel(type_, k, random);
    panels.insert(panels.end(), panel.begin(), panel.end());
  }
  const std::vector<float> x = random.floats(kRows * k, 3.0f);
  std::size_t tile_bytes = 0;
  const std::vector<std::uint8_t> tiles = tiles_of(kernels_, type_, kRows, k, x, tile_bytes);
  std::vector<float> many(kRows * kPanels * 16), few(many.size());
  const auto multiply_rows = [&](std::uint32_t first, std::uint32_t rows, std::vector<float>& out) {
    kernels_.gemm[static_cast<std::uint32_t>(type_)]({panels.data(), panels.size() / kPanels, kPanels,
                                                      tiles.data() + first / 8 * tile_bytes, tile_bytes, k, rows,
                                                      out.data() + first * kPanels * 16, kPanels * 16, false});
  };
  multiply_rows(0, kRows, many);
  for (std::uint32_t first = 0; first < kRows; first += 8) multiply_rows(first, std::min(8u, kRows - first), few);
  EXPECT_EQ(bytes_of(many), bytes_of(few));
}

// The extremes of the integers: the least and greatest weights and 8-bit scales, activations of +-127.
TEST_P(Int8GemmTest, IntegersDoNotSaturate) {
  const cpu::PanelFormat format = cpu::panel_format(type_);
  for (const int byte : {0, 1, 127, 128, 255})
    for (const float sign : {1.0f, -1.0f}) {
      constexpr std::uint32_t kK = 256;
      Random random(2);
      std::vector<std::uint8_t> panel = random_panel(type_, kK, random);
      std::size_t at = 0;
      for (std::uint32_t g = 0; g < kK / cpu::kGroup; ++g, at += format.group_bytes()) {
        if (g % format.groups() == 0) at += format.header_bytes();
        std::fill_n(&panel[at], format.super ? format.group_bytes() : format.scale_offset(),
                    static_cast<std::uint8_t>(byte));
      }
      const std::vector<float> x(kK, sign);
      std::size_t tile_bytes = 0;
      const std::vector<std::uint8_t> tiles = tiles_of(kernels_, type_, 1, kK, x, tile_bytes);
      const std::vector<float> zeros(16);
      EXPECT_EQ(bytes_of(multiply(kernels_, panel.data(), tiles.data(), tile_bytes, kK, 1, zeros, 16, false)),
                bytes_of(multiply(scalar_, panel.data(), tiles.data(), tile_bytes, kK, 1, zeros, 16, false)))
          << byte;
    }
}

// Columns of a file with random weights: scales about one, and a few of zero.
std::vector<std::byte> random_rows(TensorType type, std::uint32_t k, std::uint32_t columns, Random& random) {
  std::vector<std::byte> file(row_bytes(type, k) * columns);
  for (std::byte& b : file) b = static_cast<std::byte>(random.byte());
  const std::size_t block = block_bytes(type);
  const auto set_half = [&](std::size_t offset, std::byte mask, std::byte value) {  // of every block
    for (std::size_t at = offset + 1; at < file.size(); at += block) file[at] = (file[at] & mask) | value;
  };
  switch (type) {
    case TensorType::f32:
      for (std::size_t at = 3; at < file.size(); at += 4) file[at] = std::byte{0x3E};
      break;
    case TensorType::bf16:
      set_half(0, std::byte{0}, std::byte{0x3E});
      break;
    case TensorType::q6_k:
      set_half(208, std::byte{0x83}, std::byte{0x24});
      break;
    case TensorType::q4_1:
    case TensorType::q5_1:
    case TensorType::q4_k:
    case TensorType::q5_k:
      set_half(2, std::byte{0x83}, std::byte{0x24});
      [[fallthrough]];
    default:
      set_half(0, std::byte{0x83}, std::byte{0x24});
  }
  std::fill_n(file.begin(), block, std::byte{0});
  return file;
}

TEST_P(GemmTest, IsTheDotProductOfTheFilesWeights) {
  constexpr TensorType kTypes[] = {TensorType::q4_0, TensorType::q4_1, TensorType::q5_0, TensorType::q5_1,
                                   TensorType::q8_0, TensorType::q4_k, TensorType::q5_k, TensorType::q6_k,
                                   TensorType::f16,  TensorType::bf16, TensorType::f32};
  const TensorType type = kTypes[static_cast<std::size_t>(type_)];
  Random random(3);
  const std::uint32_t k = has_super_blocks(type_) ? 512 : 96, columns = 37;  // a last panel of 5 columns
  const std::vector<std::byte> file = random_rows(type, k, columns, random);
  const GgufTensor tensor{"w", {k, columns}, static_cast<std::uint32_t>(type), file};
  WeightMemory memory(PackedMatrix::packed_bytes(tensor));
  const PackedMatrix matrix = PackedMatrix::pack(tensor, memory.bytes());
  ASSERT_EQ(matrix.type(), type_);
  ASSERT_EQ(matrix.panels(), 3u);
  const std::vector<float> x = random.floats(k, 2.0f);
  std::size_t tile_bytes = 0;
  const std::vector<std::uint8_t> tiles = tiles_of(kernels_, type_, 1, k, x, tile_bytes);
  for (std::uint32_t c = 0; c < columns; ++c) {
    std::vector<float> row(k), unpacked(k);
    dequantize_row(tensor, c, row);
    matrix.unpack_column(c, unpacked);
    ASSERT_EQ(bytes_of(unpacked), bytes_of(row)) << "column " << c;
    double truth = 0, scale = 0;
    for (std::uint32_t i = 0; i < k; ++i) truth += double{row[i]} * x[i], scale += std::abs(double{row[i]});
    const auto out =
        multiply(kernels_, matrix.panel(c / 16), tiles.data(), tile_bytes, k, 1, std::vector<float>(16), 16, false);
    EXPECT_NEAR(out[c % 16], truth, scale * (cpu::wants_int8(type_) ? 0.01 : 1e-5)) << "column " << c;
  }
}

// Threads share the packing of a matrix: in any pieces and order, the bytes are the same.
TEST(PackedMatrix, PiecesMakeTheWhole) {
  Random random(5);
  constexpr std::uint32_t k = 96, columns = 69;  // 5 panels, the last of 5 columns
  const std::vector<std::byte> file = random_rows(TensorType::q4_1, k, columns, random);
  const GgufTensor tensor{"w", {k, columns}, static_cast<std::uint32_t>(TensorType::q4_1), file};
  WeightMemory whole(PackedMatrix::packed_bytes(tensor)), pieces(PackedMatrix::packed_bytes(tensor));
  (void)PackedMatrix::pack(tensor, whole.bytes());
  for (const auto& [first, last] : {std::pair{4u, 5u}, {1u, 4u}, {0u, 1u}, {2u, 2u}})
    PackedMatrix::pack_panels(tensor, pieces.bytes(), first, last);
  EXPECT_TRUE(std::ranges::equal(whole.bytes(), pieces.bytes()));
}

// On activations that int8 holds exactly the quantized products are those of the file's weights to float's precision.
TEST_P(Int8GemmTest, ExactActivationsGiveFloatPrecision) {
  Random random(4);
  const std::uint32_t k = 768;
  const std::vector<std::uint8_t> panel = random_panel(type_, k, random);
  std::vector<float> x(k);
  for (std::uint32_t i = 0; i < k; ++i) x[i] = i % 32 == 0 ? 127.0f : static_cast<float>(random.byte() % 255) - 127.0f;
  std::size_t tile_bytes = 0;
  const std::vector<std::uint8_t> tiles = tiles_of(kernels_, type_, 1, k, x, tile_bytes);
  const auto out = multiply(kernels_, panel.data(), tiles.data(), tile_bytes, k, 1, std::vector<float>(16), 16, false);
  for (std::uint32_t c = 0; c < 16; ++c) {
    std::vector<float> row(k);
    unpack_column(type_, panel.data(), c, row);
    double truth = 0, scale = 0;
    for (std::uint32_t i = 0; i < k; ++i) truth += double{row[i]} * x[i], scale += std::abs(double{row[i]} * x[i]);
    EXPECT_NEAR(out[c], truth, scale * 1e-6) << c;
  }
}

std::string panel_name(PanelType type) {
  constexpr const char* kNames[] = {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_k",
                                    "q5_k", "q6_k", "f16",  "bf16", "f32"};
  return kNames[static_cast<std::size_t>(type)];
}

std::string case_name(const ::testing::TestParamInfo<std::tuple<std::string, PanelType>>& test) {
  return std::get<0>(test.param) + "_" + panel_name(std::get<1>(test.param));
}

INSTANTIATE_TEST_SUITE_P(Quantized, GemmTest,
                         ::testing::Combine(::testing::ValuesIn(available_kernel_classes()),
                                            ::testing::ValuesIn(kInt8Types)),
                         case_name);
// Products with f32 activations; those of bf16 with bf16 are in bf16_dots_test.cpp.
std::vector<std::tuple<std::string, PanelType>> float_cases() {
  std::vector<std::tuple<std::string, PanelType>> cases;
  for (const std::string& name : available_kernel_classes())
    for (const PanelType type : kFloatTypes)
      if (type != PanelType::bf16 || find_kernels(name).value()->round_row == nullptr) cases.emplace_back(name, type);
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Float, GemmTest, ::testing::ValuesIn(float_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Quantized, Int8GemmTest,
                         ::testing::Combine(::testing::ValuesIn(available_kernel_classes()),
                                            ::testing::ValuesIn(kInt8Types)),
                         case_name);

TEST_P(KernelsTest, RowOperationsEqualScalar) {
  Random random(4);
  for (const std::uint32_t n : {32u, 96u, 576u}) {
    const std::vector<float> x = random.floats(n, 5.0f), w = random.floats(n), up = random.floats(n);
    std::vector<float> a(n), b(n);
    kernels_.rms_norm(x.data(), w.data(), n, 1e-5f, a.data());
    scalar_.rms_norm(x.data(), w.data(), n, 1e-5f, b.data());
    EXPECT_EQ(bytes_of(a), bytes_of(b));
    kernels_.silu_mul(x.data(), up.data(), n / 16, a.data(), 16);
    scalar_.silu_mul(x.data(), up.data(), n / 16, b.data(), 16);
    EXPECT_EQ(bytes_of(a), bytes_of(b));
    kernels_.gelu_mul(x.data(), up.data(), n / 16, a.data(), 16);
    scalar_.gelu_mul(x.data(), up.data(), n / 16, b.data(), 16);
    EXPECT_EQ(bytes_of(a), bytes_of(b));
    a = b = x;
    kernels_.rope(a.data(), w.data(), up.data(), n, 0.125f);
    scalar_.rope(b.data(), w.data(), up.data(), n, 0.125f);
    EXPECT_EQ(bytes_of(a), bytes_of(b));
    for (const std::uint32_t pairs : {n / 2, n / 4 + 3}) {  // also a rest that fills no vector
      a = b = x;
      kernels_.rope_halves(a.data(), w.data(), up.data(), pairs, 0.125f);
      scalar_.rope_halves(b.data(), w.data(), up.data(), pairs, 0.125f);
      EXPECT_EQ(bytes_of(a), bytes_of(b));
    }
    const std::size_t bytes = n / cpu::kGroup * cpu::kTileGroupBytes;
    std::vector<std::uint8_t> ta(bytes, 0xFF), tb(bytes, 0xFF);
    for (const std::uint32_t row : {0u, 5u}) {
      kernels_.quantize(x.data(), n, ta.data(), row);
      scalar_.quantize(x.data(), n, tb.data(), row);
    }
    EXPECT_EQ(ta, tb);
  }
}

TEST_P(KernelsTest, QuantizeOfZerosAndOfTinyValues) {
  for (const float value : {0.0f, -0.0f, 1e-40f, 1e-30f, 1e-20f, 1e30f}) {
    const std::vector<float> x(32, value);
    std::vector<std::uint8_t> tile(cpu::kTileGroupBytes), truth(cpu::kTileGroupBytes);
    kernels_.quantize(x.data(), 32, tile.data(), 3);
    scalar_.quantize(x.data(), 32, truth.data(), 3);
    EXPECT_EQ(tile, truth) << value;
    float scale;
    std::memcpy(&scale, tile.data() + cpu::kTileScaleOffset + 12, 4);
    EXPECT_TRUE(std::isfinite(scale));
    EXPECT_NEAR(scale * static_cast<std::int8_t>(tile[3 * 32]), value, std::abs(value) * 1e-6 + 1e-30);
  }
}

TEST_P(KernelsTest, SiluIsNearTheTruthAndFiniteEverywhere) {
  std::vector<float> x, up(16 * 64, 1.0f), out(16 * 64);
  for (int i = 0; i < 16 * 64; ++i) x.push_back(static_cast<float>(i - 512) / 4.0f);
  kernels_.silu_mul(x.data(), up.data(), 64, out.data(), 16);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double truth = x[i] / (1.0 + std::exp(-double{x[i]}));
    EXPECT_NEAR(out[i], truth, std::abs(truth) * 1e-6 + 1e-30) << x[i];
  }
}

TEST_P(KernelsTest, GeluIsNearTheTruthAndFiniteEverywhere) {
  std::vector<float> x, up(16 * 64, 1.0f), out(16 * 64);
  for (int i = 0; i < 16 * 64; ++i) x.push_back(static_cast<float>(i - 512) / 32.0f);
  x[0] = -3e4f, x[1] = 3e4f, x[2] = -1e20f, x[3] = 1e20f;
  kernels_.gelu_mul(x.data(), up.data(), 64, out.data(), 16);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double v = x[i], u = std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v);
    EXPECT_NEAR(out[i], v / (1 + std::exp(-2 * u)), std::abs(v) * 1e-6) << x[i];
  }
}

TEST_P(KernelsTest, RopeHalvesTurnsThePairs) {
  Random random(8);
  for (const std::uint32_t pairs : {8u, 32u, 40u}) {
    const std::vector<float> x = random.floats(2 * pairs + 16), angles = random.floats(pairs, 3.0f);
    std::vector<float> cosines(pairs), sines(pairs), turned = x;
    for (std::uint32_t i = 0; i < pairs; ++i) cosines[i] = std::cos(angles[i]), sines[i] = std::sin(angles[i]);
    kernels_.rope_halves(turned.data(), cosines.data(), sines.data(), pairs, 0.5f);
    for (std::uint32_t i = 0; i < pairs; ++i) {
      EXPECT_NEAR(turned[i], 0.5 * (x[i] * cosines[i] - x[pairs + i] * sines[i]), 1e-6);
      EXPECT_NEAR(turned[pairs + i], 0.5 * (x[i] * sines[i] + x[pairs + i] * cosines[i]), 1e-6);
    }
    EXPECT_EQ(bytes_of(turned.data() + 2 * pairs, 64), bytes_of(x.data() + 2 * pairs, 64));  // the rest stays
  }
}

TEST_P(KernelsTest, HalvesAreRoundedAsTheFormatSaysAndFinite) {
  Random random(5);
  std::vector<float> x = {
      0.0f,     -0.0f,           1.0f,           -2.5f,          65504.0f,
      65520.0f, -1e30f,          1e-8f,          6e-8f,          2.9802322e-8f,
      6.1e-5f,  6.103515625e-5f, 1.00048828125f, 1.00146484375f, std::numeric_limits<float>::infinity(),
      3e-5f};
  for (int i = 0; i < 4096; ++i) x.push_back(std::ldexp(random.uniform(1.0f), i % 44 - 28));
  std::vector<std::uint16_t> a(x.size()), b(x.size());
  kernels_.to_f16(x.data(), static_cast<std::uint32_t>(x.size()), a.data());
  scalar_.to_f16(x.data(), static_cast<std::uint32_t>(x.size()), b.data());
  EXPECT_EQ(a, b);
  for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(a[i], f32_to_f16(std::clamp(x[i], -65504.0f, 65504.0f))) << x[i];
  const std::vector<float> wrong(16, std::numeric_limits<float>::quiet_NaN());
  kernels_.to_f16(wrong.data(), 16, a.data());
  scalar_.to_f16(wrong.data(), 16, b.data());
  EXPECT_TRUE(std::isfinite(f16_to_f32(a[0])));
  EXPECT_EQ(a[0], b[0]);
}

// ---- attention ----

struct AttentionCase {
  std::uint32_t head_dim, block_tokens, queries, keys;  // keys: of the last query; each query before sees one less
  std::uint32_t window = 0;
};

struct AttentionInput {
  AttentionInput(const AttentionCase& c, Random& random) : shape(c) {
    const std::uint32_t blocks = (c.keys + c.block_tokens - 1) / c.block_tokens;
    const std::size_t head_halves = std::size_t{c.block_tokens} * c.head_dim;
    halves.assign(blocks * head_halves * 2, 0xFFFF);  // not a number where no key is
    for (std::uint32_t key = 0; key < c.keys; ++key) {
      std::uint16_t* block = halves.data() + key / c.block_tokens * head_halves * 2;
      for (std::uint32_t d = 0; d < c.head_dim; ++d) {
        block[d * c.block_tokens + key % c.block_tokens] = f32_to_f16(random.uniform(2.0f));
        block[head_halves + key % c.block_tokens * c.head_dim + d] = f32_to_f16(random.uniform(2.0f));
      }
    }
    for (std::uint32_t b = 0; b < blocks; ++b)
      table.push_back(reinterpret_cast<const std::uint8_t*>(halves.data() + b * head_halves * 2));
    q = random.floats(std::size_t{c.head_dim} * cpu::kQuerySlots);
    for (std::uint32_t i = 0; i < c.queries; ++i)
      limits.push_back(std::max(1u, c.keys + i + 1 > c.queries ? c.keys + i + 1 - c.queries : 1));
    tile = {q.data(), limits.data(), c.queries, c.window, table.data(), 0, head_halves * 2, c.block_tokens, c.head_dim};
  }
  std::uint32_t first_key(std::uint32_t query) const {
    return shape.window != 0 && limits[query] > shape.window ? limits[query] - shape.window : 0;
  }
  float k(std::uint32_t key, std::uint32_t d) const {
    return at(key, d * shape.block_tokens + key % shape.block_tokens);
  }
  float v(std::uint32_t key, std::uint32_t d) const {
    return at(key, shape.block_tokens * shape.head_dim + key % shape.block_tokens * shape.head_dim + d);
  }

  AttentionCase shape;
  std::vector<std::uint16_t> halves;
  std::vector<const std::uint8_t*> table;
  std::vector<float> q;
  std::vector<std::uint32_t> limits;
  cpu::AttentionTile tile;

 private:
  float at(std::uint32_t key, std::uint32_t index) const {
    return f16_to_f32(halves[std::size_t{key / shape.block_tokens} * 2 * shape.block_tokens * shape.head_dim + index]);
  }
};

// All segments in order, as the attention driver does it: (queries, head_dim).
std::vector<float> attend_all(const KernelTable& kernels, const AttentionInput& in) {
  const std::uint32_t dim = in.shape.head_dim;
  std::vector<float> state_out(cpu::kQueryTile * dim), next_out(cpu::kQueryTile * dim), out(in.shape.queries * dim);
  cpu::AttentionPartial state{{}, {}, state_out.data()}, next{{}, {}, next_out.data()};
  for (std::uint32_t s = in.first_key(0) / cpu::kSegmentTokens; s * cpu::kSegmentTokens < in.limits.back(); ++s) {
    kernels.attend[0](in.tile, s, next);
    kernels.fold(state, next, in.shape.queries, dim);
  }
  for (std::uint32_t i = 0; i < in.shape.queries; ++i) kernels.finish(state, i, dim, out.data() + i * dim);
  return out;
}

TEST_P(KernelsTest, AttentionEqualsScalarAndTheTruth) {
  Random random(6);
  for (const AttentionCase& c :
       {AttentionCase{64, 32, 12, 300}, AttentionCase{64, 32, 3, 1}, AttentionCase{16, 16, 1, 128},
        AttentionCase{48, 64, 7, 129}, AttentionCase{128, 128, 12, 140}, AttentionCase{256, 16, 5, 33},
        AttentionCase{80, 32, 11, 257}, AttentionCase{64, 16, 2, 17}, AttentionCase{64, 32, 12, 300, 100},
        AttentionCase{256, 32, 12, 700, 512}, AttentionCase{16, 16, 5, 132, 3}, AttentionCase{32, 64, 12, 20, 16},
        AttentionCase{48, 128, 9, 260, 1}, AttentionCase{64, 16, 8, 257, 128}}) {
    const AttentionInput in(c, random);
    const std::vector<float> own = attend_all(kernels_, in);
    ASSERT_EQ(bytes_of(own), bytes_of(attend_all(scalar_, in))) << c.head_dim << " " << c.keys;
    for (std::uint32_t i = 0; i < c.queries; ++i) {
      std::vector<double> out(c.head_dim);
      double sum = 0;
      for (std::uint32_t key = in.first_key(i); key < in.limits[i]; ++key) {
        double score = 0;
        for (std::uint32_t d = 0; d < c.head_dim; ++d) score += double{in.q[d * cpu::kQuerySlots + i]} * in.k(key, d);
        sum += std::exp(score);
        for (std::uint32_t d = 0; d < c.head_dim; ++d) out[d] += std::exp(score) * in.v(key, d);
      }
      for (std::uint32_t d = 0; d < c.head_dim; ++d)
        ASSERT_NEAR(own[i * c.head_dim + d], out[d] / sum, 1e-4) << i << " " << d;
    }
  }
}

// A query's bits depend neither on its place in a tile nor on the tile's other queries.
TEST_P(KernelsTest, AttentionOfAQueryAloneIsTheSame) {
  Random random(7);
  for (const std::uint32_t window : {0u, 50u, 128u}) {
    const AttentionInput in({64, 32, 12, 264, window}, random);
    const std::vector<float> together = attend_all(kernels_, in);
    for (std::uint32_t i = 0; i < 12; ++i) {
      AttentionInput one = in;
      one.shape.queries = 1;
      for (std::uint32_t d = 0; d < 64; ++d) one.q[d * cpu::kQuerySlots] = in.q[d * cpu::kQuerySlots + i];
      one.limits = {in.limits[i]};
      one.tile.q = one.q.data();
      one.tile.limits = one.limits.data();
      one.tile.queries = 1;
      ASSERT_EQ(bytes_of(attend_all(kernels_, one)), bytes_of(together.data() + i * 64, 256)) << window << " " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Classes, KernelsTest, ::testing::ValuesIn(available_kernel_classes()),
                         [](const auto& test) { return test.param; });

TEST(KernelDispatchTest, ScalarIsLastAndUnknownNamesAreRefused) {
  EXPECT_EQ(available_kernel_classes().back(), "scalar");
  EXPECT_EQ(find_kernels("").value()->name, available_kernel_classes().front());
  EXPECT_EQ(find_kernels("neon").error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace kvasir
