#include "engine/cpu/forward.h"

#include <algorithm>

#include "engine/cpu/kv_store.h"
#include "storage/base/assert.h"

namespace kvasir {
namespace {

using cpu::kPanelColumns;
using cpu::kTileRows;

constexpr std::uint32_t kInlineRows = 2;  // so few that starting threads costs more than it saves

// Plain loops: one addition an element, the same in every kernel class.
void add_to(float* x, const std::vector<float>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) x[i] += values[i];
}

void scale_by(float* x, std::size_t count, float scale) {
  if (scale == 1.0f) return;
  for (std::size_t i = 0; i < count; ++i) x[i] *= scale;
}

std::optional<RopeTable> local_rope_of(const ModelConfig& config) {
  if (config.sliding_window == 0) return std::nullopt;
  return RopeTable(config.local_rope, config.rope_dim, {}, 0);
}

std::size_t whole_panels(std::size_t columns) { return (columns + kPanelColumns - 1) / kPanelColumns * kPanelColumns; }

}  // namespace

Forward::Forward(const PackedModel& model, const cpu::KernelTable& kernels, ThreadPool& pool, const KvLayout& layout)
    : model_(model),
      config_(model.config),
      kernels_(kernels),
      pool_(pool),
      layout_(layout),
      attention_(kernels, pool, layout_, model.config.heads, 0),
      local_attention_(kernels, pool, layout_, model.config.heads, model.config.sliding_window),
      rope_(config_.rope, config_.rope_dim, model.rope_divisors, 0),
      local_rope_(local_rope_of(model.config)),
      q_columns_(whole_panels(std::size_t{config_.heads} * config_.head_dim)),
      kv_columns_(whole_panels(config_.kv_dim())),
      hidden_columns_(whole_panels(config_.hidden)),
      ffn_columns_(whole_panels(config_.ffn)) {}

template <class RowTask>
void Forward::for_rows(RowTask&& task, std::uint32_t step) {
  if (rows_ <= kInlineRows) {
    for (std::uint32_t row = 0; row < rows_; ++row) task(row);
    return;
  }
  pool_.run(div_ceil(rows_, step), [&](std::uint32_t index, std::uint32_t) {
    const std::uint32_t end = std::min(rows_, (index + 1) * step);
    for (std::uint32_t row = index * step; row < end; ++row) task(row);
  });
}

void Forward::run(std::span<const ForwardRun> runs) {
  plan(runs);
  embed(runs);
  spread_angles(runs);
  for (std::uint32_t layer = 0; layer < config_.layers; ++layer) {
    attention_block(layer, runs);
    feed_forward_block(model_.layers[layer]);
  }
}

void Forward::plan(std::span<const ForwardRun> runs) {
  row_runs_.clear();
  places_.clear();
  std::uint32_t positions = 0;
  for (std::uint32_t r = 0; r < runs.size(); ++r) {
    const auto count = static_cast<std::uint32_t>(runs[r].ids.size());
    row_runs_.push_back({static_cast<std::uint32_t>(places_.size()), count, runs[r].first_position, runs[r].blocks});
    for (std::uint32_t i = 0; i < count; ++i) places_.emplace_back(r, i);
    positions = std::max(positions, runs[r].first_position + count);
  }
  rope_.extend(positions);
  if (local_rope_) local_rope_->extend(positions);
  rows_ = static_cast<std::uint32_t>(places_.size());
  attention_.plan(row_runs_);
  if (local_rope_) local_attention_.plan(row_runs_);
  x_.reserve(rows_ * hidden_columns_);
  normalized_.reserve(rows_ * hidden_columns_);
  q_.reserve(rows_ * q_columns_);
  k_.reserve(rows_ * kv_columns_);
  v_.reserve(rows_ * kv_columns_);
  attended_.reserve(rows_ * q_columns_);
  gated_.reserve(rows_ * ffn_columns_);
}

void Forward::embed(std::span<const ForwardRun> runs) {
  for_rows([&](std::uint32_t row) {
    const auto [run, index] = places_[row];
    float* x = x_.data() + row * hidden_columns_;
    model_.token_embd.unpack_column(static_cast<std::uint32_t>(runs[run].ids[index]), {x, config_.hidden});
    scale_by(x, config_.hidden, config_.embedding_scale);
  });
}

// Adjacent pairs want their cosine twice and their sine with both signs; halves read the tables as they are.
void Forward::spread_angles(std::span<const ForwardRun> runs) {
  if (config_.rope_pairing == RopePairing::halves) return;
  const std::uint32_t kinds = local_rope_ ? 2 : 1;
  cosines_.reserve(std::size_t{kinds} * rows_ * config_.head_dim);
  sines_.reserve(std::size_t{kinds} * rows_ * config_.head_dim);
  for_rows([&](std::uint32_t row) {
    const auto [run, index] = places_[row];
    const std::uint32_t position = runs[run].first_position + index;
    for (std::uint32_t kind = 0; kind < kinds; ++kind) {
      const RopeTable& table = rope_table(kind == 1);
      float* cosines = cosines_.data() + angles_at(kind == 1, row);
      float* sines = sines_.data() + angles_at(kind == 1, row);
      std::fill_n(cosines, config_.head_dim, 1.0f);  // dimensions past rope_dim stay as they are
      std::fill_n(sines, config_.head_dim, 0.0f);
      for (std::uint32_t i = 0; i < table.pairs(); ++i) {
        cosines[2 * i] = cosines[2 * i + 1] = table.cosines(position)[i];
        sines[2 * i + 1] = table.sines(position)[i];
        sines[2 * i] = -sines[2 * i + 1];
      }
    }
  });
}

Forward::Angles Forward::angles(bool local, std::uint32_t row, std::uint32_t position) const {
  if (config_.rope_pairing == RopePairing::halves)
    return {rope_table(local).cosines(position).data(), rope_table(local).sines(position).data()};
  return {cosines_.data() + angles_at(local, row), sines_.data() + angles_at(local, row)};
}

void Forward::normalize(const std::vector<float>& weight) {
  for_rows([&](std::uint32_t row) {
    float* normalized = normalized_.data() + row * hidden_columns_;
    kernels_.rms_norm(x_.data() + row * hidden_columns_, weight.data(), config_.hidden, config_.rms_epsilon,
                      normalized);
    hidden_in_.set_row(kernels_, row, normalized);
  });
}

void Forward::attention_block(std::uint32_t layer, std::span<const ForwardRun> runs) {
  const PackedLayer& w = model_.layers[layer];
  const PackedMatrix* inputs[] = {&w.wq, &w.wk, &w.wv};
  hidden_in_.shape(kernels_, rows_, config_.hidden, inputs);
  normalize(w.attn_norm);
  multiply(kernels_, pool_, hidden_in_,
           {{&w.wq, q_.data(), q_columns_}, {&w.wk, k_.data(), kv_columns_}, {&w.wv, v_.data(), kv_columns_}});
  rotate_and_store(layer, runs);
  Attention& attention = config_.is_local(layer) ? local_attention_ : attention_;
  attention.run(layer, q_.data(), q_columns_, attended_.data(), q_columns_);
  const PackedMatrix* outputs[] = {&w.wo};
  attended_in_.shape(kernels_, rows_, config_.heads * config_.head_dim, outputs);
  for_rows([&](std::uint32_t row) { attended_in_.set_row(kernels_, row, attended_.data() + row * q_columns_); });
  add_product(attended_in_, w.wo, w.bo, w.attn_post_norm);
}

void Forward::add_product(const Activations& in, const PackedMatrix& matrix, const std::vector<float>& bias,
                          const std::vector<float>& post_norm) {
  if (bias.empty() && post_norm.empty()) {
    multiply(kernels_, pool_, in, {{&matrix, x_.data(), hidden_columns_, true}});
    return;
  }
  multiply(kernels_, pool_, in, {{&matrix, normalized_.data(), hidden_columns_}});
  for_rows([&](std::uint32_t row) {
    float* x = x_.data() + row * hidden_columns_;
    float* product = normalized_.data() + row * hidden_columns_;
    add_to(product, bias);
    if (!post_norm.empty()) kernels_.rms_norm(product, post_norm.data(), config_.hidden, config_.rms_epsilon, product);
    for (std::uint32_t i = 0; i < config_.hidden; ++i) x[i] += product[i];
  });
}

void Forward::rotate_and_store(std::uint32_t layer, std::span<const ForwardRun> runs) {
  const PackedLayer& w = model_.layers[layer];
  // Tokens of a block share the cache lines of its keys: threads that take few tokens would pass them to and fro.
  const std::uint32_t step =
      rows_ >= 2 * layout_.block_tokens ? layout_.block_tokens : std::min(kTileRows, div_ceil(rows_, pool_.threads()));
  for_rows(
      [&](std::uint32_t row) {
        const auto [run, index] = places_[row];
        const Angles turn = angles(config_.is_local(layer), row, runs[run].first_position + index);
        float* k = k_.data() + row * kv_columns_;
        float* v = v_.data() + row * kv_columns_;
        finish_heads(q_.data() + row * q_columns_, config_.heads, w.bq, w.q_norm, turn, config_.attention_scale);
        finish_heads(k, config_.kv_heads, w.bk, w.k_norm, turn, 1.0f);
        add_to(v, w.bv);
        store_kv(layer, runs[run], index, k, v);
      },
      step);
}

void Forward::finish_heads(float* x, std::uint32_t heads, const std::vector<float>& bias,
                           const std::vector<float>& norm, Angles turn, float scale) const {
  const std::uint32_t dim = config_.head_dim, rope_dim = config_.rope_dim;
  add_to(x, bias);
  for (std::uint32_t h = 0; h < heads; ++h, x += dim) {
    if (!norm.empty()) kernels_.rms_norm(x, norm.data(), dim, config_.rms_epsilon, x);
    if (config_.rope_pairing == RopePairing::adjacent) {
      kernels_.rope(x, turn.cosines, turn.sines, dim, scale);
    } else {
      kernels_.rope_halves(x, turn.cosines, turn.sines, rope_dim / 2, scale);
      scale_by(x + rope_dim, dim - rope_dim, scale);
    }
  }
}

void Forward::store_kv(std::uint32_t layer, const ForwardRun& run, std::uint32_t index, const float* k,
                       const float* v) {
  const std::uint32_t position = run.first_position + index;
  std::uint8_t* block = run.blocks[position / layout_.block_tokens];
  const std::uint32_t slot = position % layout_.block_tokens;
  kvasir::store_kv(kernels_, layout_, layer, slot, k, v, block);
}

void Forward::feed_forward_block(const PackedLayer& w) {
  const PackedMatrix* inputs[] = {&w.w_gate, &w.w_up};
  hidden_in_.shape(kernels_, rows_, config_.hidden, inputs);
  normalize(w.ffn_norm);
  multiply_gated(kernels_, pool_, config_.activation, hidden_in_, w.w_gate, w.w_up, gated_.data(), ffn_columns_);
  const PackedMatrix* outputs[] = {&w.w_down};
  gated_in_.shape(kernels_, rows_, config_.ffn, outputs);
  for_rows([&](std::uint32_t row) { gated_in_.set_row(kernels_, row, gated_.data() + row * ffn_columns_); });
  add_product(gated_in_, w.w_down, {}, w.ffn_post_norm);
}

const float* Forward::logits(std::span<const std::uint32_t> rows) {
  const auto count = static_cast<std::uint32_t>(rows.size());
  selected_.reserve(count * std::size_t{config_.hidden});
  const PackedMatrix* consumers[] = {&model_.output};
  output_in_.shape(kernels_, count, config_.hidden, consumers);
  for (std::uint32_t i = 0; i < count; ++i) {
    KVASIR_ASSERT(rows[i] < rows_);
    float* row = selected_.data() + i * std::size_t{config_.hidden};
    kernels_.rms_norm(x_.data() + rows[i] * hidden_columns_, model_.output_norm.data(), config_.hidden,
                      config_.rms_epsilon, row);
    output_in_.set_row(kernels_, i, row);
  }
  logits_.reserve(count * logits_stride());
  multiply(kernels_, pool_, output_in_, {{&model_.output, logits_.data(), logits_stride()}});
  return logits_.data();
}

}  // namespace kvasir
