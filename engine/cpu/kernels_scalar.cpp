// Kernel class scalar: plain C, one lane after the other. The oracle of the vector classes and the fallback of
// processors without AVX2.
#include <stddef.h>
#include <stdint.h>

#include "engine/cpu/kernels.h"

namespace kvasir::cpu {
namespace {

struct V {
  static constexpr uint32_t kLanes = 16;
  static constexpr uint32_t kGemmRows = 4;
  static constexpr uint32_t kGemmPanels = 1;
  static constexpr uint32_t kQueries = 6;
  struct F {
    float v[kLanes];
  };
  struct I {
    int32_t v[kLanes];
  };  // of weights: 4 bytes each, the first lowest

  template <class Function>
  static F each(Function&& f) {
    F r;
    for (uint32_t i = 0; i < kLanes; ++i) r.v[i] = f(i);
    return r;
  }
  template <class Function>
  static I each_int(Function&& f) {
    I r;
    for (uint32_t i = 0; i < kLanes; ++i) r.v[i] = f(i);
    return r;
  }

  static F zero() { return set1(0.0f); }
  static F set1(float x) {
    return each([&](uint32_t) { return x; });
  }
  static F load(const float* p) {
    return each([&](uint32_t i) { return p[i]; });
  }
  static void store(float* p, const F& a) { __builtin_memcpy(p, a.v, sizeof a.v); }
  static F fma(const F& a, const F& b, const F& c) {
    return each([&](uint32_t i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
  }
  static F add(const F& a, const F& b) {
    return each([&](uint32_t i) { return a.v[i] + b.v[i]; });
  }
  static F sub(const F& a, const F& b) {
    return each([&](uint32_t i) { return a.v[i] - b.v[i]; });
  }
  static F mul(const F& a, const F& b) {
    return each([&](uint32_t i) { return a.v[i] * b.v[i]; });
  }
  static F div(const F& a, const F& b) {
    return each([&](uint32_t i) { return a.v[i] / b.v[i]; });
  }
  // As the vector instructions: the second operand where they do not compare.
  static F max(const F& a, const F& b) {
    return each([&](uint32_t i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  static F min(const F& a, const F& b) {
    return each([&](uint32_t i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
  }
  static F abs(const F& a) {
    return each([&](uint32_t i) { return __builtin_fabsf(a.v[i]); });
  }
  static F round(const F& a) {
    return each([&](uint32_t i) { return __builtin_nearbyintf(a.v[i]); });
  }
  static F swap_pairs(const F& a) {
    return each([&](uint32_t i) { return a.v[i ^ 1]; });
  }
  static F times_power_of_2(const F& a, const F& n) {
    return each([&](uint32_t i) {
      const uint32_t bits = bits_of(a.v[i]) + (static_cast<uint32_t>(round_to_int(n.v[i])) << 23);
      return float_of(bits);
    });
  }
  static F where_at_least(const F& x, float limit, const F& a) {
    return each([&](uint32_t i) { return x.v[i] >= limit ? a.v[i] : 0.0f; });
  }
  static F first(const F& a, uint32_t count, const F& other) {
    return each([&](uint32_t i) { return i < count ? a.v[i] : other.v[i]; });
  }
  static float horizontal_max(const F& a) {
    float top = a.v[0];
    for (uint32_t i = 1; i < kLanes; ++i) top = top > a.v[i] ? top : a.v[i];
    return top;
  }
  static F load_f16(const void* p) {
    return each([&](uint32_t i) { return half_to_float(load_half(p, i)); });
  }
  static void load_bf16_pairs(const uint8_t* p, F* pair) {  // the first of each lane, and the second
    for (uint32_t e = 0; e < 2; ++e)
      pair[e] = each([&](uint32_t i) { return float_of(static_cast<uint32_t>(load_half(p, 2 * i + e)) << 16); });
  }
  static void store_f16(uint16_t* p, const F& a) {
    for (uint32_t i = 0; i < kLanes; ++i) p[i] = float_to_half(a.v[i]);
  }

  static I zero_int() {
    return each_int([](uint32_t) { return 0; });
  }
  static I to_int(const F& a) {
    return each_int([&](uint32_t i) { return round_to_int(a.v[i]); });
  }
  static F to_float(const I& a) {
    return each([&](uint32_t i) { return static_cast<float>(a.v[i]); });
  }
  static I add_int(const I& a, const I& b) {
    return each_int([&](uint32_t i) { return a.v[i] + b.v[i]; });
  }
  static int32_t horizontal_sum_int(const I& a) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < kLanes; ++i) sum += a.v[i];
    return sum;
  }
  static void store_int8(uint8_t* p, const I& a) {
    for (uint32_t i = 0; i < kLanes; ++i) p[i] = static_cast<uint8_t>(a.v[i]);
  }
  static void prefetch(const uint8_t*) {}
  static I load_bytes(const uint8_t* p) {
    I r;
    __builtin_memcpy(r.v, p, sizeof r.v);
    return r;
  }
  static I low_nibbles(const I& a) {
    return each_int([&](uint32_t i) { return a.v[i] & 0x0F0F0F0F; });
  }
  static I high_nibbles(const I& a) {
    return each_int([&](uint32_t i) { return (a.v[i] >> 4) & 0x0F0F0F0F; });
  }
  template <int kLeft>  // what crosses bytes is masked away by or_masked
  static I move_left(const I& a) {
    return each_int([&](uint32_t i) {
      const uint32_t bits = static_cast<uint32_t>(a.v[i]);
      return static_cast<int32_t>(kLeft >= 0 ? bits << (kLeft & 31) : bits >> (-kLeft & 31));
    });
  }
  template <uint32_t kMask>  // of each byte
  static I or_masked(const I& a, const I& bits) {
    return each_int([&](uint32_t i) { return a.v[i] | (bits.v[i] & static_cast<int32_t>(kMask * 0x01010101u)); });
  }
  static I load_u8(const uint8_t* p) {
    return each_int([&](uint32_t i) { return static_cast<int32_t>(p[i]); });
  }
  static I load_i8(const uint8_t* p) {
    return each_int([&](uint32_t i) { return static_cast<int32_t>(static_cast<int8_t>(p[i])); });
  }
  static I four_bytes(const uint8_t* p) {
    int32_t value;
    __builtin_memcpy(&value, p, sizeof value);
    return each_int([&](uint32_t) { return value; });
  }
  static I sub_int(const I& a, const I& b) {
    return each_int([&](uint32_t i) { return a.v[i] - b.v[i]; });
  }
  template <int kBy>
  static I shift_right(const I& a) {
    return each_int([&](uint32_t i) { return a.v[i] >> kBy; });
  }
  // Adds the dot products of R rows with kSlots slots of unsigned weights.
  template <uint32_t R, uint32_t kBits, uint32_t kSlots>
  static void add_dots(const I* weights, const uint8_t* x, I* dots) {
    for (uint32_t r = 0; r < R; ++r) dots[r] = add_int(dots[r], dot<kSlots>(weights, x + r * kGroup));
  }
  template <uint32_t R>
  static void dots_biased8(const I* weights, const uint8_t* x, const uint8_t* biases, I* dots) {
    for (uint32_t r = 0; r < R; ++r) dots[r] = four_bytes(biases + r * 4);
    add_dots<R, 8, 8>(weights, x, dots);
  }

 private:
  template <uint32_t kSlots>
  static I dot(const I* weights, const uint8_t* x) {
    return each_int([&](uint32_t lane) {
      int32_t sum = 0;
      for (uint32_t i = 0; i < kSlots * 4; ++i) {
        const int32_t w = (weights[i / 4].v[lane] >> (i % 4 * 8)) & 255;
        sum += w * static_cast<int8_t>(x[i]);
      }
      return sum;
    });
  }
  static uint32_t bits_of(float x) {
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
  }
  static float float_of(uint32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
  }
  static int32_t round_to_int(float x) { return static_cast<int32_t>(__builtin_lrintf(x)); }
  static uint16_t load_half(const void* p, uint32_t i) {
    uint16_t bits;
    __builtin_memcpy(&bits, static_cast<const uint8_t*>(p) + i * 2, sizeof bits);
    return bits;
  }
  static float half_to_float(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
    const uint32_t exponent = (half >> 10) & 31, mantissa = half & 1023;
    if (exponent == 31) return float_of(sign | 0x7F800000 | mantissa << 13);
    const float magnitude =
        exponent == 0 ? static_cast<float>(mantissa) * 0x1p-24f : float_of((exponent + 112) << 23 | mantissa << 13);
    return sign != 0 ? -magnitude : magnitude;
  }
  // Of a finite value in the range of f16: to nearest, ties to even.
  static uint16_t float_to_half(float x) {
    const uint16_t sign = static_cast<uint16_t>((bits_of(x) >> 16) & 0x8000);
    const float magnitude = __builtin_fabsf(x);
    if (magnitude < 0x1p-14f)  // subnormal: units of 2^-24
      return static_cast<uint16_t>(sign | static_cast<uint16_t>(round_to_int(magnitude * 0x1p24f)));
    uint32_t bits = bits_of(magnitude) - (112u << 23);
    bits += 0xFFF + ((bits >> 13) & 1);
    return static_cast<uint16_t>(sign | (bits >> 13));
  }
};

#include "engine/cpu/kernel_body.inc"

}  // namespace

constinit const KernelTable kScalarKernels = make_table("scalar");

}  // namespace kvasir::cpu
