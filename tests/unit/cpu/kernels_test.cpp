// Every kernel of every class that this machine has against the scalar class, bit for bit.
#include "engine/cpu/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/cpu/cpu_backends.h"
#include "engine/cpu/kernel_dispatch.h"
#include "engine/cpu/packed_matrix.h"
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

std::vector<std::uint8_t> random_panel(PanelType type, std::uint32_t k, Random& random) {
  std::vector<std::uint8_t> panel;
  const auto add_half = [&](float value) {
    const std::uint16_t bits = f32_to_f16(value);
    panel.push_back(static_cast<std::uint8_t>(bits));
    panel.push_back(static_cast<std::uint8_t>(bits >> 8));
  };
  if (type == PanelType::q4_1 || type == PanelType::q8_0) {
    for (std::uint32_t g = 0; g < k / cpu::kGroup; ++g) {
      for (std::uint32_t i = 0; i < 16 * (type == PanelType::q4_1 ? 16 : 32); ++i) panel.push_back(random.byte());
      for (std::uint32_t i = 0; i < (type == PanelType::q4_1 ? 32u : 16u); ++i) add_half(random.uniform(0.02f));
    }
    return panel;
  }
  for (std::uint32_t i = 0; i < k * 16; ++i) {
    const float value = random.uniform(0.1f);
    std::uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if (type == PanelType::f16) add_half(value);
    if (type == PanelType::bf16) bits >>= 16;
    if (type == PanelType::f16) continue;
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

TEST_P(KernelsTest, GemmOfAnyRowsEqualsScalar) {
  Random random(1);
  for (const PanelType type : {PanelType::q4_1, PanelType::q8_0, PanelType::f16, PanelType::bf16, PanelType::f32})
    for (const std::uint32_t k : {32u, 96u, 576u}) {
      constexpr std::uint32_t kRows = 19;
      const std::vector<std::uint8_t> panel = random_panel(type, k, random);
      const std::vector<float> x = random.floats(kRows * k, 3.0f);
      std::size_t tile_bytes = 0;
      const std::vector<std::uint8_t> tiles = tiles_of(scalar_, type, kRows, k, x, tile_bytes);
      const std::vector<float> start = random.floats(kRows * 20);
      for (const bool add : {false, true}) {
        std::vector<float> truth = start;
        const auto slot = static_cast<std::uint32_t>(type);
        scalar_.gemm[slot]({panel.data(), tiles.data(), tile_bytes, k, kRows, truth.data(), 20, add});
        for (std::uint32_t rows = 1; rows <= kRows; ++rows) {
          std::vector<float> out = start;
          kernels_.gemm[slot]({panel.data(), tiles.data(), tile_bytes, k, rows, out.data(), 20, add});
          std::vector<float> expected = start;
          std::copy_n(truth.begin(), rows * 20, expected.begin());
          ASSERT_EQ(bytes_of(out), bytes_of(expected)) << "type " << slot << " k " << k << " rows " << rows;
        }
      }
    }
}

// The extremes of the integers: -128 weights, 255 nibbles, activations of +-127.
TEST_P(KernelsTest, IntegerDotsDoNotSaturate) {
  for (const PanelType type : {PanelType::q4_1, PanelType::q8_0})
    for (const int weight : {0, 1, 128, 255})
      for (const float sign : {1.0f, -1.0f}) {
        constexpr std::uint32_t kK = 64;
        Random random(2);
        std::vector<std::uint8_t> panel = random_panel(type, kK, random);
        const std::size_t group = panel.size() / 2, weights = type == PanelType::q4_1 ? 256 : 512;
        for (std::size_t g = 0; g < 2; ++g)
          std::fill_n(panel.begin() + static_cast<std::ptrdiff_t>(g * group), weights,
                      static_cast<std::uint8_t>(weight));
        const std::vector<float> x(kK, sign);
        std::size_t tile_bytes = 0;
        const std::vector<std::uint8_t> tiles = tiles_of(kernels_, type, 1, kK, x, tile_bytes);
        std::vector<float> out(16), truth(16);
        const auto slot = static_cast<std::uint32_t>(type);
        kernels_.gemm[slot]({panel.data(), tiles.data(), tile_bytes, kK, 1, out.data(), 16, false});
        scalar_.gemm[slot]({panel.data(), tiles.data(), tile_bytes, kK, 1, truth.data(), 16, false});
        EXPECT_EQ(bytes_of(out), bytes_of(truth)) << "type " << slot << " weight " << weight;
      }
}

TEST_P(KernelsTest, GemmIsTheDotProduct) {
  Random random(3);
  constexpr std::uint32_t kK = 96, kColumns = 37;  // a last panel of 5 columns
  for (const TensorType type :
       {TensorType::q4_1, TensorType::q8_0, TensorType::f16, TensorType::bf16, TensorType::f32}) {
    std::vector<std::byte> file(row_bytes(type, kK) * kColumns);
    for (std::byte& b : file) b = static_cast<std::byte>(random.byte() & 0xBF);  // no exponent of a not-a-number
    for (std::size_t at = 0; type == TensorType::q4_1 && at < file.size(); at += 20)
      for (std::size_t i : {1u, 3u}) file[at + i] &= std::byte{0xA7};  // scales about one
    for (std::size_t at = 0; type == TensorType::q8_0 && at < file.size(); at += 34) file[at + 1] &= std::byte{0xA7};
    for (std::size_t at = 3; type == TensorType::f32 && at < file.size(); at += 4) file[at] = std::byte{0x3E};
    for (std::size_t at = 1; type == TensorType::bf16 && at < file.size(); at += 2) file[at] = std::byte{0x3E};
    const GgufTensor tensor{"w", {kK, kColumns}, static_cast<std::uint32_t>(type), file};
    WeightMemory memory(PackedMatrix::packed_bytes(tensor));
    const PackedMatrix matrix = PackedMatrix::pack(tensor, memory.bytes());
    ASSERT_EQ(matrix.panels(), 3u);
    const std::vector<float> x = random.floats(kK, 2.0f);
    std::size_t tile_bytes = 0;
    const std::vector<std::uint8_t> tiles = tiles_of(kernels_, matrix.type(), 1, kK, x, tile_bytes);
    for (std::uint32_t c = 0; c < kColumns; ++c) {
      std::vector<float> row(kK), unpacked(kK);
      dequantize_row(tensor, c, row);
      matrix.unpack_column(c, unpacked);
      ASSERT_EQ(bytes_of(unpacked), bytes_of(row)) << tensor_type_name(tensor.type) << " column " << c;
      double truth = 0, scale = 0;
      for (std::uint32_t i = 0; i < kK; ++i) truth += double{row[i]} * x[i], scale += std::abs(double{row[i]});
      float out[16];
      kernels_.gemm[static_cast<std::uint32_t>(matrix.type())](
          {matrix.panel(c / 16), tiles.data(), tile_bytes, kK, 1, out, 16, false});
      EXPECT_NEAR(out[c % 16], truth, scale * (cpu::wants_int8(matrix.type()) ? 0.01 : 1e-5))
          << tensor_type_name(tensor.type);
    }
  }
}

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
    a = b = x;
    kernels_.rope(a.data(), w.data(), up.data(), n, 0.125f);
    scalar_.rope(b.data(), w.data(), up.data(), n, 0.125f);
    EXPECT_EQ(bytes_of(a), bytes_of(b));
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
    tile = {q.data(), limits.data(), c.queries, table.data(), 0, head_halves * 2, c.block_tokens, c.head_dim};
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
  for (std::uint32_t s = 0; s * cpu::kSegmentTokens < in.limits.back(); ++s) {
    kernels.attend(in.tile, s, next);
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
        AttentionCase{80, 32, 11, 257}, AttentionCase{64, 16, 2, 17}}) {
    const AttentionInput in(c, random);
    const std::vector<float> own = attend_all(kernels_, in);
    ASSERT_EQ(bytes_of(own), bytes_of(attend_all(scalar_, in))) << c.head_dim << " " << c.keys;
    for (std::uint32_t i = 0; i < c.queries; ++i) {
      std::vector<double> out(c.head_dim);
      double sum = 0;
      for (std::uint32_t key = 0; key < in.limits[i]; ++key) {
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
  const AttentionInput in({64, 32, 12, 200}, random);
  const std::vector<float> together = attend_all(kernels_, in);
  for (std::uint32_t i = 0; i < 12; ++i) {
    AttentionInput one = in;
    one.shape.queries = 1;
    for (std::uint32_t d = 0; d < 64; ++d) one.q[d * cpu::kQuerySlots] = in.q[d * cpu::kQuerySlots + i];
    one.limits = {in.limits[i]};
    one.tile.q = one.q.data();
    one.tile.limits = one.limits.data();
    one.tile.queries = 1;
    ASSERT_EQ(bytes_of(attend_all(kernels_, one)), bytes_of(together.data() + i * 64, 256)) << i;
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
