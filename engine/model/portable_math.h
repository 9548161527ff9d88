#pragma once

#include <bit>
#include <cstdint>

namespace kvasir {

// exp, log, sine and cosine from IEEE additions and multiplications alone, so that their bits are the same on every
// x86-64 (the C library picks its variant by processor). Loops over exp_portable vectorize. Errors: a few units in the
// last place of a double.

// 0 below -708. REQUIRES: x <= 709, not NaN (NaN gives NaN or 0).
inline double exp_portable(double x) {
  constexpr double kLog2E = 0x1.71547652b82fep+0, kLn2High = 0x1.62e42fee00000p-1, kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr double kShift = 0x1.8p52;  // adding it rounds to a whole number, left in the low bits
  const double clamped = x < -708.0 ? -708.0 : x;
  const double shifted = clamped * kLog2E + kShift;
  const double n = shifted - kShift;
  const double r = (clamped - n * kLn2High) - n * kLn2Low;  // |r| <= ln(2) / 2
  double p = 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  const double power = std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) + 1023) << 52);
  const double result = p * power;
  return x < -708.0 ? 0.0 : result;
}

// Four floats; both compilers know vectors of 16 bytes on every x86-64.
using Float4 = float __attribute__((vector_size(16)));
using Int4 = std::int32_t __attribute__((vector_size(16)));

// exp of four floats, to 2e-7 of the value. Below -87, and for what is not a number, the value at -87 (1.6e-38).
// REQUIRES: none above 88.
inline Float4 exp_portable(Float4 x) {
  constexpr float kLog2E = 0x1.715476p+0f, kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
  constexpr float kShift = 0x1.8p23f, kLowest = -87.0f;
  const Int4 inside = x > kLowest;
  const Float4 lowest = {kLowest, kLowest, kLowest, kLowest};
  const Float4 clamped = (Float4)(((Int4)x & inside) | ((Int4)lowest & ~inside));
  const Float4 shifted = clamped * kLog2E + kShift;
  const Float4 n = shifted - kShift;
  const Float4 r = (clamped - n * kLn2High) - n * kLn2Low;
  Float4 p = r * (1.0f / 5040) + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * (Float4)(((Int4)shifted + 127) << 23);
}

// REQUIRES: x > 0, normal.
inline double log_portable(double x) {
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(x);
  const double exponent = static_cast<double>(static_cast<std::int64_t>(bits >> 52) - 1023);
  const double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFull) | (1023ull << 52));  // [1, 2)
  double y = (m - 1) * (1.5 - 0.5 * m);  // a start; each Halley step cubes the error
  for (int step = 0; step < 4; ++step) {
    const double e = exp_portable(y);
    y += 2 * (m - e) / (m + e);
  }
  return exponent * 0x1.62e42fefa39efp-1 + y;
}

struct SineCosine {
  double sine, cosine;
};

// REQUIRES: 0 <= x < 2^26. Past 2^20 the error grows, to 1e-9 at 2^24.
inline SineCosine sine_cosine_portable(double x) {
  constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
  constexpr double kHalfPiHigh = 0x1.921fb54400000p+0, kHalfPiMiddle = 0x1.0b4611a600000p-34;
  constexpr double kHalfPiLow = 0x1.3198a2e037073p-69;  // n * High, n * Middle are exact for n < 2^20
  const auto n = static_cast<std::int64_t>(x * kTwoOverPi + 0.5);
  const double q = static_cast<double>(n);
  const double r = ((x - q * kHalfPiHigh) - q * kHalfPiMiddle) - q * kHalfPiLow;
  const double z = r * r;
  double s = -1.0 / 1307674368000.0, c = -1.0 / 87178291200.0;
  s = s * z + 1.0 / 6227020800.0, c = c * z + 1.0 / 479001600.0;
  s = s * z - 1.0 / 39916800.0, c = c * z - 1.0 / 3628800.0;
  s = s * z + 1.0 / 362880.0, c = c * z + 1.0 / 40320.0;
  s = s * z - 1.0 / 5040.0, c = c * z - 1.0 / 720.0;
  s = s * z + 1.0 / 120.0, c = c * z + 1.0 / 24.0;
  s = s * z - 1.0 / 6.0, c = c * z - 0.5;
  s = r + r * (z * s), c = 1.0 + z * c;
  switch (n & 3) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

}  // namespace kvasir
