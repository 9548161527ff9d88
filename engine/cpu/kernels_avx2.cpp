// Kernel class avx2: AVX2, FMA and F16C; a panel's 16 columns are two vectors.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/cpu/kernels.h"

namespace kvasir::cpu {
namespace {

struct V {
  static constexpr uint32_t kLanes = 8;
  static constexpr uint32_t kGemmRows = 4;  // 16 registers: 8 weight vectors, 4 accumulators, temporaries
  static constexpr uint32_t kGemmPanels = 1;
  static constexpr uint32_t unpack_rows(uint32_t bits) { return bits == 8 ? 24 : 12; }
  static constexpr uint32_t kQueries = 6;
  using F = __m256;
  using I = __m256i;

  static F zero() { return _mm256_setzero_ps(); }
  static F set1(float x) { return _mm256_set1_ps(x); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F v) { _mm256_storeu_ps(p, v); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F abs(F v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v); }
  static F round(F v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static F swap_pairs(F v) { return _mm256_permute_ps(v, 0xB1); }
  static F times_power_of_2(F v, F n) {
    const I shifted = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(v), shifted));
  }
  static F where_at_least(F x, float limit, F v) {
    return _mm256_and_ps(_mm256_cmp_ps(x, _mm256_set1_ps(limit), _CMP_GE_OQ), v);
  }
  static F first(F v, uint32_t count, F other) {
    const I lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const I inside = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(count)), lane);
    return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(inside));
  }
  static float horizontal_max(F v) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
  }
  static F load_f16(const void* p) { return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p))); }
  static void load_bf16_pairs(const uint8_t* p, F* pair) {  // the first of each lane, and the second
    const I both = load_bytes(p);
    pair[0] = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
    pair[1] = _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32(-65536)));
  }
  static void store_f16(uint16_t* p, F v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }

  static I zero_int() { return _mm256_setzero_si256(); }
  static I to_int(F v) { return _mm256_cvtps_epi32(v); }
  static F to_float(I v) { return _mm256_cvtepi32_ps(v); }
  static I add_int(I a, I b) {
    I sum = _mm256_add_epi32(a, b);
    asm("" : "+x"(sum));  // compilers regroup sums to a tree, and run out of registers
    return sum;
  }
  static int32_t horizontal_sum_int(I v) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1)));
  }
  static void store_int8(uint8_t* p, I v) {
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
  }
  static void prefetch(const uint8_t* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }
  static I load_bytes(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store_bytes(uint8_t* p, I v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static I low_nibbles(I v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
  static I high_nibbles(I v) { return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15)); }
  template <int kLeft>
  static I move_left(I v) {
    if constexpr (kLeft >= 0) return _mm256_slli_epi16(v, kLeft);
    return _mm256_srli_epi16(v, kLeft < 0 ? -kLeft : 0);
  }
  template <uint32_t kMask>  // of each byte
  static I or_masked(I v, I bits) {
    return _mm256_or_si256(v, _mm256_and_si256(bits, _mm256_set1_epi8(kMask)));
  }
  static I load_u8(const uint8_t* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static I load_i8(const uint8_t* p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static I sub_int(I a, I b) { return _mm256_sub_epi32(a, b); }
  template <int kBy>
  static I shift_right(I v) {
    return _mm256_srai_epi32(v, kBy);
  }
  static I four_bytes(const uint8_t* p) {
    int32_t value;
    __builtin_memcpy(&value, p, sizeof value);
    return _mm256_set1_epi32(value);
  }
  static constexpr bool kDotProducts = false;
  // The int16 sums of so many slots do not overflow: 8 * 2 * 15 * 127, 4 * 2 * 31 * 127 and 2 * 2 * 63 * 127 < 32768.
  static constexpr uint32_t slots_in_int16(uint32_t bits) { return bits == 4 ? 8 : bits == 5 ? 4 : 2; }
  static I multiply_pairs(I weights, I x) { return _mm256_maddubs_epi16(weights, x); }
  static I add_int16(I a, I b) {
    I sum = _mm256_add_epi16(a, b);
    asm("" : "+x"(sum));  // compilers regroup such sums to a tree, and run out of registers
    return sum;
  }
  static I sum_pairs(I v) { return _mm256_madd_epi16(v, _mm256_set1_epi16(1)); }
  // Weights as they are, of stored + 128.
  struct Signed {
    I magnitude, weights;
  };
  static Signed without_128(I stored) {
    const I w = _mm256_xor_si256(stored, _mm256_set1_epi8(-128));
    return {_mm256_abs_epi8(w), w};
  }
  // Of |w| and sign(w) * x: two products of at most 128 * 127 fit int16.
  static I dot_signed(const Signed& w, I x) {
    return sum_pairs(_mm256_maddubs_epi16(w.magnitude, _mm256_sign_epi8(x, w.weights)));
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
    for (uint32_t i = 0; i < kSlots; ++i) sum = add_int16(sum, multiply_pairs(weights[i], four_bytes(x + i * 4)));
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

constinit const KernelTable kAvx2Kernels = make_table("avx2");

}  // namespace kvasir::cpu
