// Kernel class avx512: AVX-512 F, BW, DQ, VL without VNNI.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cpu/kernels.h"

namespace kvasir::cpu {
namespace {

#include "engine/cpu/avx512_lanes.inc"

struct V : Avx512 {
  // Adds the dot products of R rows with kSlots slots of unsigned weights of less than 8 bits.
  template <uint32_t R, uint32_t kBits, uint32_t kSlots>
  static void add_dots(const I* weights, const uint8_t* x, I* dots) {
    constexpr uint32_t kAtOnce = slots_in_int16(kBits) < kSlots ? slots_in_int16(kBits) : kSlots;
    for (uint32_t r = 0; r < R; ++r)
      for (uint32_t i = 0; i < kSlots; i += kAtOnce)
        dots[r] = add_int(dots[r], dot<kAtOnce>(weights + i, x + r * kGroup + i * 4));
  }
  template <uint32_t R>
  static void dots_biased8(const I* weights, const uint8_t* x, const uint8_t*, I* dots) {
    for (uint32_t r = 0; r < R; ++r) dots[r] = dot_biased8(weights, x + r * kGroup);
  }

 private:
  // The int16 sums of so many slots do not overflow: 8 * 2 * 15 * 127, 4 * 2 * 31 * 127 and 2 * 2 * 63 * 127 < 32768.
  static constexpr uint32_t slots_in_int16(uint32_t bits) { return bits == 4 ? 8 : bits == 5 ? 4 : 2; }
  template <uint32_t kSlots>
  static I dot(const I* weights, const uint8_t* x) {
    I sum = zero_int();
    for (uint32_t i = 0; i < kSlots; ++i)
      sum = _mm512_add_epi16(sum, _mm512_maddubs_epi16(weights[i], four_bytes(x + i * 4)));
    return _mm512_madd_epi16(sum, _mm512_set1_epi16(1));
  }
  // Weights are stored + 128. |w| * (sign(w) * x): two products of at most 128 * 127 fit int16.
  static I dot_biased8(const I* weights, const uint8_t* x) {
    const I ones = _mm512_set1_epi16(1);
    I sum = zero_int();
    for (uint32_t i = 0; i < 8; ++i) {
      const I w = _mm512_xor_si512(weights[i], _mm512_set1_epi8(-128));
      const I v = four_bytes(x + i * 4);
      const I signed_x = _mm512_mask_sub_epi8(v, _mm512_movepi8_mask(w), zero_int(), v);
      sum = _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(_mm512_abs_epi8(w), signed_x), ones));
    }
    return sum;
  }
};

#include "engine/cpu/kernel_body.inc"

}  // namespace

constinit const KernelTable kAvx512Kernels = make_table("avx512");

}  // namespace kvasir::cpu
