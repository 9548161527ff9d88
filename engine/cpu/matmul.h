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

// The input rows of a matrix product in the forms that the kernels read: tiles of 8 rows, int8 with a scale per group
// of 32 for quantized weights, bf16 [k / 2][8][2] for weights of bf16 where the kernels multiply these, f32 [k][8] for
// the others.
class Activations {
 public:
  // Room for `rows` rows of `k` elements, for products of these kernels with these matrices.
  void shape(const cpu::KernelTable& kernels, std::uint32_t rows, std::uint32_t k,
             std::span<const PackedMatrix* const> consumers);
  void set_row(const cpu::KernelTable& kernels, std::uint32_t row, const float* x);

  std::uint32_t rows() const { return rows_; }
  std::uint32_t k() const { return k_; }
  // The tile that holds row `row`, for panels of this type, and its size.
  const std::uint8_t* tile(cpu::PanelType type, std::uint32_t row) const;
  std::size_t tile_bytes(cpu::PanelType type) const;

 private:
  enum class Form : std::uint32_t { int8, bf16, f32 };
  static constexpr std::uint32_t kForms = 3;
  Form form(cpu::PanelType type) const;
  bool wanted(Form form) const { return wanted_[static_cast<std::uint32_t>(form)]; }
  std::size_t tile_bytes(Form form) const;
  std::uint8_t* tile(Form form, std::uint32_t row) {
    return tiles_[static_cast<std::uint32_t>(form)].data() + row / cpu::kTileRows * tile_bytes(form);
  }

  std::uint32_t rows_ = 0, k_ = 0;
  bool rounds_ = false;  // bf16 weights take bf16
  bool wanted_[kForms] = {};
  AlignedBuffer<std::uint8_t> tiles_[kForms];
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
