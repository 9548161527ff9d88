#include "engine/cpu/attention.h"

#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/cpu/kernel_dispatch.h"
#include "engine/cpu/kv_store.h"
#include "storage/base/ids.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

using cpu::KvType;

float uniform(Prng& prng) { return static_cast<float>(prng.below(2001)) / 1000.0f - 1.0f; }

// Blocks of keys and values that a sequence's tokens might have left there.
class Blocks {
 public:
  Blocks(const cpu::KernelTable& kernels, const KvLayout& layout, std::uint64_t seed)
      : kernels_(kernels), layout_(layout), prng_(seed) {}

  const std::uint8_t* make() {
    blocks_.push_back(std::make_unique<std::uint8_t[]>(layout_.block_bytes()));
    std::uint8_t* block = blocks_.back().get();
    std::vector<float> k(std::size_t{layout_.kv_heads} * layout_.head_dim), v(k.size());
    for (std::uint32_t layer = 0; layer < layout_.layers; ++layer)
      for (std::uint32_t slot = 0; slot < layout_.block_tokens; ++slot) {
        for (float& x : k) x = uniform(prng_);
        for (float& x : v) x = uniform(prng_);
        store_kv(kernels_, layout_, layer, slot, k.data(), v.data(), block);
      }
    return block;
  }

 private:
  const cpu::KernelTable& kernels_;
  const KvLayout layout_;
  Prng prng_;
  std::vector<std::unique_ptr<std::uint8_t[]>> blocks_;
};

// Sequences of one step. Each begins as one before it does, up to some block, or with blocks of its own.
struct Step {
  std::vector<std::vector<const std::uint8_t*>> tables;
  std::vector<RowRun> runs;

  std::uint32_t rows() const { return runs.back().first_row + runs.back().rows; }
};

Step random_step(Blocks& blocks, std::uint32_t block_tokens, std::uint32_t sequences, Prng& prng) {
  Step step;
  step.tables.reserve(sequences);
  std::uint32_t first_row = 0;
  for (std::uint32_t s = 0; s < sequences; ++s) {
    const auto position = static_cast<std::uint32_t>(prng.below(prng.below(4) == 0 ? 40 : 900));
    const auto rows = static_cast<std::uint32_t>(prng.below(3) == 0 ? 1 + prng.below(70) : 1);
    std::vector<const std::uint8_t*> table;
    if (s > 0 && prng.below(5) != 0) {  // whole blocks before its first row
      const auto& like = step.tables[prng.below(s)];
      const std::size_t most = std::min<std::size_t>(like.size() - 1, position / block_tokens);
      table.assign(like.begin(), like.begin() + static_cast<std::ptrdiff_t>(prng.below(most + 1)));
      if (prng.below(2) == 0) table.assign(like.begin(), like.begin() + static_cast<std::ptrdiff_t>(most));
    }
    while (table.size() * block_tokens < position + rows) table.push_back(blocks.make());
    step.tables.push_back(std::move(table));
    step.runs.push_back({first_row, rows, position, step.tables.back()});
    first_row += rows;
  }
  return step;
}

struct Shape {
  std::uint32_t heads, kv_heads, head_dim, block_tokens, window;
};

class AttentionTest : public ::testing::TestWithParam<std::tuple<Shape, KvType>> {};

// What runs share changes no bit, for any number of threads.
TEST_P(AttentionTest, RunsTogetherAreAsAlone) {
  const auto& [shape, type] = GetParam();
  const cpu::KernelTable& kernels = *find_kernels("").value();
  const KvLayout layout{2, shape.kv_heads, shape.head_dim, shape.block_tokens, type};
  const std::size_t width = std::size_t{shape.heads} * shape.head_dim;
  ThreadPool alone(1);
  Prng prng(shape.heads * 1000 + shape.head_dim + shape.window);
  for (std::uint32_t round = 0; round < 6; ++round) {
    Blocks blocks(kernels, layout, round);
    const Step step = random_step(blocks, shape.block_tokens, 2 + round * 4, prng);
    std::vector<float> q(step.rows() * width);
    for (float& x : q) x = uniform(prng) * 0.5f;
    std::vector<float> expected(q.size());
    Attention single(kernels, alone, layout, shape.heads, shape.window);
    for (const RowRun& run : step.runs) {
      single.plan(std::span(&run, 1));
      single.run(1, q.data(), width, expected.data(), width);
    }
    for (const std::uint32_t threads : {1u, 2u, 5u}) {
      ThreadPool pool(threads);
      Attention together(kernels, pool, layout, shape.heads, shape.window);
      together.plan(step.runs);
      std::vector<float> out(q.size());
      together.run(0, q.data(), width, out.data(), width);  // a layer before: what it leaves is not in the way
      together.run(1, q.data(), width, out.data(), width);
      ASSERT_EQ(std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)), 0)
          << "round " << round << ", " << threads << " threads";
    }
  }
}

std::string case_name(const ::testing::TestParamInfo<std::tuple<Shape, KvType>>& test) {
  const Shape& s = std::get<0>(test.param);
  return std::to_string(s.heads) + "x" + std::to_string(s.kv_heads) + "x" + std::to_string(s.head_dim) + "_blocks" +
         std::to_string(s.block_tokens) + "_window" + std::to_string(s.window) +
         (std::get<1>(test.param) == KvType::int8 ? "_int8" : "_f16");
}

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionTest,
                         ::testing::Combine(::testing::Values(Shape{9, 3, 64, 32, 0}, Shape{4, 1, 16, 16, 0},
                                                              Shape{2, 2, 80, 128, 0}, Shape{14, 2, 32, 64, 0},
                                                              Shape{9, 3, 64, 32, 300}, Shape{4, 4, 16, 16, 64}),
                                            ::testing::Values(KvType::f16, KvType::int8)),
                         case_name);

// ---- the plan
// --------------------------------------------------------------------------------------------------------

// Addresses that nothing reads.
const std::uint8_t* address(std::uint32_t id) { return reinterpret_cast<const std::uint8_t*>(std::uintptr_t{id} + 1); }

// Segments of keys that all tasks read together.
std::uint32_t segments_read(const AttentionPlan& plan) {
  std::uint32_t sum = 0;
  for (std::uint32_t level = 0; level < plan.levels(); ++level)
    for (const AttentionPlan::Task& task : plan.level(level)) sum += task.segments;
  return sum;
}

// Decodes at `tokens`, of which the first `shared` are the same blocks.
Step decodes(std::uint32_t count, std::uint32_t shared, std::uint32_t tokens) {
  Step step;
  step.tables.resize(count);
  for (std::uint32_t s = 0; s < count; ++s) {
    for (std::uint32_t b = 0; b * 32 < tokens; ++b)
      step.tables[s].push_back(address(b < shared / 32 ? b : 1000 * (s + 1) + b));
    step.runs.push_back({s, 1, tokens - 1, step.tables[s]});
  }
  return step;
}

TEST(AttentionPlan, WhatManyShareIsReadOnce) {
  AttentionPlan plan({.kv_heads = 3, .group = 3, .block_tokens = 32, .window = 0, .threads = 1});
  for (const std::uint32_t prefix : {1024u, 4096u}) {
    plan.make(decodes(1, prefix, prefix + 40).runs);
    EXPECT_EQ(segments_read(plan), 3 * (prefix / 128 + 1));
    EXPECT_EQ(plan.states(), 0u);
    plan.make(decodes(8, prefix, prefix + 40).runs);  // 24 queries a head: two tiles, which pass over the keys together
    EXPECT_EQ(plan.levels(), 2u);
    EXPECT_EQ(plan.states(), 8u);
    EXPECT_LE(segments_read(plan), 3 * (2 * prefix / 128 + 8));
    plan.make(decodes(64, prefix, prefix + 40).runs);
    EXPECT_LE(segments_read(plan), 3 * (16 * prefix / 128 + 64));
  }
}

TEST(AttentionPlan, LessThanASegmentIsNotShared) {
  AttentionPlan plan({.kv_heads = 1, .group = 1, .block_tokens = 32, .window = 0, .threads = 1});
  plan.make(decodes(4, 96, 300).runs);
  EXPECT_EQ(plan.levels(), 1u);
  EXPECT_EQ(plan.states(), 0u);
  plan.make(decodes(4, 128, 300).runs);
  EXPECT_EQ(plan.levels(), 2u);
  EXPECT_EQ(segments_read(plan), 1u + 4 * 2);
}

TEST(AttentionPlan, WhatIsBeforeAllWindowsIsLeftOut) {
  AttentionPlan plan({.kv_heads = 1, .group = 1, .block_tokens = 32, .window = 256, .threads = 1});
  plan.make(decodes(4, 1024, 2048).runs);
  EXPECT_EQ(plan.levels(), 1u);
  EXPECT_EQ(segments_read(plan), 4u * 2);
  plan.make(decodes(4, 1024, 1040).runs);  // keys 784 to 1,039: segments 6 and 7, and 8 of their own
  EXPECT_EQ(segments_read(plan), 2u + 4);
}

// Every query's segments are in tasks exactly once, in the order of levels.
TEST(AttentionPlan, EverySegmentOnce) {
  Prng prng(3);
  for (std::uint32_t round = 0; round < 50; ++round) {
    const std::uint32_t window = round % 3 == 0 ? 200 : 0, threads = 1 + round % 4;
    AttentionPlan plan({.kv_heads = 2, .group = 3, .block_tokens = 16, .window = window, .threads = threads});
    Step step;
    step.tables.resize(12);
    std::uint32_t first_row = 0;
    for (std::uint32_t s = 0; s < 12; ++s) {
      const auto position = static_cast<std::uint32_t>(prng.below(1000)),
                 rows = static_cast<std::uint32_t>(1 + prng.below(60));
      const auto shared = static_cast<std::uint32_t>(prng.below(position / 16 + 1));
      for (std::uint32_t b = 0; b * 16 < position + rows; ++b)
        step.tables[s].push_back(address(b < shared ? b : 1000 * (s + 1) + b));
      step.runs.push_back({first_row, rows, position, step.tables[s]});
      first_row += rows;
    }
    plan.make(step.runs);
    std::vector<std::vector<std::uint32_t>> seen(std::size_t{first_row} * 6);  // (row, head) segments
    for (std::uint32_t level = 0; level < plan.levels(); ++level) {
      for (const AttentionPlan::Task& task : plan.level(level)) {
        if (task.split != AttentionPlan::kWhole && task.partial != plan.splits()[task.split].whole.partial) continue;
        const AttentionPlan::Task& whole = task.split == AttentionPlan::kWhole ? task : plan.splits()[task.split].whole;
        for (std::uint32_t q = whole.first_query; q < whole.first_query + whole.queries; ++q) {
          const AttentionPlan::Row& row = plan.rows()[whole.first_row + q / 3];
          auto& segments = seen[std::size_t{row.row} * 6 + whole.kv_head * 3 + q % 3];
          for (std::uint32_t s = whole.first_segment; s < whole.first_segment + whole.segments; ++s)
            if (s * 128 < row.limit && s >= plan.first_segment(row.limit)) segments.push_back(s);
        }
      }
    }
    for (const RowRun& run : step.runs)
      for (std::uint32_t i = 0; i < run.rows * 6; ++i) {
        const std::uint32_t limit = run.first_position + i / 6 + 1, from = plan.first_segment(limit);
        std::vector<std::uint32_t> expected(div_ceil(limit, 128u) - from);
        std::iota(expected.begin(), expected.end(), from);
        ASSERT_EQ(seen[run.first_row * std::size_t{6} + i], expected) << "round " << round;
      }
  }
}

}  // namespace
}  // namespace kvasir
