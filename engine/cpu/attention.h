#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/cpu/aligned_buffer.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/kv_layout.h"
#include "engine/cpu/thread_pool.h"

namespace kvasir {

// A run of rows of one sequence within a step.
struct RowRun {
  std::uint32_t first_row = 0;  // in the step's row buffers
  std::uint32_t rows = 0;
  std::uint32_t first_position = 0;             // of first_row
  std::span<const std::uint8_t* const> blocks;  // the sequence's block table
};

// Causal attention of a step's rows over paged KV. Query vectors that read the same K/V head (the rows of a run times
// the query heads of a group) are taken 12 at a time, several such tiles pass over one segment of keys while it is in
// L1. Long single rows are cut into segments instead, computed by several threads and merged in order; a result does
// not depend on which of the two happened. With a window a query sees only the last keys, and segments before it are
// left out; segments are of absolute positions all the same.
class Attention {
 public:
  // `window` tokens that a query sees, itself the last; 0: all.
  Attention(const cpu::KernelTable& kernels, ThreadPool& pool, KvLayout layout, std::uint32_t heads,
            std::uint32_t window);

  // How the work is cut; the same for every layer of a step that has this window.
  void plan(std::span<const RowRun> runs);
  // out(row, heads * head_dim) from q(row, ...), q scaled already; row distances in floats.
  void run(std::uint32_t layer, const float* q, std::size_t q_stride, float* out, std::size_t out_stride);

 private:
  struct Task {
    std::uint32_t run, kv_head;
    std::uint32_t first_query, queries;  // query i: row i / group of the run, head kv_head * group + i % group
    std::uint32_t first_segment, segments;
    std::uint32_t partial;  // first slot of partials_, where each segment's goes; kWhole: all segments here
  };
  struct Split {  // one query tile cut by segments: its partials lie one after the other
    Task whole;
    std::uint32_t first_partial;
  };
  struct TileInput {
    cpu::AttentionTile tile;
    std::uint32_t limits[cpu::kQueryTile];
    alignas(64) float q[cpu::kHeadDimMax * cpu::kQuerySlots];
  };
  static constexpr std::uint32_t kWhole = ~0u;
  static constexpr std::uint32_t kTilesPerTask = 8;

  std::uint32_t first_segment(const RowRun& run, std::uint32_t query) const;
  void plan_run(std::uint32_t run, std::uint32_t split_segments);
  void fill_tile(const Task& task, std::uint32_t tile, std::uint32_t layer, const float* q, std::size_t q_stride,
                 TileInput& input) const;
  void run_whole(const Task& task, std::uint32_t layer, const float* q, std::size_t q_stride, float* out,
                 std::size_t out_stride, std::uint32_t thread);
  void run_segments(const Task& task, std::uint32_t layer, const float* q, std::size_t q_stride, std::uint32_t thread);
  void merge(const Split& split, float* out, std::size_t out_stride);
  void finish_tile(const Task& task, std::uint32_t tile, const cpu::AttentionPartial& state, float* out,
                   std::size_t out_stride) const;
  std::uint32_t tile_floats() const { return cpu::kQueryTile * layout_.head_dim; }

  const cpu::KernelTable& kernels_;
  ThreadPool& pool_;
  const KvLayout layout_;
  const std::uint32_t group_, window_;
  std::vector<RowRun> runs_;
  std::vector<Task> tasks_;
  std::vector<Split> splits_;
  std::vector<cpu::AttentionPartial> partials_;
  AlignedBuffer<float> partial_out_;
  std::vector<TileInput> inputs_;           // kTilesPerTask a thread
  std::vector<AlignedBuffer<float>> outs_;  // kTilesPerTask + 1 tiles a thread
};

}  // namespace kvasir
