// What the kernel class amx_int8 has of its own: products of quantized panels in AMX tile registers.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cpu/amx_int8.h"

namespace kvasir::cpu {
namespace {

#include "engine/cpu/avx512_lanes.inc"

using V = Avx512;

// Tile numbers are part of an instruction, and the compiler's macros want them as literals.
struct T {
  static constexpr const KernelTable& kFewRows = kAvx512VnniKernels;

  template <class Config>
  static void configure(const Config& config) {
    _tile_loadconfig(&config);
  }
  static void release() { _tile_release(); }

  template <int kTile>
  static void load(const void* from, size_t stride) {
    static_assert(kTile >= 1 && kTile <= 5);
    __asm__ volatile("" ::: "memory");  // the compiler does not know that the next instruction reads memory
    if constexpr (kTile == 1) _tile_loadd(1, from, stride);
    if constexpr (kTile == 2) _tile_loadd(2, from, stride);
    if constexpr (kTile == 3) _tile_loadd(3, from, stride);
    if constexpr (kTile == 4) _tile_loadd(4, from, stride);
    if constexpr (kTile == 5) _tile_loadd(5, from, stride);
  }
  template <int kTile>
  static void zero() {
    static_assert(kTile == 0);
    _tile_zero(0);
  }
  template <int kTile>
  static void store(void* to, size_t stride) {
    static_assert(kTile == 0);
    _tile_stored(0, to, stride);
    __asm__ volatile("" ::: "memory");
  }
  template <int kTo, int kSigned, int kUnsigned>
  static void add_dots() {
    static_assert(kTo == 0 && (kSigned == 1 ? kUnsigned == 2 : kSigned == 3 && (kUnsigned == 4 || kUnsigned == 5)));
    if constexpr (kUnsigned == 2) _tile_dpbsud(0, 1, 2);
    if constexpr (kUnsigned == 4) _tile_dpbsud(0, 3, 4);
    if constexpr (kUnsigned == 5) _tile_dpbsud(0, 3, 5);
  }
};

#include "engine/cpu/kernel_amx.inc"

}  // namespace

void use_amx_int8(KernelTable& table) { set_amx_products(table); }

}  // namespace kvasir::cpu
