#include "engine/cpu/kernel_checks.h"

#include <cstring>
#include <vector>

#include "engine/cpu/bf16_dots.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

using cpu::kPanelColumns;
using cpu::kTileRows;
using cpu::PanelType;

constexpr std::uint32_t kK = 256, kRows = kTileRows + 3, kTiles = 2, kPanels = 2, kColumns = kPanels * kPanelColumns;

// Every second byte of a 16-bit float has its exponent: about one, of both signs.
void set_exponents(std::uint8_t* halves, std::size_t bytes, Prng& prng) {
  for (std::size_t i = 1; i < bytes; i += 2) halves[i] = static_cast<std::uint8_t>(0x38 | (prng.next() & 0x83));
}

std::vector<std::uint8_t> test_panels(PanelType type, Prng& prng) {
  std::vector<std::uint8_t> panels(kPanels * cpu::panel_bytes(type, kK));
  for (std::uint8_t& byte : panels) byte = static_cast<std::uint8_t>(prng.next());
  if (!cpu::wants_int8(type)) {
    set_exponents(panels.data(), panels.size(), prng);
    return panels;
  }
  const cpu::PanelFormat format = cpu::panel_format(type);
  std::uint8_t* at = panels.data();
  for (std::uint32_t group = 0; group < kPanels * kK / cpu::kGroup; ++group, at += format.group_bytes()) {
    if (group % format.groups() == 0) {
      set_exponents(at, format.header_bytes(), prng);
      at += format.header_bytes();
    }
    if (!format.super) set_exponents(at + format.scale_offset(), format.group_bytes() - format.scale_offset(), prng);
  }
  return panels;
}

std::vector<float> test_rows(Prng& prng) {
  std::vector<float> x(kRows * kK);
  for (float& value : x) value = static_cast<float>(prng.next() >> 40) * 0x1p-23f - 1.0f;
  return x;
}

std::vector<float> product(PanelType type, const std::vector<std::uint8_t>& panels,
                           const std::vector<std::uint8_t>& tiles, void (*gemm)(const cpu::PanelGemm&)) {
  std::vector<float> out(kRows * kColumns, 1.0f);
  gemm({panels.data(), cpu::panel_bytes(type, kK), kPanels, tiles.data(), tiles.size() / kTiles, kK, kRows, out.data(),
        kColumns, true});
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

bool quantized_products_agree(const cpu::KernelTable& kernels) {
  Prng prng(1);
  const std::vector<float> x = test_rows(prng);
  std::vector<std::uint8_t> tiles(kTiles * kK / cpu::kGroup * cpu::kTileGroupBytes);
  for (std::uint32_t row = 0; row < kRows; ++row)
    cpu::kScalarKernels.quantize(&x[row * kK], kK, tiles.data() + row / kTileRows * (tiles.size() / kTiles),
                                 row % kTileRows);
  for (std::uint32_t i = 0; i < cpu::kPanelTypes && cpu::wants_int8(PanelType{i}); ++i) {
    const std::vector<std::uint8_t> panels = test_panels(PanelType{i}, prng);
    if (!same_bits(product(PanelType{i}, panels, tiles, kernels.gemm[i]),
                   product(PanelType{i}, panels, tiles, cpu::kScalarKernels.gemm[i])))
      return false;
  }
  return true;
}

bool bf16_products_agree(const cpu::KernelTable& kernels) {
  Prng prng(2);
  const std::vector<float> x = test_rows(prng);
  std::vector<std::uint8_t> tiles(kTiles * cpu::bf16_tile_bytes(kK)), expected = tiles;
  for (std::uint32_t row = 0; row < kRows; ++row) {
    const std::size_t tile = row / kTileRows * cpu::bf16_tile_bytes(kK);
    kernels.round_row(&x[row * kK], kK, tiles.data() + tile, row % kTileRows);
    cpu::scalar_bf16_round_row(&x[row * kK], kK, expected.data() + tile, row % kTileRows);
  }
  if (tiles != expected) return false;
  const std::vector<std::uint8_t> panels = test_panels(PanelType::bf16, prng);
  return same_bits(product(PanelType::bf16, panels, tiles, kernels.gemm[static_cast<std::uint32_t>(PanelType::bf16)]),
                   product(PanelType::bf16, panels, tiles, cpu::scalar_bf16_dots));
}

}  // namespace kvasir
