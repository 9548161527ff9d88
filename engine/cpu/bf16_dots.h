#pragma once

#include "engine/cpu/kernels.h"

// Products of bf16 weights with activations rounded to bf16. They differ from those that every kernel class computes
// from bf16 panels and f32 activations (numerics id "cpu.1"), so a backend that runs them has another id. The
// arithmetic is that of the AVX-512 instruction VDPBF16PS, for the elements of a row and a column in pairs, k
// ascending:
//   sum = flush(fma(w[k + 1], x[k + 1], sum)), then sum = flush(fma(w[k], x[k], sum))
// with one f32 sum, values below 2^-126 read as zeros of their sign, and results below it flushed to such zeros.
// Activations are rounded to nearest, ties to even. Like all GEMMs here: nothing depends on the number of rows.
namespace kvasir::cpu {

// PanelGemm::tiles of bf16_dots: tiles of [k / 2][8 rows][2] bf16.
constexpr size_t bf16_tile_bytes(uint32_t k) { return size_t{k} * kTileRows * 2; }

constexpr uint32_t kBf16GemmPanels = 2;  // that bf16_dots works on side by side

// REQUIRES: AVX-512 F and BF16.
void bf16_dots(const PanelGemm& g);
// Rounds a row into a tile: KernelTable::round_row.
void bf16_round_row(const float* x, uint32_t n, uint8_t* tile, uint32_t row);

// The same in plain C: what the start-up check and the tests compare with.
void scalar_bf16_dots(const PanelGemm& g);
void scalar_bf16_round_row(const float* x, uint32_t n, uint8_t* tile, uint32_t row);

}  // namespace kvasir::cpu
