// KV kept as int8: kernels of every class, what is stored, and the backend on it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "engine/cpu/kernel_dispatch.h"
#include "engine/cpu/kv_store.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/unit/cpu/backend_driver.h"

namespace kvasir {
namespace {

using cpu::KernelTable;
using cpu::KvType;
using testing::BackendDriver;
using testing::bits_of;

float uniform(Prng& prng) { return static_cast<float>(prng.below(2001)) / 1000.0f - 1.0f; }

class KvInt8Test : public ::testing::TestWithParam<std::string> {
 protected:
  const KernelTable& kernels_ = *find_kernels(GetParam()).value();
  const KernelTable& scalar_ = *find_kernels("scalar").value();
};

TEST_P(KvInt8Test, ValuesAreRoundedToTheirScaleAndFinite) {
  Prng prng(1);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float factor : {0.0f, 1e-40f, 1e-30f, 1e-20f, 1.0f, 300.0f, 1e30f, kInfinity}) {
    std::vector<float> x(48);
    for (float& value : x) value = uniform(prng) * factor;
    x[7] = factor;
    if (factor == 300.0f) x[3] = std::numeric_limits<float>::quiet_NaN();
    std::vector<std::uint8_t> own(48), truth(48);
    const float scale = kernels_.to_int8(x.data(), 48, own.data());
    EXPECT_EQ(scale, scalar_.to_int8(x.data(), 48, truth.data())) << factor;
    EXPECT_EQ(own, truth) << factor;
    ASSERT_TRUE(std::isfinite(scale));
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float value = scale * static_cast<std::int8_t>(own[i]);
      ASSERT_TRUE(std::isfinite(value));
      if (std::isnan(x[i])) continue;
      EXPECT_NEAR(value, std::clamp(x[i], -65504.0f, 65504.0f), scale * 0.501f + 1e-30f) << factor << " " << i;
    }
  }
}

struct AttentionCase {
  std::uint32_t head_dim, block_tokens, queries, keys;  // keys: of the last query; each query before sees one less
  std::uint32_t window = 0;
};

// One head's keys and values, queries, and the same as floats.
struct AttentionInput {
  AttentionInput(const KernelTable& kernels, const AttentionCase& c, Prng& prng) : shape(c) {
    const KvLayout layout{1, 1, c.head_dim, c.block_tokens, KvType::int8};
    const std::uint32_t blocks = (c.keys + c.block_tokens - 1) / c.block_tokens;
    memory.assign(blocks * layout.block_bytes(), 0xFF);  // scales that are not a number where no key is
    k.resize(std::size_t{c.keys} * c.head_dim);
    v.resize(k.size());
    for (float& x : k) x = uniform(prng) * 2;
    for (float& x : v) x = uniform(prng) * 2;
    for (std::uint32_t b = 0; b < blocks; ++b) table.push_back(memory.data() + b * layout.block_bytes());
    for (std::uint32_t key = 0; key < c.keys; ++key) {
      const std::size_t at = std::size_t{key} * c.head_dim;
      const std::uint32_t slot = key % c.block_tokens;
      std::uint8_t* block = memory.data() + key / c.block_tokens * layout.block_bytes();
      store_kv(kernels, layout, 0, slot, &k[at], &v[at], block);
      for (std::uint32_t d = 0; d < c.head_dim; ++d) {  // as they are now
        k[at + d] = value(block + layout.k_offset(0, 0), d * c.block_tokens + slot, layout.values_bytes(), slot);
        v[at + d] = value(block + layout.v_offset(0, 0), slot * c.head_dim + d, layout.values_bytes(), slot);
      }
    }
    q.resize(std::size_t{c.head_dim} * cpu::kQuerySlots);
    for (float& x : q) x = uniform(prng);
    for (std::uint32_t i = 0; i < c.queries; ++i)
      limits.push_back(std::max(1u, c.keys + i + 1 > c.queries ? c.keys + i + 1 - c.queries : 1));
    tile = {
        q.data(),       limits.data(), c.queries, c.window, table.data(), layout.k_offset(0, 0), layout.v_offset(0, 0),
        c.block_tokens, c.head_dim};
  }
  static float value(const std::uint8_t* values, std::size_t at, std::size_t scales, std::uint32_t slot) {
    float scale;
    std::memcpy(&scale, values + scales + slot * 4, 4);
    return scale * static_cast<std::int8_t>(values[at]);
  }
  std::uint32_t first_key(std::uint32_t query) const {
    return shape.window != 0 && limits[query] > shape.window ? limits[query] - shape.window : 0;
  }

  AttentionCase shape;
  std::vector<std::uint8_t> memory;
  std::vector<const std::uint8_t*> table;
  std::vector<float> k, v, q;
  std::vector<std::uint32_t> limits;
  cpu::AttentionTile tile;
};

std::vector<float> attend_all(const KernelTable& kernels, const AttentionInput& in) {
  const std::uint32_t dim = in.shape.head_dim;
  std::vector<float> state_out(cpu::kQueryTile * dim), next_out(cpu::kQueryTile * dim), out(in.shape.queries * dim);
  cpu::AttentionPartial state{{}, {}, state_out.data()}, next{{}, {}, next_out.data()};
  for (std::uint32_t s = in.first_key(0) / cpu::kSegmentTokens; s * cpu::kSegmentTokens < in.limits.back(); ++s) {
    kernels.attend[static_cast<std::size_t>(KvType::int8)](in.tile, s, next);
    kernels.fold(state, next, in.shape.queries, dim);
  }
  for (std::uint32_t i = 0; i < in.shape.queries; ++i) kernels.finish(state, i, dim, out.data() + i * dim);
  return out;
}

TEST_P(KvInt8Test, AttentionEqualsScalarAndTheTruth) {
  Prng prng(2);
  for (const AttentionCase& c :
       {AttentionCase{64, 32, 12, 300}, AttentionCase{64, 32, 3, 1}, AttentionCase{16, 16, 1, 128},
        AttentionCase{48, 64, 7, 129}, AttentionCase{128, 128, 8, 140}, AttentionCase{256, 16, 5, 33},
        AttentionCase{80, 32, 11, 257}, AttentionCase{96, 16, 4, 200}, AttentionCase{64, 32, 12, 300, 100},
        AttentionCase{16, 16, 5, 132, 3}, AttentionCase{112, 128, 9, 260, 1}}) {
    const AttentionInput in(scalar_, c, prng);
    const std::vector<float> own = attend_all(kernels_, in);
    ASSERT_EQ(bits_of(own), bits_of(attend_all(scalar_, in))) << c.head_dim << " " << c.keys;
    for (std::uint32_t i = 0; i < c.queries; ++i) {
      std::vector<double> out(c.head_dim);
      double sum = 0;
      for (std::uint32_t key = in.first_key(i); key < in.limits[i]; ++key) {
        const std::size_t at = std::size_t{key} * c.head_dim;
        double score = 0;
        for (std::uint32_t d = 0; d < c.head_dim; ++d) score += double{in.q[d * cpu::kQuerySlots + i]} * in.k[at + d];
        sum += std::exp(score);
        for (std::uint32_t d = 0; d < c.head_dim; ++d) out[d] += std::exp(score) * in.v[at + d];
      }
      for (std::uint32_t d = 0; d < c.head_dim; ++d)
        ASSERT_NEAR(own[i * c.head_dim + d], out[d] / sum, 1e-4) << i << " " << d;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Classes, KvInt8Test, ::testing::ValuesIn(available_kernel_classes()),
                         [](const auto& test) { return test.param; });

// A token's bytes are its own: the same whatever was in the block and in whatever order its tokens come.
TEST(KvStore, ATokensBytesAreItsOwn) {
  const KernelTable& kernels = *find_kernels("").value();
  for (const KvType type : {KvType::f16, KvType::int8}) {
    const KvLayout layout{2, 2, 48, 16, type};
    std::vector<std::uint8_t> forth(layout.block_bytes(), 0x00), back(layout.block_bytes(), 0xFF);
    Prng prng(3);
    std::vector<float> rows(std::size_t{2} * 16 * 2 * 96);  // (layer, token, [K, V], kv_heads * head_dim)
    for (float& x : rows) x = uniform(prng);
    const auto store = [&](std::uint32_t layer, std::uint32_t slot, std::vector<std::uint8_t>& block) {
      const float* k = rows.data() + (layer * 16 + slot) * std::size_t{2} * 96;
      store_kv(kernels, layout, layer, slot, k, k + 96, block.data());
    };
    for (std::uint32_t i = 0; i < 32; ++i) store(i / 16, i % 16, forth);
    for (std::uint32_t i = 32; i-- > 0;) store(i / 16, i % 16, back);
    EXPECT_EQ(forth, back);
  }
}

class Int8BackendTest : public ::testing::Test {
 protected:
  static BackendOptions options(const std::string& kernel_class, std::uint32_t threads, const char* kv_type = "int8") {
    BackendOptions o;
    o.kernel_class = kernel_class;
    o.threads = threads;
    o.pool_bytes = 4 << 20;
    o.kv_type = kv_type;
    return o;
  }
  testing::TempDir dir_;
};

TEST_F(Int8BackendTest, ChunksThreadsAndClassesGiveTheSameBitsNearTheReference) {
  testing::TinyModelSpec spec;
  spec.heads = 6, spec.kv_heads = 2, spec.head_dim = 48;
  const std::string path = testing::write_tiny_model(dir_ / "m.gguf", spec);
  const std::vector<TokenId> ids = testing::random_ids(300, spec.vocabulary, 8);
  const std::vector<float> truth =
      BackendDriver(path, options("", 1), BackendDriver::Kind::reference).prefill(ids, ids.size());
  std::string logits, kv;
  for (const std::string& kernel_class : available_kernel_classes())
    for (const std::size_t chunk : {1u, 37u, 300u}) {
      if (kernel_class == "scalar" && chunk == 1) continue;
      BackendDriver driver(path, options(kernel_class, chunk == 37 ? 3 : 1));
      const std::vector<float> own = driver.prefill(ids, chunk);
      if (logits.empty()) logits = bits_of(own), kv = driver.full_blocks(ids.size());
      EXPECT_EQ(bits_of(own), logits) << kernel_class << " " << chunk;
      EXPECT_EQ(driver.full_blocks(ids.size()), kv) << kernel_class << " " << chunk;
      EXPECT_LT(testing::relative_error(own, truth), 0.05) << kernel_class;
    }
}

TEST_F(Int8BackendTest, SaysWhatItKeepsAndRefusesOthers) {
  const std::string path = testing::write_tiny_model(dir_ / "m.gguf", {});
  const BackendDriver f16(path, options("", 1, "f16")), int8(path, options("", 1));
  EXPECT_NE(f16.info().kv_layout, int8.info().kv_layout);
  EXPECT_LT(int8.info().block_bytes, f16.info().block_bytes * 2 / 3);
  const std::unique_ptr<GgufFile> file = GgufFile::open(path).value();
  const auto refused = make_cpu_backend(*file, read_model_config(*file).value(), options("", 1, "int4"));
  EXPECT_EQ(refused.error().param, "kv_type");
}

}  // namespace
}  // namespace kvasir
