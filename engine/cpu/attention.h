#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/cpu/aligned_buffer.h"
#include "engine/cpu/attention_plan.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/kv_layout.h"
#include "engine/cpu/thread_pool.h"

namespace kvasir {

// Causal attention of a step's rows over paged KV. Query vectors that read the same K/V head are taken 12 at a time,
// several such tiles pass over one segment of keys while it is in L1. AttentionPlan says which rows those are: rows of
// one run, or of several runs whose sequences begin with the same blocks. A query's segments are folded in order
// whichever tasks they were in, so its bits depend on nothing but its keys.
class Attention {
 public:
  // `window` tokens that a query sees, itself the last; 0: all.
  Attention(const cpu::KernelTable& kernels, ThreadPool& pool, KvLayout layout, std::uint32_t heads,
            std::uint32_t window);

  // How the work is cut; the same for every layer of a step that has this window. The runs' block tables stay valid
  // until the last run() of the step.
  void plan(std::span<const RowRun> runs);
  // out(row, heads * head_dim) from q(row, ...), q scaled already; row distances in floats.
  void run(std::uint32_t layer, const float* q, std::size_t q_stride, float* out, std::size_t out_stride);

 private:
  using Task = AttentionPlan::Task;
  using Split = AttentionPlan::Split;

  // What run() was called with.
  struct Rows {
    std::uint32_t layer;
    const float* q;
    std::size_t q_stride;
    float* out;
    std::size_t out_stride;
  };
  struct TileInput {
    cpu::AttentionTile tile;
    std::uint32_t limits[cpu::kQueryTile];
    alignas(64) float q[cpu::kHeadDimMax * cpu::kQuerySlots];
  };

  void fill_tile(const Task& task, std::uint32_t tile, const Rows& rows, TileInput& input) const;
  void run_whole(const Task& task, const Rows& rows, std::uint32_t thread);
  void run_segments(const Task& task, const Rows& rows, std::uint32_t thread);
  // Folds the partials of a split's tasks, all of which are there.
  void merge(const Split& split, const Rows& rows, std::uint32_t thread);
  // A tile's state before its first segment, and what becomes of it after the last.
  void begin_tile(const Task& task, std::uint32_t tile, cpu::AttentionPartial& state) const;
  void end_tile(const Task& task, std::uint32_t tile, const cpu::AttentionPartial& state, const Rows& rows);

  std::uint32_t tile_floats() const { return cpu::kQueryTile * layout_.head_dim; }
  std::uint32_t heads() const { return layout_.kv_heads * group_; }
  // Row and head of a task's query.
  const AttentionPlan::Row& row_of(const Task& task, std::uint32_t query) const {
    return plan_.rows()[task.first_row + query / group_];
  }
  std::uint32_t head_of(const Task& task, std::uint32_t query) const { return task.kv_head * group_ + query % group_; }
  std::size_t state_of(const Task& task, std::uint32_t query) const {
    return std::size_t{row_of(task, query).state} * heads() + head_of(task, query);
  }

  const cpu::KernelTable& kernels_;
  void (*const attend_)(const cpu::AttentionTile&, std::uint32_t, cpu::AttentionPartial&);  // of the KV's type
  ThreadPool& pool_;
  const KvLayout layout_;
  const std::uint32_t group_, window_;
  AttentionPlan plan_;
  std::vector<std::uint32_t> unfinished_;  // (splits) tasks; the thread that ends the last one merges
  std::vector<cpu::AttentionPartial> partials_;
  AlignedBuffer<float> partial_out_;
  // Of queries whose segments are in tasks of several levels: (state, head) maximum, sum, and head_dim floats.
  std::vector<float> state_maximum_, state_sum_;
  AlignedBuffer<float> state_out_;
  std::vector<TileInput> inputs_;           // kTilesPerTask a thread
  std::vector<AlignedBuffer<float>> outs_;  // kTilesPerTask + 1 tiles a thread
};

}  // namespace kvasir
