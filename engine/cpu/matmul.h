#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

#include "engine/cpu/aligned_buffer.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/packed_matrix.h"
#include "engine/cpu/thread_pool.h"
#include "engine/model/model_config.h"

namespace kvasir {

// The input rows of a matrix product in the form that the kernels read: tiles of 8 rows, int8 with a scale per group of
// 32 for quantized weights, f32 [k][8] for the others.
class Activations {
 public:
  // Room for `rows` rows of `k` elements, for weights of these matrices.
  void shape(std::uint32_t rows, std::uint32_t k, std::span<const PackedMatrix* const> consumers);
  void set_row(const cpu::KernelTable& kernels, std::uint32_t row, const float* x);

  std::uint32_t rows() const { return rows_; }
  std::uint32_t k() const { return k_; }
  // The tile that holds row `row`, for panels of this type, and its size.
  const std::uint8_t* tile(cpu::PanelType type, std::uint32_t row) const;
  std::size_t tile_bytes(cpu::PanelType type) const;

 private:
  std::uint32_t rows_ = 0, k_ = 0;
  bool int8_ = false, float_ = false;
  AlignedBuffer<std::uint8_t> int8_tiles_;
  AlignedBuffer<float> float_tiles_;
};

// One matrix of a product and where its columns go: out[row * out_stride + column].
struct Product {
  const PackedMatrix* matrix = nullptr;
  float* out = nullptr;  // room for panels() * 16 columns a row
  std::size_t out_stride = 0;
  bool add = false;  // to what is there
};

// All the products, of the same rows, in one parallel loop.
void multiply(const cpu::KernelTable& kernels, ThreadPool& pool, const Activations& x,
              std::initializer_list<Product> products);

// out = activation(x . gate) * (x . up), without storing the factors. `out` has room for panels() * 16 columns a row.
void multiply_gated(const cpu::KernelTable& kernels, ThreadPool& pool, Activation activation, const Activations& x,
                    const PackedMatrix& gate, const PackedMatrix& up, float* out, std::size_t out_stride);

}  // namespace kvasir
