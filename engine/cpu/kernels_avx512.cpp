// Kernel class avx512: AVX-512 F, BW, DQ, VL without VNNI.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cpu/kernels.h"

namespace kvasir::cpu {
namespace {

#include "engine/cpu/avx512_lanes.inc"

struct V : Avx512 {
  static constexpr uint32_t kGemmPanels = 2;
  static constexpr uint32_t unpack_rows(uint32_t bits) { return bits == 8 ? 0 : bits == 4 ? 32 : 16; }
  static constexpr bool kDotProducts = false;
  // The int16 sums of so many slots do not overflow: 8 * 2 * 15 * 127, 4 * 2 * 31 * 127 and 2 * 2 * 63 * 127 < 32768.
  static constexpr uint32_t slots_in_int16(uint32_t bits) { return bits == 4 ? 8 : bits == 5 ? 4 : 2; }
  static I multiply_pairs(I weights, I x) { return _mm512_maddubs_epi16(weights, x); }
  static I add_int16(I a, I b) {
    I sum = _mm512_add_epi16(a, b);
    asm("" : "+v"(sum));  // compilers regroup such sums to a tree, and run out of registers
    return sum;
  }
  static I add_int(I a, I b) {
    I sum = _mm512_add_epi32(a, b);
    asm("" : "+v"(sum));
    return sum;
  }
  static I sum_pairs(I v) { return _mm512_madd_epi16(v, _mm512_set1_epi16(1)); }
  // Weights as they are, of stored + 128.
  struct Signed {
    I magnitude;
    __mmask64 negative;
  };
  static Signed without_128(I stored) {
    const I w = _mm512_xor_si512(stored, _mm512_set1_epi8(-128));
    return {_mm512_abs_epi8(w), _mm512_movepi8_mask(w)};
  }
  // Of |w| and sign(w) * x: two products of at most 128 * 127 fit int16.
  static I dot_signed(const Signed& w, I x) {
    return sum_pairs(_mm512_maddubs_epi16(w.magnitude, _mm512_mask_sub_epi8(x, w.negative, zero_int(), x)));
  }

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
  template <uint32_t kSlots>
  static I dot(const I* weights, const uint8_t* x) {
    I sum = zero_int();
    for (uint32_t i = 0; i < kSlots; ++i)
      sum = _mm512_add_epi16(sum, multiply_pairs(weights[i], four_bytes(x + i * 4)));
    return sum_pairs(sum);
  }
  static I dot_biased8(const I* weights, const uint8_t* x) {
    I sum = zero_int();
    for (uint32_t i = 0; i < 8; ++i) sum = add_int(sum, dot_signed(without_128(weights[i]), four_bytes(x + i * 4)));
    return sum;
  }
};

#include "engine/cpu/kernel_body.inc"

}  // namespace

constinit const KernelTable kAvx512Kernels = make_table("avx512");

}  // namespace kvasir::cpu
