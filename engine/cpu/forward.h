#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/cpu/attention.h"
#include "engine/cpu/kv_layout.h"
#include "engine/cpu/matmul.h"
#include "engine/cpu/packed_model.h"
#include "engine/model/rope.h"
#include "storage/base/ids.h"

namespace kvasir {

// Some consecutive tokens of one sequence. `blocks` holds the addresses of its blocks up to the last token's.
struct ForwardRun {
  std::span<const TokenId> ids;
  std::uint32_t first_position = 0;  // of ids[0]
  std::span<std::uint8_t* const> blocks;
};

// The transformer over rows of many sequences: writes their KV, leaves their last hidden states, turns those into
// logits where asked. Called by one thread; works on the pool's. Its scratch memory grows with the rows of a call.
class Forward {
 public:
  Forward(const PackedModel& model, const cpu::KernelTable& kernels, ThreadPool& pool, const KvLayout& layout);

  // Computes all rows, those of runs[0] first. A row's bits depend on its sequence alone.
  void run(std::span<const ForwardRun> runs);
  // Logits of some rows of the last run(): (rows, logits_stride()), the first `vocabulary` of each row. Valid until the
  // next call.
  const float* logits(std::span<const std::uint32_t> rows);
  std::size_t logits_stride() const { return std::size_t{model_.output.panels()} * cpu::kPanelColumns; }

 private:
  // A row's cosines and sines, as the kernel of the model's pairing reads them.
  struct Angles {
    const float *cosines, *sines;
  };

  void embed(std::span<const ForwardRun> runs);
  void plan(std::span<const ForwardRun> runs);
  void spread_angles(std::span<const ForwardRun> runs);
  void attention_block(std::uint32_t layer, std::span<const ForwardRun> runs);
  void feed_forward_block(const PackedLayer& layer);
  void normalize(const std::vector<float>& weight);  // x_ into hidden_in_
  // x_ += post_norm(in . matrix + bias); bias and norm may be empty.
  void add_product(const Activations& in, const PackedMatrix& matrix, const std::vector<float>& bias,
                   const std::vector<float>& post_norm);
  void rotate_and_store(std::uint32_t layer, std::span<const ForwardRun> runs);
  // Bias, norm of each head, RoPE and scale of one row's queries or keys.
  void finish_heads(float* x, std::uint32_t heads, const std::vector<float>& bias, const std::vector<float>& norm,
                    Angles angles, float scale) const;
  Angles angles(bool local, std::uint32_t row, std::uint32_t position) const;
  void store_kv(std::uint32_t layer, const ForwardRun& run, std::uint32_t index, const float* k, const float* v);
  template <class RowTask>
  void for_rows(RowTask&& task, std::uint32_t step = cpu::kTileRows);  // in parallel, `step` rows a time

  const RopeTable& rope_table(bool local) const { return local ? *local_rope_ : rope_; }
  std::size_t angles_at(bool local, std::uint32_t row) const {
    return (std::size_t{local ? rows_ : 0} + row) * config_.head_dim;
  }

  const PackedModel& model_;
  const ModelConfig& config_;
  const cpu::KernelTable& kernels_;
  ThreadPool& pool_;
  const KvLayout layout_;
  Attention attention_, local_attention_;
  RopeTable rope_;                       // plan() extends them to the positions that there are
  std::optional<RopeTable> local_rope_;  // of a model with layers that have a window
  std::uint32_t rows_ = 0;
  std::vector<RowRun> row_runs_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> places_;              // (rows) run, index in it
  const std::size_t q_columns_, kv_columns_, hidden_columns_, ffn_columns_;  // rounded up to whole panels
  AlignedBuffer<float> x_, normalized_, q_, k_, v_, attended_, gated_, selected_, logits_;
  AlignedBuffer<float> cosines_, sines_;  // ([global, local], rows, head_dim) for adjacent pairs
  Activations hidden_in_, attended_in_, gated_in_, output_in_;
};

}  // namespace kvasir
