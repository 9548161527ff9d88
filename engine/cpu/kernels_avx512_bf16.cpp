// What the kernel class avx512_bf16 has of its own: products of bf16 panels in VDPBF16PS (bf16_dots.h). All else of it
// is avx512_vnni's.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cpu/bf16_dots.h"

namespace kvasir::cpu {
namespace {

constexpr uint32_t kPairBytes = kPanelColumns * 4;  // of a pair of rows of a panel

// What is asked of memory while a panel is read: nothing, what lies further on (as kernel_gemm.inc does), or the panels
// that come next, at the same place.
enum class Ahead { none, row, panels };
constexpr uint32_t kRowsAhead = 12 << 10;

inline __m512bh pairs_at(const uint8_t* p) { return (__m512bh)_mm512_loadu_si512(p); }
inline __m512bh broadcast_pair(const uint8_t* p) {
  int32_t pair;
  __builtin_memcpy(&pair, p, sizeof pair);
  return (__m512bh)_mm512_set1_epi32(pair);
}

// R rows of a tile with P panels side by side.
template <uint32_t R, uint32_t P, Ahead kAhead>
void dot_rows(const PanelGemm& g, const uint8_t* w, const uint8_t* x, float* out) {
  __m512 sums[P][R];
#pragma GCC unroll 8
  for (uint32_t p = 0; p < P; ++p)
#pragma GCC unroll 8
    for (uint32_t r = 0; r < R; ++r) sums[p][r] = _mm512_setzero_ps();
  for (uint32_t i = 0; i < g.k; i += 2) {
    __m512bh weights[P];
#pragma GCC unroll 8
    for (uint32_t p = 0; p < P; ++p) {
      const uint8_t* from = w + p * g.panel_bytes;
      if constexpr (kAhead == Ahead::row) _mm_prefetch(reinterpret_cast<const char*>(from + kRowsAhead), _MM_HINT_T0);
      if constexpr (kAhead == Ahead::panels)
        _mm_prefetch(reinterpret_cast<const char*>(from + P * g.panel_bytes), _MM_HINT_T1);
      weights[p] = pairs_at(from);
    }
#pragma GCC unroll 8
    for (uint32_t r = 0; r < R; ++r) {
      const __m512bh pair = broadcast_pair(x + r * 4);
#pragma GCC unroll 8
      for (uint32_t p = 0; p < P; ++p) sums[p][r] = _mm512_dpbf16_ps(sums[p][r], weights[p], pair);
    }
    w += kPairBytes;
    x += kTileRows * 4;
  }
#pragma GCC unroll 8
  for (uint32_t p = 0; p < P; ++p)
#pragma GCC unroll 8
    for (uint32_t r = 0; r < R; ++r) {
      float* to = out + r * g.out_stride + p * kPanelColumns;
      _mm512_storeu_ps(to, g.add ? _mm512_add_ps(_mm512_loadu_ps(to), sums[p][r]) : sums[p][r]);
    }
}

template <uint32_t P, Ahead kAhead, uint32_t R = kTileRows>
void dot_tile(const PanelGemm& g, const uint8_t* w, const uint8_t* x, uint32_t rows, float* out) {
  if constexpr (R > 0) {
    if (rows >= R) return dot_rows<R, P, kAhead>(g, w, x, out);
    dot_tile<P, kAhead, R - 1>(g, w, x, rows, out);
  }
}

// The first tile of rows brings the panels in for the others.
template <uint32_t P, Ahead kFirst>
void dot_panels(const PanelGemm& g, uint32_t panel) {
  const uint8_t* w = g.panel + panel * g.panel_bytes;
  float* out = g.out + panel * kPanelColumns;
  dot_tile<P, kFirst>(g, w, g.tiles, g.rows, out);
  for (uint32_t row = kTileRows; row < g.rows; row += kTileRows)
    dot_tile<P, Ahead::none>(g, w, g.tiles + row / kTileRows * g.tile_bytes, g.rows - row, out + row * g.out_stride);
}

}  // namespace

// A few rows are bound by reading weights, which one panel after the other does best; more share what they broadcast.
void bf16_dots(const PanelGemm& g) {
  uint32_t panel = 0;
  if (g.rows > kTileRows)
    for (; panel + kBf16GemmPanels <= g.panels; panel += kBf16GemmPanels)
      dot_panels<kBf16GemmPanels, Ahead::panels>(g, panel);
  for (; panel < g.panels; ++panel) dot_panels<1, Ahead::row>(g, panel);
}

void bf16_round_row(const float* x, uint32_t n, uint8_t* tile, uint32_t row) {
  const __m256i steps = _mm256_setr_epi32(0, 8, 16, 24, 32, 40, 48, 56);  // in pairs: a pair of each of the 8 rows
  uint8_t* to = tile + row * 4;
  for (uint32_t i = 0; i < n; i += 16, to += 8 * kTileRows * 4) {  // n is a multiple of 16
    const __m256i rounded = (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(x + i));
    _mm256_i32scatter_epi32(to, steps, rounded, 4);
  }
}

}  // namespace kvasir::cpu
