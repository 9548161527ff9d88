#include "engine/cpu/reference_model.h"

#include <algorithm>

#include "engine/model/dequantize.h"

namespace kvasir::reference {

namespace {

std::vector<float> read_vector(const GgufTensor& tensor) {
  std::vector<float> values(tensor.dims[0]);
  dequantize_row(tensor, 0, values);
  return values;
}

std::vector<float> read_if(const GgufTensor* tensor) {
  return tensor == nullptr ? std::vector<float>{} : read_vector(*tensor);
}

void add(std::vector<float>& x, std::span<const float> y) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
}

}  // namespace

Model::Model(const ModelTensors& tensors, const ModelConfig& config, std::uint32_t block_tokens,
             std::uint32_t positions, std::uint32_t threads)
    : config_(config),
      layout_{block_tokens, config.kv_heads, config.head_dim, config.layers},
      rope_(config.rope, config.rope_dim, tensors.rope_divisors(), positions),
      local_rope_(config.local_rope, config.rope_dim, {}, config.sliding_window != 0 ? positions : 0),
      embedding_(*tensors.token_embd),
      output_norm_(read_vector(*tensors.output_norm)),
      threads_(threads) {
  if (!config.tied_output) output_ = Matrix(*tensors.output);
  for (const LayerTensors& layer : tensors.layers) layers_.push_back(read_layer(layer));
}

Model::Layer Model::read_layer(const LayerTensors& tensors) {
  return {.attn_norm = read_vector(*tensors.attn_norm),
          .bq = read_if(tensors.bq),
          .bk = read_if(tensors.bk),
          .bv = read_if(tensors.bv),
          .bo = read_if(tensors.bo),
          .q_norm = read_if(tensors.q_norm),
          .k_norm = read_if(tensors.k_norm),
          .attn_post_norm = read_if(tensors.attn_post_norm),
          .ffn_norm = read_vector(*tensors.ffn_norm),
          .ffn_post_norm = read_if(tensors.ffn_post_norm),
          .wq = Matrix(*tensors.wq),
          .wk = Matrix(*tensors.wk),
          .wv = Matrix(*tensors.wv),
          .wo = Matrix(*tensors.wo),
          .w_gate = Matrix(*tensors.w_gate),
          .w_up = Matrix(*tensors.w_up),
          .w_down = Matrix(*tensors.w_down)};
}

std::vector<float> Model::forward(std::span<const Row> rows) {
  const std::size_t hidden = config_.hidden;
  std::vector<float> x(rows.size() * hidden);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    embedding_.row(static_cast<std::size_t>(rows[i].id), std::span(x).subspan(i * hidden, hidden));
  }
  for (float& value : x) value *= config_.embedding_scale;
  for (std::uint32_t layer = 0; layer < config_.layers; ++layer) {
    attention(layer, rows, x);
    feed_forward(layers_[layer], x);
  }
  return x;
}

std::vector<float> Model::logits(std::span<const float> hidden) {
  return multiply(config_.tied_output ? embedding_ : output_, normalize(hidden, output_norm_));
}

std::vector<float> Model::normalize(std::span<const float> x, std::span<const float> weight) {
  std::vector<float> out(x.size());
  for (std::size_t i = 0; i < x.size(); i += weight.size()) {
    rms_norm(x.subspan(i, weight.size()), weight, config_.rms_epsilon, std::span(out).subspan(i, weight.size()));
  }
  return out;
}

std::vector<float> Model::multiply(const Matrix& matrix, std::span<const float> x, std::span<const float> bias) {
  std::vector<float> out(x.size() / matrix.in() * matrix.out());
  matrix.multiply(x, out, threads_);
  if (bias.empty()) return out;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] += bias[i % bias.size()];
  return out;
}

void Model::attention(std::uint32_t layer, std::span<const Row> rows, std::vector<float>& x) {
  const Layer& weights = layers_[layer];
  const std::size_t heads = config_.heads, dim = config_.head_dim, kv_dim = config_.kv_dim();
  const std::vector<float> normed = normalize(x, weights.attn_norm);
  std::vector<float> q = multiply(weights.wq, normed, weights.bq), k = multiply(weights.wk, normed, weights.bk);
  const std::vector<float> v = multiply(weights.wv, normed, weights.bv);
  if (config_.qk_norm) q = normalize(q, weights.q_norm), k = normalize(k, weights.k_norm);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    turn(layer, std::span(q).subspan(i * heads * dim, heads * dim), rows[i].position);
    turn(layer, std::span(k).subspan(i * kv_dim, kv_dim), rows[i].position);
    store(layer, rows[i], std::span(k).subspan(i * kv_dim, kv_dim), std::span(v).subspan(i * kv_dim, kv_dim));
  }
  std::vector<float> attended(q.size());
  threads_.for_each(rows.size() * heads, [&](std::size_t i) {
    attend_head(layer, rows[i / heads], static_cast<std::uint32_t>(i % heads), std::span(q).subspan(i * dim, dim),
                std::span(attended).subspan(i * dim, dim));
  });
  std::vector<float> out = multiply(weights.wo, attended, weights.bo);
  if (config_.post_norms) out = normalize(out, weights.attn_post_norm);
  add(x, out);
}

void Model::feed_forward(const Layer& layer, std::vector<float>& x) {
  const std::vector<float> normed = normalize(x, layer.ffn_norm);
  std::vector<float> gate = multiply(layer.w_gate, normed);
  const std::vector<float> up = multiply(layer.w_up, normed);
  const std::size_t width = config_.ffn;
  threads_.for_each(gate.size() / width, [&](std::size_t i) {
    gate_multiply(config_.activation, std::span(gate).subspan(i * width, width),
                  std::span(up).subspan(i * width, width));
  });
  std::vector<float> out = multiply(layer.w_down, gate);
  if (config_.post_norms) out = normalize(out, layer.ffn_post_norm);
  add(x, out);
}

void Model::turn(std::uint32_t layer, std::span<float> heads, std::uint32_t position) const {
  const RopeTable& table = config_.is_local(layer) ? local_rope_ : rope_;
  for (std::size_t i = 0; i < heads.size(); i += config_.head_dim) {
    rope(heads.subspan(i, config_.head_dim), config_.rope_pairing, table.cosines(position), table.sines(position));
  }
}

void Model::store(std::uint32_t layer, const Row& row, std::span<const float> k, std::span<const float> v) const {
  float* block = row.blocks[row.position / layout_.block_tokens];
  const std::size_t dim = config_.head_dim, at = row.position % layout_.block_tokens * dim;
  for (std::uint32_t head = 0; head < config_.kv_heads; ++head) {
    std::copy_n(&k[head * dim], dim, block + layout_.k(layer, head) + at);
    std::copy_n(&v[head * dim], dim, block + layout_.v(layer, head) + at);
  }
}

void Model::attend_head(std::uint32_t layer, const Row& row, std::uint32_t head, std::span<const float> q,
                        std::span<float> out) const {
  const std::uint32_t kv_head = head / config_.group(), end = row.position + 1;
  const bool windowed = config_.is_local(layer) && end > config_.sliding_window;
  const HeadHistory history{.blocks = row.blocks,
                            .k = layout_.k(layer, kv_head),
                            .v = layout_.v(layer, kv_head),
                            .block_tokens = layout_.block_tokens,
                            .first = windowed ? end - config_.sliding_window : 0,
                            .positions = end};
  attend(q, history, config_.attention_scale, out);
}

}  // namespace kvasir::reference
