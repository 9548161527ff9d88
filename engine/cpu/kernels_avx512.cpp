// Kernel class avx512: AVX-512 F, BW, DQ, VL without VNNI.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cpu/kernels.h"

namespace kvasir::cpu {
namespace {

struct V {
  static constexpr uint32_t kLanes = 16;
  static constexpr uint32_t kGemmRows = 8;  // accumulators, 8 weight vectors and temporaries fit 32 registers
  static constexpr uint32_t kQueries = 12;
  using F = __m512;
  using I = __m512i;

  static F zero() { return _mm512_setzero_ps(); }
  static F set1(float x) { return _mm512_set1_ps(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F abs(F v) { return _mm512_abs_ps(v); }
  static F round(F v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static F swap_pairs(F v) { return _mm512_permute_ps(v, 0xB1); }
  static F times_power_of_2(F v, F n) {
    const I shifted = _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(v), shifted));
  }
  static F where_at_least(F x, float limit, F v) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(limit), _CMP_GE_OQ), v);
  }
  static F first(F v, uint32_t count, F other) {
    return _mm512_mask_mov_ps(other, static_cast<__mmask16>((1u << count) - 1), v);
  }
  static float horizontal_max(F v) { return _mm512_reduce_max_ps(v); }
  static F load_f16(const void* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p))); }
  static F load_bf16(const void* p) {
    const I wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  static void store_f16(uint16_t* p, F v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }

  static I zero_int() { return _mm512_setzero_si512(); }
  static I to_int(F v) { return _mm512_cvtps_epi32(v); }
  static F to_float(I v) { return _mm512_cvtepi32_ps(v); }
  static I add_int(I a, I b) { return _mm512_add_epi32(a, b); }
  static int32_t horizontal_sum_int(I v) { return _mm512_reduce_add_epi32(v); }
  static void store_int8(uint8_t* p, I v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v)); }
  static void prefetch(const uint8_t* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }
  static I load_bytes(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static I low_nibbles(I v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
  static I high_nibbles(I v) { return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15)); }
  static I four_bytes(const uint8_t* p) {
    int32_t value;
    __builtin_memcpy(&value, p, sizeof value);
    return _mm512_set1_epi32(value);
  }
  template <uint32_t R>
  static void dots_unsigned4(const I* weights, const uint8_t* x, I* dots) {
    for (uint32_t r = 0; r < R; ++r) dots[r] = dot_unsigned4(weights, x + r * kGroup);
  }
  template <uint32_t R>
  static void dots_biased8(const I* weights, const uint8_t* x, const uint8_t*, I* dots) {
    for (uint32_t r = 0; r < R; ++r) dots[r] = dot_biased8(weights, x + r * kGroup);
  }

 private:
  static I dot_unsigned4(const I* weights, const uint8_t* x) {
    I sum = zero_int();  // int16: 8 * 2 * 15 * 127 < 32768
    for (uint32_t i = 0; i < 8; ++i)
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

const KernelTable kAvx512Kernels = make_table("avx512");

}  // namespace kvasir::cpu
