#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/cpu/worker_group.h"
#include "engine/model/gguf.h"
#include "engine/model/model_config.h"

namespace kvasir::reference {

// One loop for each operation, in f32 unless it says double. Every output element has one order of operations, which
// depends on neither the number of rows nor the number of threads.

// A weight matrix dequantized to f32, in panels of 16 outputs, [panel][in][16]: the innermost loop runs over
// independent outputs, so that a compiler can use vectors without reordering a sum.
class Matrix {
 public:
  static constexpr std::size_t kPanel = 16;

  Matrix() = default;
  explicit Matrix(const GgufTensor& tensor);

  std::size_t in() const { return in_; }
  std::size_t out() const { return out_; }
  // Row `index` of the tensor: the weights of one output (or the embedding of one token).
  void row(std::size_t index, std::span<float> weights) const;
  // y(rows, out) = x(rows, in) . w: each output is one sum over `in`, ascending.
  void multiply(std::span<const float> x, std::span<float> y, WorkerGroup& threads) const;

 private:
  void multiply_panel(std::size_t panel, std::span<const float> x, std::span<float> y) const;

  std::size_t in_ = 0, out_ = 0;
  std::vector<float> panels_;
};

// out = x / sqrt(mean(x^2) + epsilon) * weight; the mean in double.
void rms_norm(std::span<const float> x, std::span<const float> weight, float epsilon, std::span<float> out);

// Turns the pairs of one head; dimensions past the table's stay.
void rope(std::span<float> head, RopePairing pairing, std::span<const float> cosines, std::span<const float> sines);

// gate = activation(gate) * up. SiLU is x / (1 + exp(-x)); GELU by tanh is x / (1 + exp(-2z)) with z = sqrt(2 / pi) *
// (x
// + 0.044715 x^3), which equals x (1 + tanh z) / 2. In double up to the product.
void gate_multiply(Activation activation, std::span<float> gate, std::span<const float> up);

// Keys and values of one KV head of one sequence: position p lies at blocks[p / block_tokens] + k (or v) + (p %
// block_tokens) * head_dim.
struct HeadHistory {
  std::span<float* const> blocks;
  std::size_t k = 0, v = 0;  // floats from the start of a block
  std::uint32_t block_tokens = 0;
  std::uint32_t first = 0;  // to attend to: first .. positions - 1, at least one
  std::uint32_t positions = 0;
};

constexpr std::uint32_t kSegment = 128;  // absolute positions of one softmax partial

// out(head_dim) = softmax(q . k * scale) . v, partials by segment merged in ascending order.
void attend(std::span<const float> q, const HeadHistory& history, float scale, std::span<float> out);

}  // namespace kvasir::reference
