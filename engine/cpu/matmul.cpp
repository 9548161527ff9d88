#include "engine/cpu/matmul.h"

#include <algorithm>

#include "engine/cpu/bf16_dots.h"
#include "storage/base/assert.h"
#include "storage/base/ids.h"

namespace kvasir {
namespace {

using cpu::kPanelColumns;
using cpu::kTileRows;

constexpr std::size_t kRowBlockBytes = 512 << 10;  // activations that stay in L2 while panels pass by
constexpr std::uint32_t kTasksPerThread = 6;       // enough to even out, few enough to claim cheaply

// How panels x rows are cut into tasks: blocks of rows, and in each of them runs of panels.
struct Cut {
  std::uint32_t block_rows, blocks, run_panels, runs;
  std::uint32_t tasks() const { return blocks * runs; }
};

// Runs are of a multiple of `side` panels, those that a kernel works on side by side.
Cut cut(std::uint32_t rows, std::uint32_t panels, std::uint32_t side, std::size_t tile_bytes, std::uint32_t threads) {
  Cut c{};
  const std::size_t tiles = std::max<std::size_t>(1, kRowBlockBytes / tile_bytes);
  c.block_rows = static_cast<std::uint32_t>(std::min<std::size_t>(rows, tiles * kTileRows));
  const std::uint32_t wanted = threads * kTasksPerThread;
  if (panels < wanted && rows > kTileRows) {  // more threads than panels can feed
    const std::uint32_t even = div_ceil(div_ceil(rows, div_ceil(wanted, panels)), kTileRows) * kTileRows;
    c.block_rows = std::min(c.block_rows, even);
  }
  c.blocks = div_ceil(rows, c.block_rows);
  c.run_panels = div_ceil(std::max(1u, panels / div_ceil(wanted, c.blocks)), side) * side;
  c.runs = div_ceil(panels, c.run_panels);
  return c;
}

cpu::PanelGemm panel_gemm(const Activations& x, const PackedMatrix& matrix, std::uint32_t panel, std::uint32_t panels,
                          std::uint32_t row, std::uint32_t rows) {
  cpu::PanelGemm g{};
  g.panel = matrix.panel(panel);
  g.panel_bytes = matrix.panel_bytes();
  g.panels = panels;
  g.tiles = x.tile(matrix.type(), row);
  g.tile_bytes = x.tile_bytes(matrix.type());
  g.k = matrix.k();
  g.rows = rows;
  return g;
}

void run_panels(const cpu::KernelTable& kernels, const Activations& x, const Product& product, std::uint32_t panel,
                std::uint32_t panels, std::uint32_t row, std::uint32_t rows) {
  cpu::PanelGemm g = panel_gemm(x, *product.matrix, panel, panels, row, rows);
  g.out = product.out + row * product.out_stride + panel * kPanelColumns;
  g.out_stride = product.out_stride;
  g.add = product.add;
  kernels.gemm[static_cast<std::uint32_t>(product.matrix->type())](g);
}

}  // namespace

Activations::Form Activations::form(cpu::PanelType type) const {
  if (cpu::wants_int8(type)) return Form::int8;
  return type == cpu::PanelType::bf16 && rounds_ ? Form::bf16 : Form::f32;
}

std::size_t Activations::tile_bytes(Form form) const {
  if (form == Form::int8) return std::size_t{k_} / cpu::kGroup * cpu::kTileGroupBytes;
  return form == Form::bf16 ? cpu::bf16_tile_bytes(k_) : std::size_t{k_} * kTileRows * sizeof(float);
}

void Activations::shape(const cpu::KernelTable& kernels, std::uint32_t rows, std::uint32_t k,
                        std::span<const PackedMatrix* const> consumers) {
  rows_ = rows;
  k_ = k;
  rounds_ = kernels.round_row != nullptr;
  std::ranges::fill(wanted_, false);
  for (const PackedMatrix* m : consumers) {
    KVASIR_ASSERT(m->k() == k);
    wanted_[static_cast<std::uint32_t>(form(m->type()))] = true;
  }
  for (std::uint32_t f = 0; f < kForms; ++f)
    if (wanted_[f]) tiles_[f].reserve(div_ceil(rows, kTileRows) * tile_bytes(Form{f}));
}

void Activations::set_row(const cpu::KernelTable& kernels, std::uint32_t row, const float* x) {
  const std::uint32_t r = row % kTileRows;
  if (wanted(Form::int8)) kernels.quantize(x, k_, tile(Form::int8, row), r);
  if (wanted(Form::bf16)) kernels.round_row(x, k_, tile(Form::bf16, row), r);
  if (wanted(Form::f32)) {
    float* to = reinterpret_cast<float*>(tile(Form::f32, row)) + r;
    for (std::uint32_t i = 0; i < k_; ++i) to[i * kTileRows] = x[i];
  }
}

std::size_t Activations::tile_bytes(cpu::PanelType type) const { return tile_bytes(form(type)); }

const std::uint8_t* Activations::tile(cpu::PanelType type, std::uint32_t row) const {
  return tiles_[static_cast<std::uint32_t>(form(type))].data() + row / kTileRows * tile_bytes(type);
}

void multiply(const cpu::KernelTable& kernels, ThreadPool& pool, const Activations& x,
              std::initializer_list<Product> products) {
  std::uint32_t panels = 0;
  std::size_t tile_bytes = 0;
  for (const Product& p : products) {
    panels += p.matrix->panels();
    tile_bytes = std::max(tile_bytes, x.tile_bytes(p.matrix->type()));
  }
  const Cut c = cut(x.rows(), panels, kernels.gemm_panels, tile_bytes, pool.threads());
  pool.run(c.tasks(), [&](std::uint32_t task, std::uint32_t) {
    const std::uint32_t row = task / c.runs * c.block_rows;
    const std::uint32_t rows = std::min(c.block_rows, x.rows() - row);
    const std::uint32_t first = task % c.runs * c.run_panels;  // counted through all the matrices
    const std::uint32_t last = std::min(first + c.run_panels, panels);
    std::uint32_t before = 0;
    for (const Product& p : products) {
      const std::uint32_t end = before + p.matrix->panels();
      const std::uint32_t from = std::max(first, before), to = std::min(last, end);
      if (from < to) run_panels(kernels, x, p, from - before, to - from, row, rows);
      before = end;
    }
  });
}

void multiply_gated(const cpu::KernelTable& kernels, ThreadPool& pool, Activation activation, const Activations& x,
                    const PackedMatrix& gate, const PackedMatrix& up, float* out, std::size_t out_stride) {
  const auto activate_mul = activation == Activation::silu ? kernels.silu_mul : kernels.gelu_mul;
  constexpr std::uint32_t kRows = 192;  // of gate and up at a time: up to 96 KiB on the stack, which stay in L2
  const std::size_t tile_bytes = std::max(x.tile_bytes(gate.type()), x.tile_bytes(up.type()));
  const Cut c = cut(x.rows(), gate.panels(), kernels.gemm_panels, tile_bytes, pool.threads());
  pool.run(c.tasks(), [&](std::uint32_t task, std::uint32_t) {
    alignas(64) float factors[2][kRows * cpu::kGemmPanelsMax * kPanelColumns];
    const std::uint32_t first_row = task / c.runs * c.block_rows;
    const std::uint32_t last_row = std::min(first_row + c.block_rows, x.rows());
    const std::uint32_t first_panel = task % c.runs * c.run_panels;
    const std::uint32_t last_panel = std::min(first_panel + c.run_panels, gate.panels());
    for (std::uint32_t panel = first_panel; panel < last_panel; panel += kernels.gemm_panels)
      for (std::uint32_t row = first_row; row < last_row; row += kRows) {
        const std::uint32_t rows = std::min(kRows, last_row - row);
        const std::uint32_t panels = std::min(kernels.gemm_panels, last_panel - panel);
        const std::uint32_t columns = panels * kPanelColumns;
        for (std::uint32_t i = 0; i < 2; ++i) {
          const PackedMatrix& matrix = i == 0 ? gate : up;
          cpu::PanelGemm g = panel_gemm(x, matrix, panel, panels, row, rows);
          g.out = factors[i];
          g.out_stride = columns;
          kernels.gemm[static_cast<std::uint32_t>(matrix.type())](g);
        }
        float* to = out + row * out_stride + panel * kPanelColumns;
        for (std::uint32_t r = 0; r < rows; ++r)  // the kernel takes each 16 columns as a row
          activate_mul(factors[0] + r * columns, factors[1] + r * columns, panels, to + r * out_stride, kPanelColumns);
      }
  });
}

}  // namespace kvasir
