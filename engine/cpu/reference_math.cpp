#include "engine/cpu/reference_math.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "engine/model/dequantize.h"
#include "engine/model/portable_math.h"
#include "storage/base/assert.h"

namespace kvasir::reference {

Matrix::Matrix(const GgufTensor& tensor)
    : in_(tensor.dims[0]), out_(tensor.dims[1]), panels_((out_ + kPanel - 1) / kPanel * kPanel * in_) {
  std::vector<float> weights(in_);
  for (std::size_t i = 0; i < out_; ++i) {
    dequantize_row(tensor, i, weights);
    float* column = &panels_[i / kPanel * kPanel * in_ + i % kPanel];
    for (std::size_t k = 0; k < in_; ++k) column[k * kPanel] = weights[k];
  }
}

void Matrix::row(std::size_t index, std::span<float> weights) const {
  KVASIR_ASSERT(index < out_ && weights.size() == in_);
  const float* column = &panels_[index / kPanel * kPanel * in_ + index % kPanel];
  for (std::size_t k = 0; k < in_; ++k) weights[k] = column[k * kPanel];
}

void Matrix::multiply(std::span<const float> x, std::span<float> y, WorkerGroup& threads) const {
  KVASIR_ASSERT(x.size() / in_ * out_ == y.size());
  threads.for_each((out_ + kPanel - 1) / kPanel, [&](std::size_t panel) { multiply_panel(panel, x, y); });
}

namespace {

// Four outputs. Spelled out because compilers do not find these vectors in the loop over 16 outputs; lanes stay apart,
// so the bits are those of that loop.
using Lanes = float __attribute__((vector_size(16)));
constexpr std::size_t kLanes = 4;
constexpr std::size_t kVectors = Matrix::kPanel / kLanes;

Lanes load(const float* values) {
  Lanes lanes;
  std::memcpy(&lanes, values, sizeof lanes);
  return lanes;
}

// Rows (1 or 2) times a panel; two rows share each load of the weights, their sums stay apart.
template <std::size_t kRows>
void multiply_rows(const float* __restrict x, std::size_t in, const float* __restrict panel, std::size_t columns,
                   float* out, std::size_t out_stride) {
  Lanes sums[kRows][kVectors] = {};
  for (std::size_t k = 0; k < in; ++k) {
    for (std::size_t j = 0; j < kVectors; ++j) {
      const Lanes weights = load(panel + k * Matrix::kPanel + j * kLanes);
      for (std::size_t r = 0; r < kRows; ++r) sums[r][j] += x[r * in + k] * weights;
    }
  }
  for (std::size_t r = 0; r < kRows; ++r) std::memcpy(out + r * out_stride, sums[r], columns * sizeof(float));
}

}  // namespace

void Matrix::multiply_panel(std::size_t panel, std::span<const float> x, std::span<float> y) const {
  const std::size_t rows = x.size() / in_, columns = std::min(kPanel, out_ - panel * kPanel);
  const float* weights = &panels_[panel * kPanel * in_];
  float* out = &y[panel * kPanel];
  std::size_t row = 0;
  for (; row + 2 <= rows; row += 2) multiply_rows<2>(&x[row * in_], in_, weights, columns, out + row * out_, out_);
  if (row < rows) multiply_rows<1>(&x[row * in_], in_, weights, columns, out + row * out_, out_);
}

void rms_norm(std::span<const float> x, std::span<const float> weight, float epsilon, std::span<float> out) {
  double sum = 0;
  for (const float value : x) sum += static_cast<double>(value) * value;
  const auto scale = static_cast<float>(1.0 / std::sqrt(sum / static_cast<double>(x.size()) + epsilon));
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = x[i] * scale * weight[i];
}

void rope(std::span<float> head, RopePairing pairing, std::span<const float> cosines, std::span<const float> sines) {
  const std::size_t pairs = cosines.size();
  for (std::size_t i = 0; i < pairs; ++i) {
    float& first = head[pairing == RopePairing::halves ? i : 2 * i];
    float& second = head[pairing == RopePairing::halves ? i + pairs : 2 * i + 1];
    const float a = first, b = second;
    first = a * cosines[i] - b * sines[i];
    second = a * sines[i] + b * cosines[i];
  }
}

namespace {

double logistic(double x) { return 1.0 / (1.0 + exp_portable(std::clamp(-x, -700.0, 700.0))); }

double activate(Activation activation, double x) {
  constexpr double kSqrtTwoOverPi = 0x1.988453acdf94ap-1;
  if (activation == Activation::silu) return x * logistic(x);
  return x * logistic(2 * kSqrtTwoOverPi * (x + 0.044715 * x * x * x));
}

}  // namespace

void gate_multiply(Activation activation, std::span<float> gate, std::span<const float> up) {
  for (std::size_t i = 0; i < gate.size(); ++i)
    gate[i] = static_cast<float>(activate(activation, static_cast<double>(gate[i]))) * up[i];
}

namespace {

// Eight running sums, element i in sum i % 8, then added in order.
float dot(const float* __restrict a, const float* __restrict b, std::size_t n) {
  std::array<float, 8> sums{};
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (std::size_t j = 0; j < 8; ++j) sums[j] += a[i + j] * b[i + j];
  }
  for (std::size_t j = 0; i < n; ++i, ++j) sums[j] += a[i] * b[i];
  float sum = 0;
  for (const float partial : sums) sum += partial;
  return sum;
}

// A softmax not yet divided by its sum.
struct Partial {
  float maximum = 0, sum = 0;
  std::vector<float> out;
};

void attend_segment(std::span<const float> q, const HeadHistory& history, float scale, std::uint32_t first,
                    std::uint32_t end, Partial& partial) {
  const std::size_t dim = q.size();
  const auto place = [&](std::uint32_t p) {
    return history.blocks[p / history.block_tokens] + p % history.block_tokens * dim;
  };
  std::array<float, kSegment> weights;
  for (std::uint32_t p = first; p < end; ++p) weights[p - first] = dot(q.data(), place(p) + history.k, dim) * scale;
  partial.maximum = *std::max_element(weights.begin(), weights.begin() + (end - first));
  partial.sum = 0;
  std::fill(partial.out.begin(), partial.out.end(), 0.0f);
  for (std::uint32_t p = first; p < end; ++p) {
    const auto weight = static_cast<float>(exp_portable(static_cast<double>(weights[p - first]) - partial.maximum));
    partial.sum += weight;
    const float* v = place(p) + history.v;
    for (std::size_t i = 0; i < dim; ++i) partial.out[i] += weight * v[i];
  }
}

void merge(Partial& state, const Partial& next) {
  const float maximum = std::max(state.maximum, next.maximum);
  const auto keep = static_cast<float>(exp_portable(static_cast<double>(state.maximum) - maximum));
  const auto add = static_cast<float>(exp_portable(static_cast<double>(next.maximum) - maximum));
  state.maximum = maximum;
  state.sum = state.sum * keep + next.sum * add;
  for (std::size_t i = 0; i < state.out.size(); ++i) state.out[i] = state.out[i] * keep + next.out[i] * add;
}

}  // namespace

void attend(std::span<const float> q, const HeadHistory& history, float scale, std::span<float> out) {
  Partial state, next;
  state.out.resize(q.size());
  next.out.resize(q.size());
  const auto segment_end = [&](std::uint32_t first) {
    return std::min((first / kSegment + 1) * kSegment, history.positions);
  };
  std::uint32_t end = segment_end(history.first);
  attend_segment(q, history, scale, history.first, end, state);
  for (std::uint32_t first = end; first < history.positions; first = end) {
    end = segment_end(first);
    attend_segment(q, history, scale, first, end, next);
    merge(state, next);
  }
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = state.out[i] / state.sum;
}

}  // namespace kvasir::reference
