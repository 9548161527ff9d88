#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "engine/cpu/bf16_dots.h"

namespace kvasir::cpu {
namespace {

// Zero of the same sign for what is below the smallest normal number.
float flush(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

float bf16_at(const std::uint8_t* p) {
  std::uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return flush(std::bit_cast<float>(std::uint32_t{bits} << 16));
}

float dot(const std::uint8_t* w, const std::uint8_t* x, std::uint32_t k) {
  float sum = 0.0f;
  for (std::uint32_t i = 0; i < k; i += 2, w += kPanelColumns * 4, x += kTileRows * 4) {
    sum = flush(std::fma(bf16_at(w + 2), bf16_at(x + 2), sum));
    sum = flush(std::fma(bf16_at(w), bf16_at(x), sum));
  }
  return sum;
}

}  // namespace

void scalar_bf16_dots(const PanelGemm& g) {
  for (std::uint32_t row = 0; row < g.rows; ++row)
    for (std::uint32_t column = 0; column < g.panels * kPanelColumns; ++column) {
      const std::uint8_t* w = g.panel + column / kPanelColumns * g.panel_bytes + column % kPanelColumns * 4;
      const std::uint8_t* x = g.tiles + row / kTileRows * g.tile_bytes + row % kTileRows * 4;
      float& out = g.out[row * g.out_stride + column];
      out = g.add ? out + dot(w, x, g.k) : dot(w, x, g.k);
    }
}

void scalar_bf16_round_row(const float* x, std::uint32_t n, std::uint8_t* tile, std::uint32_t row) {
  for (std::uint32_t i = 0; i < n; ++i) {
    std::uint32_t bits = std::bit_cast<std::uint32_t>(flush(x[i]));
    bits += 0x7FFF + (bits >> 16 & 1);  // to nearest, ties to even
    const auto rounded = static_cast<std::uint16_t>(bits >> 16);
    std::memcpy(tile + (std::size_t{i / 2} * kTileRows + row) * 4 + i % 2 * 2, &rounded, sizeof rounded);
  }
}

}  // namespace kvasir::cpu
