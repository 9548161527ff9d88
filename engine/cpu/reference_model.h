#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/cpu/reference_math.h"
#include "engine/model/model_config.h"
#include "engine/model/rope.h"
#include "engine/model/weights.h"

namespace kvasir::reference {

// Where, in floats from the start of a block, a head's keys and values are: f32 [layer][K|V][kv_head][token][dim].
struct BlockLayout {
  std::uint32_t block_tokens = 0, kv_heads = 0, head_dim = 0, layers = 0;
  std::size_t head_floats() const { return std::size_t{block_tokens} * head_dim; }
  std::size_t k(std::uint32_t layer, std::uint32_t head) const {
    return (std::size_t{layer} * 2 * kv_heads + head) * head_floats();
  }
  std::size_t v(std::uint32_t layer, std::uint32_t head) const { return k(layer, head) + kv_heads * head_floats(); }
  std::size_t block_bytes() const { return std::size_t{layers} * 2 * kv_heads * head_floats() * sizeof(float); }
};

// One row of a step: a token at a position, and its sequence's blocks.
struct Row {
  TokenId id = 0;
  std::uint32_t position = 0;
  std::span<float* const> blocks;
};

// The weights in f32 and the forward pass. Used by one thread, which its workers help.
class Model {
 public:
  Model(const ModelTensors& tensors, const ModelConfig& config, std::uint32_t block_tokens, std::uint32_t positions,
        std::uint32_t threads);

  std::uint32_t hidden() const { return config_.hidden; }
  // Computes all layers for the rows, writing their K and V into the blocks; hidden states (rows, hidden).
  // REQUIRES: the K and V of every earlier position is in the blocks or computed by an earlier row of the same call.
  std::vector<float> forward(std::span<const Row> rows);
  // Logits (rows, vocabulary) of hidden states (rows, hidden).
  std::vector<float> logits(std::span<const float> hidden);

 private:
  struct Layer {
    // Empty vectors: the architecture has no such tensor.
    std::vector<float> attn_norm, bq, bk, bv, bo, q_norm, k_norm, attn_post_norm, ffn_norm, ffn_post_norm;
    Matrix wq, wk, wv, wo, w_gate, w_up, w_down;
  };

  static Layer read_layer(const LayerTensors& tensors);
  // RMS norm of each piece of x that is as long as the weights.
  std::vector<float> normalize(std::span<const float> x, std::span<const float> weight);
  std::vector<float> multiply(const Matrix& matrix, std::span<const float> x, std::span<const float> bias = {});
  void attention(std::uint32_t layer, std::span<const Row> rows, std::vector<float>& x);
  void feed_forward(const Layer& layer, std::vector<float>& x);
  void turn(std::uint32_t layer, std::span<float> heads, std::uint32_t position) const;
  void store(std::uint32_t layer, const Row& row, std::span<const float> k, std::span<const float> v) const;
  void attend_head(std::uint32_t layer, const Row& row, std::uint32_t head, std::span<const float> q,
                   std::span<float> out) const;

  const ModelConfig config_;
  const BlockLayout layout_;
  const RopeTable rope_, local_rope_;  // local_rope_: of layers with a window
  Matrix embedding_, output_;          // output_ is empty when tied
  std::vector<float> output_norm_;
  std::vector<Layer> layers_;
  WorkerGroup threads_;
};

}  // namespace kvasir::reference
