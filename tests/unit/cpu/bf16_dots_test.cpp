// Products of bf16 weights with rounded activations: every class that has them against their model in plain C, bit for
// bit, and the model against the truth.
#include "engine/cpu/bf16_dots.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/cpu/cpu_backends.h"
#include "engine/cpu/kernel_checks.h"
#include "engine/cpu/kernel_dispatch.h"
#include "engine/model/dequantize.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

using cpu::KernelTable;
using cpu::kPanelColumns;
using cpu::kTileRows;

// As a class has them: the model itself, then every class of this machine that rounds.
struct Products {
  std::string name;
  void (*gemm)(const cpu::PanelGemm& g);
  void (*round_row)(const float* x, std::uint32_t n, std::uint8_t* tile, std::uint32_t row);
};

std::vector<Products> all_products() {
  std::vector<Products> all{{"model", cpu::scalar_bf16_dots, cpu::scalar_bf16_round_row}};
  for (const std::string& name : available_kernel_classes()) {
    const KernelTable& table = *find_kernels(name).value();
    if (table.round_row == nullptr) continue;
    all.push_back({name, table.gemm[static_cast<std::uint32_t>(cpu::PanelType::bf16)], table.round_row});
  }
  return all;
}

// Rows and panels of random numbers, with magnitudes around 2^(exponent - 127) of a spread of 2^spread.
struct Input {
  Input(std::uint32_t k_, std::uint32_t rows_, std::uint32_t panels_, std::uint32_t exponent, std::uint32_t spread,
        std::uint64_t seed)
      : k(k_), rows(rows_), panels(panels_) {
    Prng prng(seed);
    const auto number = [&] {
      return static_cast<std::uint32_t>(prng.next() & 0x807FFFFF) |
             (exponent + static_cast<std::uint32_t>(prng.below(spread))) << 23;
    };
    for (std::size_t i = 0; i < std::size_t{rows} * k; ++i) x.push_back(std::bit_cast<float>(number()));
    for (std::size_t i = 0; i < std::size_t{panels} * k * kPanelColumns; ++i)
      weights.push_back(static_cast<std::uint16_t>(number() >> 16));
  }

  std::vector<std::uint8_t> tiles(const Products& products) const {
    std::vector<std::uint8_t> memory((rows + kTileRows - 1) / kTileRows * cpu::bf16_tile_bytes(k), 0xFF);
    for (std::uint32_t r = 0; r < rows; ++r)
      products.round_row(&x[std::size_t{r} * k], k, memory.data() + r / kTileRows * cpu::bf16_tile_bytes(k),
                         r % kTileRows);
    return memory;
  }

  // Of the first `count` rows; what lies beside them must stay.
  std::vector<float> product(const Products& products, std::uint32_t count, bool add) const {
    const std::size_t stride = panels * kPanelColumns + 3;
    const std::vector<std::uint8_t> memory = tiles(products);
    std::vector<float> out(rows * stride);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i % 17);
    products.gemm({reinterpret_cast<const std::uint8_t*>(weights.data()), std::size_t{k} * kPanelColumns * 2, panels,
                   memory.data(), cpu::bf16_tile_bytes(k), k, count, out.data(), stride, add});
    return out;
  }

  std::uint32_t k, rows, panels;
  std::vector<float> x;
  std::vector<std::uint16_t> weights;  // [panel][k / 2][16][2]
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(Bf16DotsTest, AnyRowsAndPanelsEqualTheModel) {
  for (const std::uint32_t k : {16u, 48u, 576u}) {
    const Input input(k, 19, 3, 120, 8, k);
    for (const bool add : {false, true}) {
      const std::vector<float> truth = input.product(all_products()[0], 19, add);
      const std::vector<float> untouched = input.product(all_products()[0], 0, add);
      for (const Products& products : all_products())
        for (std::uint32_t rows = 0; rows <= 19; ++rows) {
          std::vector<float> expected = untouched;
          const std::size_t written = rows * (expected.size() / 19);
          std::copy_n(truth.begin(), written, expected.begin());
          ASSERT_TRUE(same_bits(input.product(products, rows, add), expected))
              << products.name << ", k " << k << ", " << rows << " rows";
        }
    }
  }
}

// Far apart, near overflow and near underflow: order and rounding of every step show.
TEST(Bf16DotsTest, MagnitudesOfAllKindsEqualTheModel) {
  for (const auto& [exponent, spread] : {std::pair{90u, 75u}, {185u, 12u}, {55u, 16u}, {0u, 60u}, {0u, 255u}}) {
    const Input input(64, 11, 2, exponent, spread, exponent + spread);
    const std::vector<float> truth = input.product(all_products()[0], 11, false);
    for (const Products& products : all_products()) {
      ASSERT_EQ(input.tiles(products), input.tiles(all_products()[0])) << products.name << " " << exponent;
      const std::vector<float> out = input.product(products, 11, false);
      for (std::size_t i = 0; i < out.size(); ++i) {
        if (std::isnan(truth[i]) && std::isnan(out[i])) continue;  // the sign of a NaN is nobody's
        ASSERT_EQ(std::bit_cast<std::uint32_t>(out[i]), std::bit_cast<std::uint32_t>(truth[i]))
            << products.name << " " << exponent << " " << i;
      }
    }
  }
}

TEST(Bf16DotsTest, TheModelIsTheDotProductOfRoundedActivations) {
  const Input input(256, 5, 2, 118, 10, 1);
  const std::vector<float> out = input.product(all_products()[0], 5, false);
  const std::size_t stride = out.size() / 5;
  for (std::uint32_t row = 0; row < 5; ++row)
    for (std::uint32_t column = 0; column < 32; ++column) {
      double truth = 0, magnitude = 0;
      for (std::uint32_t i = 0; i < input.k; ++i) {
        const std::size_t at =
            (column / 16 * input.k + i / 2 * 2) * kPanelColumns + column % 16 * 2 + i % 2;  // [k / 2][16][2]
        const double product = double{bf16_to_f32(input.weights[at])} * input.x[row * input.k + i];
        truth += product, magnitude += std::abs(product);
      }
      EXPECT_NEAR(out[row * stride + column], truth, magnitude / 512) << row << " " << column;
    }
}

TEST(Bf16DotsTest, RoundsToNearestTiesToEven) {
  const struct {
    float x;
    std::uint16_t bf16;
  } cases[] = {{1.0f, 0x3F80},
               {-1.0f, 0xBF80},
               {0.0f, 0},
               {-0.0f, 0x8000},
               {1.00390625f, 0x3F80},                   // halfway to 1.0078125: the even one is below
               {1.01171875f, 0x3F82},                   // halfway, the even one is above
               {1.0039063692f, 0x3F81},                 // just above halfway
               {std::bit_cast<float>(0x007FFFFFu), 0},  // below the normal numbers
               {std::bit_cast<float>(0x807FFFFFu), 0x8000},
               {std::bit_cast<float>(0x00800000u), 0x0080},
               {3.3895314e38f, 0x7F7F},
               {3.4028235e38f, 0x7F80},
               {std::numeric_limits<float>::infinity(), 0x7F80}};
  for (const Products& products : all_products())
    for (const auto& [x, bf16] : cases) {
      std::vector<float> row(16);
      row[5] = x;
      std::vector<std::uint8_t> tile(cpu::bf16_tile_bytes(16), 0xAA);
      products.round_row(row.data(), 16, tile.data(), 3);
      std::uint16_t stored;
      std::memcpy(&stored, &tile[(2 * kTileRows + 3) * 4 + 2], 2);
      EXPECT_EQ(stored, bf16) << products.name << " " << x;
      EXPECT_EQ(tile[(2 * kTileRows + 4) * 4], 0xAA);  // the neighbours' rows stay
      EXPECT_EQ(tile[(2 * kTileRows + 2) * 4 + 3], 0xAA);
    }
}

// The check at the start refuses products in another order.
TEST(Bf16DotsTest, TheCheckFindsWhatDiffers) {
  KernelTable table = cpu::kScalarKernels;
  constexpr auto kBf16 = static_cast<std::uint32_t>(cpu::PanelType::bf16);
  table.round_row = cpu::scalar_bf16_round_row;
  table.gemm[kBf16] = cpu::scalar_bf16_dots;
  EXPECT_TRUE(bf16_products_agree(table));
  table.gemm[kBf16] = [](const cpu::PanelGemm& g) {
    cpu::scalar_bf16_dots(g);
    g.out[g.out_stride + 1] = std::nextafter(g.out[g.out_stride + 1], 1e9f);
  };
  EXPECT_FALSE(bf16_products_agree(table));
  table.gemm[kBf16] = cpu::scalar_bf16_dots;
  table.round_row = [](const float* x, std::uint32_t n, std::uint8_t* tile, std::uint32_t row) {
    cpu::scalar_bf16_round_row(x, n, tile, row);
    if (row == 2) tile[row * 4] ^= 1;
  };
  EXPECT_FALSE(bf16_products_agree(table));
}

}  // namespace
}  // namespace kvasir
