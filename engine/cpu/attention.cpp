#include "engine/cpu/attention.h"

#include <algorithm>
#include <atomic>

#include <xmmintrin.h>

#include "storage/base/ids.h"

namespace kvasir {

using cpu::kQuerySlots;
using cpu::kQueryTile;
using cpu::kSegmentTokens;

namespace {

constexpr std::uint32_t kTilesPerTask = AttentionPlan::kTilesPerTask;

std::uint32_t tiles_of(const AttentionPlan::Task& task) { return div_ceil(task.queries, kQueryTile); }

std::uint32_t queries_of(const AttentionPlan::Task& task, std::uint32_t tile) {
  return std::min(kQueryTile, task.queries - tile * kQueryTile);
}

// Four vectors as columns: out[d][0..3].
void interleave(const float* const* from, std::uint32_t count, float* out) {
  for (std::uint32_t d = 0; d < count; d += 4) {
    __m128 a = _mm_loadu_ps(from[0] + d), b = _mm_loadu_ps(from[1] + d);
    __m128 c = _mm_loadu_ps(from[2] + d), e = _mm_loadu_ps(from[3] + d);
    _MM_TRANSPOSE4_PS(a, b, c, e);
    _mm_store_ps(out + (d + 0) * kQuerySlots, a);
    _mm_store_ps(out + (d + 1) * kQuerySlots, b);
    _mm_store_ps(out + (d + 2) * kQuerySlots, c);
    _mm_store_ps(out + (d + 3) * kQuerySlots, e);
  }
}

}  // namespace

Attention::Attention(const cpu::KernelTable& kernels, ThreadPool& pool, KvLayout layout, std::uint32_t heads,
                     std::uint32_t window)
    : kernels_(kernels),
      attend_(kernels.attend[static_cast<std::size_t>(layout.type)]),
      pool_(pool),
      layout_(layout),
      group_(heads / layout.kv_heads),
      window_(window),
      plan_({layout.kv_heads, group_, layout.block_tokens, window, pool.threads()}),
      inputs_(std::size_t{kTilesPerTask} * pool.threads()),
      outs_(pool.threads()) {
  for (AlignedBuffer<float>& out : outs_) out.reserve(std::size_t{kTilesPerTask + 1} * tile_floats());
}

void Attention::plan(std::span<const RowRun> runs) {
  plan_.make(runs);
  unfinished_.clear();
  for (const Split& split : plan_.splits()) unfinished_.push_back(split.tasks);
  partials_.resize(plan_.partials());
  partial_out_.reserve(partials_.size() * tile_floats());
  for (std::size_t i = 0; i < partials_.size(); ++i) partials_[i].out = partial_out_.data() + i * tile_floats();
  const std::size_t states = std::size_t{plan_.states()} * heads();
  state_maximum_.resize(states);
  state_sum_.resize(states);
  state_out_.reserve(states * layout_.head_dim);
}

void Attention::run(std::uint32_t layer, const float* q, std::size_t q_stride, float* out, std::size_t out_stride) {
  const Rows rows{layer, q, q_stride, out, out_stride};
  for (std::uint32_t level = 0; level < plan_.levels(); ++level) {
    const std::span<const Task> tasks = plan_.level(level);
    pool_.run(static_cast<std::uint32_t>(tasks.size()), [&](std::uint32_t i, std::uint32_t thread) {
      if (tasks[i].split == AttentionPlan::kWhole)
        run_whole(tasks[i], rows, thread);
      else
        run_segments(tasks[i], rows, thread);
    });
  }
}

void Attention::fill_tile(const Task& task, std::uint32_t tile, const Rows& rows, TileInput& input) const {
  const std::uint32_t queries = queries_of(task, tile);
  const float* from[kQuerySlots];
  for (std::uint32_t i = 0; i < queries; ++i) {
    const std::uint32_t query = task.first_query + tile * kQueryTile + i;
    const AttentionPlan::Row& row = row_of(task, query);
    from[i] = rows.q + row.row * rows.q_stride + head_of(task, query) * layout_.head_dim;
    input.limits[i] = row.limit;
  }
  for (std::uint32_t i = queries; i % 4 != 0; ++i) from[i] = from[0];  // slots that nothing reads
  for (std::uint32_t i = 0; i < queries; i += 4) interleave(from + i, layout_.head_dim, input.q + i);
  input.tile = {input.q,
                input.limits,
                queries,
                window_,
                task.blocks,
                layout_.k_offset(rows.layer, task.kv_head),
                layout_.v_offset(rows.layer, task.kv_head),
                layout_.block_tokens,
                layout_.head_dim};
}

void Attention::run_whole(const Task& task, const Rows& rows, std::uint32_t thread) {
  const std::uint32_t tiles = tiles_of(task);
  TileInput* inputs = &inputs_[std::size_t{thread} * kTilesPerTask];
  float* memory = outs_[thread].data();
  cpu::AttentionPartial states[kTilesPerTask];
  cpu::AttentionPartial next;
  next.out = memory + std::size_t{kTilesPerTask} * tile_floats();
  for (std::uint32_t t = 0; t < tiles; ++t) {
    fill_tile(task, t, rows, inputs[t]);
    states[t].out = memory + std::size_t{t} * tile_floats();
    begin_tile(task, t, states[t]);
  }
  for (std::uint32_t s = task.first_segment; s < task.first_segment + task.segments; ++s)
    for (std::uint32_t t = 0; t < tiles; ++t) {
      const cpu::AttentionTile& tile = inputs[t].tile;
      if (tile.limits[tile.queries - 1] <= s * kSegmentTokens || s < plan_.first_segment(tile.limits[0])) continue;
      attend_(tile, s, next);
      kernels_.fold(states[t], next, tile.queries, layout_.head_dim);
    }
  for (std::uint32_t t = 0; t < tiles; ++t) end_tile(task, t, states[t], rows);
}

void Attention::run_segments(const Task& task, const Rows& rows, std::uint32_t thread) {
  TileInput& input = inputs_[std::size_t{thread} * kTilesPerTask];
  fill_tile(task, 0, rows, input);
  for (std::uint32_t i = 0; i < task.segments; ++i)
    attend_(input.tile, task.first_segment + i, partials_[task.partial + i]);
  const Split& split = plan_.splits()[task.split];
  const std::atomic_ref<std::uint32_t> unfinished(unfinished_[task.split]);
  if (unfinished.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  unfinished.store(split.tasks, std::memory_order_relaxed);  // for the next layer
  merge(split, rows, thread);
}

void Attention::merge(const Split& split, const Rows& rows, std::uint32_t thread) {
  cpu::AttentionPartial state;
  state.out = outs_[thread].data();
  begin_tile(split.whole, 0, state);
  for (std::uint32_t s = 0; s < split.whole.segments; ++s)
    kernels_.fold(state, partials_[split.whole.partial + s], split.whole.queries, layout_.head_dim);
  end_tile(split.whole, 0, state, rows);
}

void Attention::begin_tile(const Task& task, std::uint32_t tile, cpu::AttentionPartial& state) const {
  for (std::uint32_t i = 0; i < queries_of(task, tile); ++i) {
    state.sum[i] = state.maximum[i] = 0.0f;
    if (!task.resumes) continue;
    const std::size_t at = state_of(task, task.first_query + tile * kQueryTile + i);
    state.maximum[i] = state_maximum_[at];
    state.sum[i] = state_sum_[at];
    std::copy_n(state_out_.data() + at * layout_.head_dim, layout_.head_dim, state.out + i * layout_.head_dim);
  }
}

void Attention::end_tile(const Task& task, std::uint32_t tile, const cpu::AttentionPartial& state, const Rows& rows) {
  for (std::uint32_t i = 0; i < queries_of(task, tile); ++i) {
    const std::uint32_t query = task.first_query + tile * kQueryTile + i;
    if (task.suspends) {
      const std::size_t at = state_of(task, query);
      state_maximum_[at] = state.maximum[i];
      state_sum_[at] = state.sum[i];
      std::copy_n(state.out + i * layout_.head_dim, layout_.head_dim, state_out_.data() + at * layout_.head_dim);
    } else {
      float* out = rows.out + row_of(task, query).row * rows.out_stride + head_of(task, query) * layout_.head_dim;
      kernels_.finish(state, i, layout_.head_dim, out);
    }
  }
}

}  // namespace kvasir
