#include "engine/cpu/attention.h"

#include <algorithm>

#include "storage/base/ids.h"

namespace kvasir {

using cpu::kQuerySlots;
using cpu::kQueryTile;
using cpu::kSegmentTokens;

Attention::Attention(const cpu::KernelTable& kernels, ThreadPool& pool, KvLayout layout, std::uint32_t heads,
                     std::uint32_t window)
    : kernels_(kernels),
      pool_(pool),
      layout_(layout),
      group_(heads / layout.kv_heads),
      window_(window),
      inputs_(std::size_t{kTilesPerTask} * pool.threads()),
      outs_(pool.threads()) {
  for (AlignedBuffer<float>& out : outs_) out.reserve(std::size_t{kTilesPerTask + 1} * tile_floats());
}

void Attention::plan(std::span<const RowRun> runs) {
  runs_.assign(runs.begin(), runs.end());
  tasks_.clear();
  splits_.clear();
  partials_.clear();
  std::uint32_t segments = 0;  // of all tiles
  for (const RowRun& r : runs_)
    segments += (div_ceil(r.first_position + r.rows, kSegmentTokens) - first_segment(r, 0)) *
                div_ceil(r.rows * group_, kQueryTile);
  // Enough pieces for every thread, none under two segments.
  const std::uint32_t wanted = pool_.threads() * 4;
  const std::uint32_t split_segments = std::max(2u, div_ceil(segments * layout_.kv_heads, wanted));
  for (std::uint32_t i = 0; i < runs_.size(); ++i) plan_run(i, split_segments);
  partial_out_.reserve(partials_.size() * tile_floats());
  for (std::size_t i = 0; i < partials_.size(); ++i) partials_[i].out = partial_out_.data() + i * tile_floats();
  // The costly ones first, so that the threads end together.
  std::stable_sort(tasks_.begin(), tasks_.end(),
                   [](const Task& a, const Task& b) { return a.segments * a.queries > b.segments * b.queries; });
}

// The first that query `query` of a run sees something of.
std::uint32_t Attention::first_segment(const RowRun& run, std::uint32_t query) const {
  const std::uint32_t limit = run.first_position + query / group_ + 1;
  return window_ != 0 && limit > window_ ? (limit - window_) / kSegmentTokens : 0;
}

void Attention::plan_run(std::uint32_t run, std::uint32_t split_segments) {
  const RowRun& r = runs_[run];
  const std::uint32_t queries = r.rows * group_;
  const std::uint32_t begin = first_segment(r, 0), end = div_ceil(r.first_position + r.rows, kSegmentTokens);
  const std::uint32_t segments = end - begin;
  const bool split = queries <= kQueryTile && pool_.threads() > 1 && segments > split_segments;
  for (std::uint32_t head = 0; head < layout_.kv_heads; ++head) {
    if (split) {
      const auto first = static_cast<std::uint32_t>(partials_.size());
      for (std::uint32_t s = 0; s < segments; s += split_segments)
        tasks_.push_back({run, head, 0, queries, begin + s, std::min(split_segments, segments - s), first + s});
      partials_.resize(partials_.size() + segments);
      splits_.push_back({{run, head, 0, queries, begin, segments, first}, first});
      continue;
    }
    for (std::uint32_t q = 0; q < queries; q += kTilesPerTask * kQueryTile) {
      const std::uint32_t count = std::min(kTilesPerTask * kQueryTile, queries - q);
      const std::uint32_t last_position = r.first_position + (q + count - 1) / group_;
      const std::uint32_t from = first_segment(r, q);
      tasks_.push_back({run, head, q, count, from, last_position / kSegmentTokens + 1 - from, kWhole});
    }
  }
}

void Attention::fill_tile(const Task& task, std::uint32_t tile, std::uint32_t layer, const float* q,
                          std::size_t q_stride, TileInput& input) const {
  const RowRun& run = runs_[task.run];
  const std::uint32_t first = task.first_query + tile * kQueryTile;
  const std::uint32_t queries = std::min(kQueryTile, task.first_query + task.queries - first);
  for (std::uint32_t i = 0; i < queries; ++i) {
    const std::uint32_t row = (first + i) / group_, head = task.kv_head * group_ + (first + i) % group_;
    const float* from = q + (run.first_row + row) * q_stride + head * layout_.head_dim;
    for (std::uint32_t d = 0; d < layout_.head_dim; ++d) input.q[d * kQuerySlots + i] = from[d];
    input.limits[i] = run.first_position + row + 1;
  }
  input.tile = {input.q,
                input.limits,
                queries,
                window_,
                run.blocks.data(),
                layout_.k_offset(layer, task.kv_head),
                layout_.v_offset(layer, task.kv_head),
                layout_.block_tokens,
                layout_.head_dim};
}

void Attention::run(std::uint32_t layer, const float* q, std::size_t q_stride, float* out, std::size_t out_stride) {
  pool_.run(static_cast<std::uint32_t>(tasks_.size()), [&](std::uint32_t i, std::uint32_t thread) {
    if (tasks_[i].partial == kWhole)
      run_whole(tasks_[i], layer, q, q_stride, out, out_stride, thread);
    else
      run_segments(tasks_[i], layer, q, q_stride, thread);
  });
  for (const Split& split : splits_) merge(split, out, out_stride);
}

void Attention::run_whole(const Task& task, std::uint32_t layer, const float* q, std::size_t q_stride, float* out,
                          std::size_t out_stride, std::uint32_t thread) {
  const std::uint32_t tiles = div_ceil(task.queries, kQueryTile);
  TileInput* inputs = &inputs_[std::size_t{thread} * kTilesPerTask];
  float* memory = outs_[thread].data();
  cpu::AttentionPartial states[kTilesPerTask];
  cpu::AttentionPartial next;
  next.out = memory + std::size_t{kTilesPerTask} * tile_floats();
  for (std::uint32_t t = 0; t < tiles; ++t) {
    fill_tile(task, t, layer, q, q_stride, inputs[t]);
    states[t].out = memory + std::size_t{t} * tile_floats();
    std::fill_n(states[t].sum, kQueryTile, 0.0f);
  }
  for (std::uint32_t s = task.first_segment; s < task.first_segment + task.segments; ++s)
    for (std::uint32_t t = 0; t < tiles; ++t) {
      const cpu::AttentionTile& tile = inputs[t].tile;
      if (tile.limits[tile.queries - 1] <= s * kSegmentTokens) continue;
      if (s < first_segment(runs_[task.run], task.first_query + t * kQueryTile)) continue;
      kernels_.attend[static_cast<std::uint32_t>(layout_.type)](tile, s, next);
      kernels_.fold(states[t], next, tile.queries, layout_.head_dim);
    }
  for (std::uint32_t t = 0; t < tiles; ++t) finish_tile(task, t, states[t], out, out_stride);
}

void Attention::run_segments(const Task& task, std::uint32_t layer, const float* q, std::size_t q_stride,
                             std::uint32_t thread) {
  TileInput& input = inputs_[std::size_t{thread} * kTilesPerTask];
  fill_tile(task, 0, layer, q, q_stride, input);
  for (std::uint32_t i = 0; i < task.segments; ++i)
    kernels_.attend[static_cast<std::uint32_t>(layout_.type)](input.tile, task.first_segment + i,
                                                              partials_[task.partial + i]);
}

void Attention::merge(const Split& split, float* out, std::size_t out_stride) {
  cpu::AttentionPartial& state = partials_[split.first_partial];
  for (std::uint32_t s = 1; s < split.whole.segments; ++s)
    kernels_.fold(state, partials_[split.first_partial + s], split.whole.queries, layout_.head_dim);
  finish_tile(split.whole, 0, state, out, out_stride);
}

void Attention::finish_tile(const Task& task, std::uint32_t tile, const cpu::AttentionPartial& state, float* out,
                            std::size_t out_stride) const {
  const RowRun& run = runs_[task.run];
  const std::uint32_t first = task.first_query + tile * kQueryTile;
  const std::uint32_t queries = std::min(kQueryTile, task.first_query + task.queries - first);
  for (std::uint32_t i = 0; i < queries; ++i) {
    const std::uint32_t row = (first + i) / group_, head = task.kv_head * group_ + (first + i) % group_;
    kernels_.finish(state, i, layout_.head_dim, out + (run.first_row + row) * out_stride + head * layout_.head_dim);
  }
}

}  // namespace kvasir
