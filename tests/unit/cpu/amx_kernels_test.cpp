// The whole of kernel class amx_int8 over emulated tiles and scalar lanes, on any machine: the bits of the scalar
// class, and a tile used as the processor would not allow ends the test. Machines with AMX run the real one in
// kernels_test.cpp.
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "engine/cpu/amx_int8.h"
#include "engine/cpu/cpu_backends.h"
#include "engine/cpu/kernel_checks.h"
#include "engine/cpu/matmul.h"
#include "engine/model/dequantize.h"
#include "storage/base/prng.h"
#include "tests/unit/cpu/amx_emulation.h"

namespace kvasir::cpu {
namespace {

#include "engine/cpu/scalar_lanes.inc"

// What a test does to every configuration before it is loaded.
std::function<void(std::uint8_t*)> tamper;

struct T {
  static constexpr const KernelTable& kFewRows = kScalarKernels;

  template <class Config>
  static void configure(const Config& config) {
    std::uint8_t bytes[64];
    static_assert(sizeof config == sizeof bytes);
    std::memcpy(bytes, &config, sizeof bytes);
    if (tamper) tamper(bytes);
    testing::TileEmulation::configure(bytes);
  }
  static void release() { testing::TileEmulation::release(); }
  template <int kTile>
  static void load(const void* from, std::size_t stride) {
    testing::TileEmulation::load(kTile, from, stride);
  }
  template <int kTile>
  static void zero() {
    testing::TileEmulation::zero(kTile);
  }
  template <int kTile>
  static void store(void* to, std::size_t stride) {
    testing::TileEmulation::store(kTile, to, stride);
  }
  template <int kTo, int kSigned, int kUnsigned>
  static void add_dots() {
    testing::TileEmulation::add_dots(kTo, kSigned, kUnsigned);
  }
};

#include "engine/cpu/kernel_amx.inc"

KernelTable emulated_table() {
  KernelTable table = kScalarKernels;
  table.name = "amx_int8 (emulated)";
  set_amx_products(table);
  return table;
}

}  // namespace
}  // namespace kvasir::cpu

namespace kvasir {
namespace {

using cpu::kPanelColumns;
using cpu::kTileRows;
using cpu::PanelType;
using testing::TileEmulation;

const cpu::KernelTable kEmulated = cpu::emulated_table();

bool has_super_blocks(PanelType type) { return cpu::panel_format(type).super; }

// Random panels of which any byte may be anything, but for the f16 numbers: finite and not large.
struct Input {
  Input(PanelType type_, std::uint32_t k_, std::uint32_t rows_, std::uint32_t panels_, std::uint64_t seed)
      : type(type_), k(k_), rows(rows_), panels(panels_) {
    Prng prng(seed);
    const cpu::PanelFormat format = cpu::panel_format(type);
    const auto halves = [&](std::size_t count) {
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint16_t half = f32_to_f16(static_cast<float>(prng.below(2001)) * 1e-5f - 1e-2f);
        weights.push_back(static_cast<std::uint8_t>(half));
        weights.push_back(static_cast<std::uint8_t>(half >> 8));
      }
    };
    for (std::uint32_t group = 0; group < panels * (k / cpu::kGroup); ++group) {
      if (group % format.groups() == 0) halves(format.header_bytes() / 2);
      const std::uint32_t plain = format.super ? format.group_bytes() : format.scale_offset();
      for (std::uint32_t i = 0; i < plain; ++i) weights.push_back(static_cast<std::uint8_t>(prng.next()));
      halves((format.group_bytes() - plain) / 2);
    }
    for (std::size_t i = 0; i < std::size_t{rows} * k; ++i)
      x.push_back(static_cast<float>(prng.below(4001)) * 1e-3f - 2.0f);
  }

  // Of the first `count` rows; what lies beside them stays.
  std::vector<float> product(const cpu::KernelTable& kernels, std::uint32_t count, bool add) const {
    const std::size_t tile_bytes = std::size_t{k} / cpu::kGroup * cpu::kTileGroupBytes;
    std::vector<std::uint8_t> tiles((rows + kTileRows - 1) / kTileRows * tile_bytes, 0xFF);
    for (std::uint32_t r = 0; r < rows; ++r)
      kernels.quantize(&x[std::size_t{r} * k], k, tiles.data() + r / kTileRows * tile_bytes, r % kTileRows);
    const std::size_t stride = panels * kPanelColumns + 5;
    std::vector<float> out(rows * stride);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i % 13);
    kernels.gemm[static_cast<std::uint32_t>(type)]({weights.data(), cpu::panel_bytes(type, k), panels, tiles.data(),
                                                    tile_bytes, k, count, out.data(), stride, add});
    return out;
  }

  PanelType type;
  std::uint32_t k, rows, panels;
  std::vector<std::uint8_t> weights;
  std::vector<float> x;
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class AmxKernelsTest : public ::testing::TestWithParam<PanelType> {};

TEST_P(AmxKernelsTest, AnyRowsAndPanelsEqualScalar) {
  const std::uint32_t k = has_super_blocks(GetParam()) ? 512 : 96;
  constexpr std::uint32_t kRows = 139;  // more than the tiles that share a group's weights
  const Input input(GetParam(), k, kRows, 3, 1);
  for (const bool add : {false, true}) {
    const std::vector<float> truth = input.product(cpu::kScalarKernels, kRows, add);
    const std::vector<float> untouched = input.product(cpu::kScalarKernels, 0, add);
    for (const std::uint32_t rows : {1u, 7u, 8u, 9u, 16u, 63u, 64u, 65u, 72u, 128u, 139u}) {
      std::vector<float> expected = untouched;
      std::copy_n(truth.begin(), rows * (truth.size() / kRows), expected.begin());
      EXPECT_TRUE(same_bits(input.product(kEmulated, rows, add), expected)) << rows;
    }
  }
}

TEST_P(AmxKernelsTest, ExtremesDoNotSaturate) {
  const cpu::PanelFormat format = cpu::panel_format(GetParam());
  for (const int byte : {0, 127, 128, 255})
    for (const float sign : {1.0f, -1.0f}) {
      Input input(GetParam(), 256, 8, 1, 2);
      std::size_t at = 0;
      for (std::uint32_t g = 0; g < 256 / cpu::kGroup; ++g, at += format.group_bytes()) {
        if (g % format.groups() == 0) at += format.header_bytes();
        std::memset(&input.weights[at], byte, format.super ? format.group_bytes() : format.scale_offset());
      }
      input.x.assign(input.x.size(), sign);
      EXPECT_TRUE(same_bits(input.product(kEmulated, 8, false), input.product(cpu::kScalarKernels, 8, false)))
          << byte << " " << sign;
    }
}

TEST_P(AmxKernelsTest, RegistersAreGivenBack) {
  const Input input(GetParam(), 256, 16, 1, 3);
  input.product(kEmulated, 16, false);
  EXPECT_FALSE(TileEmulation::configured());
  input.product(kEmulated, 3, false);  // too few for a tile: none is touched
  EXPECT_FALSE(TileEmulation::configured());
}

std::string name_of(const ::testing::TestParamInfo<PanelType>& test) {
  constexpr const char* kNames[] = {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_k", "q5_k", "q6_k"};
  return kNames[static_cast<std::uint32_t>(test.param)];
}

INSTANTIATE_TEST_SUITE_P(Types, AmxKernelsTest,
                         ::testing::Values(PanelType::q4_0, PanelType::q4_1, PanelType::q5_0, PanelType::q5_1,
                                           PanelType::q8_0, PanelType::q4_k, PanelType::q5_k, PanelType::q6_k),
                         name_of);

// Threads that were there and threads that come later, through the products of the backend.
TEST(AmxThreadsTest, EveryThreadHasItsTiles) {
  constexpr std::uint32_t kK = 256, kRows = 70, kColumns = 200;
  Prng prng(4);
  std::vector<std::byte> file(row_bytes(TensorType::q4_1, kK) * kColumns);
  for (std::byte& b : file) b = static_cast<std::byte>(prng.next());
  for (std::size_t at = 1; at < file.size(); at += block_bytes(TensorType::q4_1))
    file[at] = file[at + 2] = std::byte{0x24};  // the exponents of the scale and of the minimum
  const GgufTensor tensor{"w", {kK, kColumns}, static_cast<std::uint32_t>(TensorType::q4_1), file};
  WeightMemory memory(PackedMatrix::packed_bytes(tensor));
  const PackedMatrix matrix = PackedMatrix::pack(tensor, memory.bytes());
  std::vector<float> x(std::size_t{kRows} * kK);
  for (float& value : x) value = static_cast<float>(prng.below(4001)) * 1e-3f - 2.0f;
  const auto run = [&](const cpu::KernelTable& kernels, ThreadPool& pool, bool gated) {
    Activations rows;
    const PackedMatrix* consumers[] = {&matrix};
    rows.shape(kernels, kRows, kK, consumers);
    for (std::uint32_t r = 0; r < kRows; ++r) rows.set_row(kernels, r, &x[std::size_t{r} * kK]);
    std::vector<float> out(kRows * matrix.panels() * kPanelColumns);
    const std::size_t stride = matrix.panels() * kPanelColumns;
    if (gated)
      multiply_gated(kernels, pool, Activation::silu, rows, matrix, matrix, out.data(), stride);
    else
      multiply(kernels, pool, rows, {{&matrix, out.data(), stride}});
    return out;
  };
  ThreadPool single(1);
  for (const std::uint32_t threads : {1u, 3u, 4u}) {
    ThreadPool pool(threads);
    for (const bool gated : {false, true})
      EXPECT_TRUE(same_bits(run(kEmulated, pool, gated), run(cpu::kScalarKernels, single, gated))) << threads;
    std::thread later([&] {
      ThreadPool own(2);
      EXPECT_TRUE(same_bits(run(kEmulated, own, false), run(cpu::kScalarKernels, single, false)));
    });
    later.join();
  }
}

TEST(AmxCheckTest, TheCheckFindsWhatDiffers) {
  EXPECT_TRUE(quantized_products_agree(kEmulated));
  for (const PanelType type : {PanelType::q4_0, PanelType::q6_k}) {
    cpu::KernelTable wrong = kEmulated;
    wrong.gemm[static_cast<std::uint32_t>(type)] = [](const cpu::PanelGemm& g) {
      for (std::uint32_t r = 0; r < g.rows; ++r) g.out[r * g.out_stride] = 0.0f;
    };
    EXPECT_FALSE(quantized_products_agree(wrong));
  }
  EXPECT_EQ(cpu::request_amx(), cpu::request_amx());  // asking twice changes nothing
}

// ---- the emulation refuses what the processor refuses ----

class AmxEmulationTest : public ::testing::Test {
 protected:
  AmxEmulationTest() { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
  ~AmxEmulationTest() override { TileEmulation::release(); }

  struct Config {
    std::uint8_t bytes[64] = {1};
    Config& tile(int index, std::uint8_t rows, std::uint16_t row_bytes) {
      bytes[48 + index] = rows;
      std::memcpy(bytes + 16 + 2 * index, &row_bytes, 2);
      return *this;
    }
  };
  static void configure(const Config& config) { TileEmulation::configure(config.bytes); }
  std::uint8_t memory_[1024] = {};
};

TEST_F(AmxEmulationTest, MultipliesSignedByUnsigned) {
  configure(Config{}.tile(0, 2, 8).tile(1, 2, 8).tile(2, 2, 8));
  const std::int8_t a[2][8] = {{-128, 127, 1, 0, 2, 0, 0, -1}, {1, 1, 1, 1, 1, 1, 1, 1}};
  const std::uint8_t b[2][8] = {{255, 1, 2, 3, 4, 5, 6, 7}, {8, 9, 10, 255, 128, 1, 2, 3}};
  TileEmulation::zero(0);
  TileEmulation::load(1, a, 8);
  TileEmulation::load(2, b, 8);
  TileEmulation::add_dots(0, 1, 2);
  std::int32_t sums[2][2];
  TileEmulation::store(0, sums, 8);
  EXPECT_EQ(sums[0][0], -128 * 255 + 127 + 2 + 2 * 8 - 255);
  EXPECT_EQ(sums[0][1], -128 * 4 + 127 * 5 + 6 + 2 * 128 - 3);
  EXPECT_EQ(sums[1][0], 255 + 1 + 2 + 3 + 8 + 9 + 10 + 255);
}

TEST_F(AmxEmulationTest, RefusesBadConfigurations) {
  EXPECT_DEATH(configure(Config{}.tile(0, 17, 64)), "shape of a tile");
  EXPECT_DEATH(configure(Config{}.tile(0, 16, 65)), "shape of a tile");
  EXPECT_DEATH(configure(Config{}.tile(0, 0, 64)), "half a shape");
  EXPECT_DEATH(configure(Config{}.tile(8, 1, 4)), "not there");
  Config reserved;
  reserved.bytes[5] = 1;
  EXPECT_DEATH(configure(reserved), "reserved");
}

TEST_F(AmxEmulationTest, RefusesUseWithoutConfiguration) {
  EXPECT_DEATH(TileEmulation::load(1, memory_, 64), "before its configuration");
  configure(Config{}.tile(0, 8, 64));
  EXPECT_DEATH(TileEmulation::zero(1), "without a shape");
  TileEmulation::release();
  EXPECT_DEATH(TileEmulation::store(0, memory_, 64), "before its configuration");
  std::thread([] {  // each thread has its own
    configure(Config{}.tile(0, 8, 64));
  })
      .join();
  EXPECT_DEATH(TileEmulation::zero(0), "before its configuration");
}

TEST_F(AmxEmulationTest, RefusesShapesThatDoNotMatch) {
  const auto multiply = [](const Config& config) {
    configure(config);
    TileEmulation::add_dots(0, 1, 2);
  };
  EXPECT_DEATH(multiply(Config{}.tile(0, 8, 64).tile(1, 7, 32).tile(2, 8, 64)), "rows of sums");
  EXPECT_DEATH(multiply(Config{}.tile(0, 8, 64).tile(1, 8, 28).tile(2, 8, 64)), "elements");
  EXPECT_DEATH(multiply(Config{}.tile(0, 8, 64).tile(1, 8, 32).tile(2, 8, 60)), "columns");
  EXPECT_DEATH(multiply(Config{}.tile(0, 8, 62).tile(1, 8, 32).tile(2, 8, 62)), "bytes of a row");
  EXPECT_DEATH(
      {
        configure(Config{}.tile(0, 8, 32).tile(2, 8, 32));
        TileEmulation::add_dots(0, 0, 2);
      },
      "one tile twice");
}

// Any shape of the kernels' own configuration, one row or four bytes less: the kernels do not survive it.
TEST_F(AmxEmulationTest, TheKernelsDependOnEveryShapeOfTheirs) {
  for (int tile = 0; tile < 6; ++tile)
    for (const bool row : {false, true}) {
      const PanelType type = tile == 1 || tile == 2 ? PanelType::q8_0 : PanelType::q6_k;
      EXPECT_DEATH(
          {
            cpu::tamper = [&](std::uint8_t* bytes) { row ? bytes[48 + tile] -= 1 : bytes[16 + 2 * tile] -= 4; };
            Input(type, 256, 8, 1, 5).product(kEmulated, 8, false);
          },
          "tile emulation")
          << tile << (row ? " rows" : " bytes");
    }
}

}  // namespace
}  // namespace kvasir
