// Kernel class avx512_vnni: 512-bit vectors, u8 x s8 dot products in one instruction.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cpu/kernels.h"

namespace kvasir::cpu {
namespace {

#include "engine/cpu/avx512_lanes.inc"

struct V : Avx512 {
  static constexpr uint32_t kGemmPanels = 3;  // 4 rows of 3 panels: 24 sums, 3 weight vectors and temporaries
  static constexpr uint32_t unpack_rows(uint32_t bits) { return bits == 5 || bits == 6 ? 24 : 48; }
  static constexpr bool kDotProducts = true;

  static I add_dot(I sum, I weights, I x) { return _mm512_dpbusd_epi32(sum, weights, x); }
  // Adds the dot products of R rows with kSlots slots of unsigned weights. A dot product instruction waits four cycles
  // for the one before and two could start in each, so about eight sums grow side by side: those of the rows, or
  // several for each row (integers add up exactly in any order).
  template <uint32_t R, uint32_t kBits, uint32_t kSlots>
  static void add_dots(const I* weights, const uint8_t* x, I* dots) {
    constexpr uint32_t kSums = R <= 2 ? 4 : R <= 4 ? 2 : 1;
    I sums[kSums][R];
    for (uint32_t s = 0; s < kSums; ++s)
      for (uint32_t r = 0; r < R; ++r) sums[s][r] = s == 0 ? dots[r] : zero_int();
    for (uint32_t i = 0; i < kSlots; ++i)
      for (uint32_t r = 0; r < R; ++r)
        sums[i % kSums][r] = _mm512_dpbusd_epi32(sums[i % kSums][r], weights[i], four_bytes(x + r * kGroup + i * 4));
    for (uint32_t width = kSums / 2; width > 0; width /= 2)
      for (uint32_t s = 0; s < width; ++s)
        for (uint32_t r = 0; r < R; ++r) sums[s][r] = add_int(sums[s][r], sums[s + width][r]);
    for (uint32_t r = 0; r < R; ++r) dots[r] = sums[0][r];
  }
  // Weights are stored + 128; `biases` are -128 * the sum of each row's x.
  template <uint32_t R>
  static void dots_biased8(const I* weights, const uint8_t* x, const uint8_t* biases, I* dots) {
    for (uint32_t r = 0; r < R; ++r) dots[r] = four_bytes(biases + r * 4);
    add_dots<R, 8, 8>(weights, x, dots);
  }
};

#include "engine/cpu/kernel_body.inc"

}  // namespace

constinit const KernelTable kAvx512VnniKernels = make_table("avx512_vnni");

}  // namespace kvasir::cpu
