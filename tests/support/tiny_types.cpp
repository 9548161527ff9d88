#include "tests/support/tiny_types.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "storage/base/assert.h"

namespace kvasir::testing {

namespace {

constexpr std::size_t kGroup = 32;
constexpr std::size_t kSuperBlock = 256;

template <class T>
void put(std::string& out, T value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  std::memcpy(out.data() + at, &value, sizeof value);
}

// Plain arithmetic on purpose, not the engine's bit tricks: the two check each other.
std::uint16_t half_bits(double value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(value);
  if (magnitude == 0) return sign;
  const int exponent = std::max(std::ilogb(magnitude), -14);
  const auto fraction = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));  // 11 bits
  return static_cast<std::uint16_t>(sign + (static_cast<std::uint32_t>(exponent + 14) << 10) + fraction);
}

double half_value(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const double fraction = exponent ? 1024 + (bits & 1023) : bits & 1023;
  return std::ldexp(fraction, std::max(exponent, 1) - 25) * (bits & 0x8000 ? -1 : 1);
}

// Appends a scale as f16 and returns what was written.
double put_half(std::string& out, double value) {
  const std::uint16_t bits = half_bits(value);
  put(out, bits);
  return half_value(bits);
}

// The step of [0, last] nearest to (x + offset) / step.
std::uint32_t nearest(double x, double offset, double step, std::uint32_t last) {
  if (step == 0) return 0;
  return static_cast<std::uint32_t>(std::clamp(std::nearbyint((x + offset) / step), 0.0, static_cast<double>(last)));
}

float largest_magnitude(std::span<const float> values) {
  float largest = 0;
  for (const float x : values) largest = std::max(largest, std::fabs(x));
  return largest;
}

void put_q8_0(std::string& out, std::span<const float> group) {
  const double d = put_half(out, largest_magnitude(group) / 127.0f);
  for (const float x : group) {
    put(out, static_cast<std::int8_t>(d == 0 ? 0 : std::clamp(std::nearbyint(x / d), -127.0, 127.0)));
  }
}

using Steps = std::array<std::uint32_t, kSuperBlock>;

void put_nibbles(std::string& out, std::span<const std::uint32_t> steps) {  // of one group of 32
  for (std::size_t i = 0; i < kGroup / 2; ++i) {
    put(out, static_cast<std::uint8_t>((steps[i] & 15) | (steps[i + kGroup / 2] & 15) << 4));
  }
}

void put_fifth_bits(std::string& out, std::span<const std::uint32_t> steps) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < kGroup; ++i) bits |= (steps[i] >> 4 & 1) << i;
  put(out, bits);
}

// Q4_0, Q5_0: the extreme value lies at the end of the range that has one step more.
void put_centred(std::string& out, std::uint32_t bits, std::span<const float> group) {
  const std::uint32_t middle = 1u << (bits - 1);
  const auto [low, high] = std::minmax_element(group.begin(), group.end());
  const float extreme = -*low > *high ? *low : *high;
  const double d = put_half(out, extreme / -static_cast<double>(middle));
  std::array<std::uint32_t, kGroup> steps;
  for (std::size_t i = 0; i < kGroup; ++i) steps[i] = nearest(group[i], middle * d, d, 2 * middle - 1);
  if (d == 0) steps.fill(middle);
  if (bits == 5) put_fifth_bits(out, steps);
  put_nibbles(out, steps);
}

// Q4_1, Q5_1
void put_ranged(std::string& out, std::uint32_t bits, std::span<const float> group) {
  const std::uint32_t last = (1u << bits) - 1;
  const auto [low, high] = std::minmax_element(group.begin(), group.end());
  const double d = put_half(out, (*high - *low) / static_cast<float>(last)), m = put_half(out, *low);
  std::array<std::uint32_t, kGroup> steps;
  for (std::size_t i = 0; i < kGroup; ++i) steps[i] = nearest(group[i], -m, d, last);
  if (bits == 5) put_fifth_bits(out, steps);
  put_nibbles(out, steps);
}

// The eight pairs of 6 bits in 12 bytes: four scales, four minima, then the low bits of the other four pairs, whose
// high two bits are on top of the first eight bytes.
void put_pairs(std::string& out, const std::array<std::uint32_t, 8>& scales, const std::array<std::uint32_t, 8>& mins) {
  for (std::size_t g = 0; g < 4; ++g) put(out, static_cast<std::uint8_t>(scales[g] | (scales[g + 4] >> 4) << 6));
  for (std::size_t g = 0; g < 4; ++g) put(out, static_cast<std::uint8_t>(mins[g] | (mins[g + 4] >> 4) << 6));
  for (std::size_t g = 4; g < 8; ++g) put(out, static_cast<std::uint8_t>((scales[g] & 15) | (mins[g] & 15) << 4));
}

void put_high_bits(std::string& out, const Steps& steps) {  // Q5_K: bit g of byte i is of element i of group g
  for (std::size_t i = 0; i < kGroup; ++i) {
    std::uint32_t byte = 0;
    for (std::size_t g = 0; g < 8; ++g) byte |= (steps[g * kGroup + i] >> 4 & 1) << g;
    put(out, static_cast<std::uint8_t>(byte));
  }
}

// Q4_K, Q5_K: a group is scale * step - minimum, the minimum never negative.
void put_k(std::string& out, std::uint32_t bits, std::span<const float> block) {
  const std::uint32_t last = (1u << bits) - 1;
  std::array<double, 8> ranges, lows;
  for (std::size_t g = 0; g < 8; ++g) {
    const auto [low, high] = std::minmax_element(&block[g * kGroup], &block[g * kGroup] + kGroup);
    lows[g] = std::max(0.0, -static_cast<double>(*low));
    ranges[g] = (std::max(0.0, static_cast<double>(*high)) + lows[g]) / last;
  }
  const double d = put_half(out, *std::max_element(ranges.begin(), ranges.end()) / 63);
  const double dmin = put_half(out, *std::max_element(lows.begin(), lows.end()) / 63);
  std::array<std::uint32_t, 8> scales, mins;
  Steps steps;
  for (std::size_t g = 0; g < 8; ++g) {
    scales[g] = nearest(ranges[g], 0, d, 63), mins[g] = nearest(lows[g], 0, dmin, 63);
    for (std::size_t i = g * kGroup; i < (g + 1) * kGroup; ++i)
      steps[i] = nearest(block[i], dmin * mins[g], d * scales[g], last);
  }
  put_pairs(out, scales, mins);
  if (bits == 5) put_high_bits(out, steps);
  for (std::size_t i = 0; i < kSuperBlock; i += 2 * kGroup) {
    for (std::size_t j = i; j < i + kGroup; ++j)
      put(out, static_cast<std::uint8_t>((steps[j] & 15) | (steps[j + kGroup] & 15) << 4));
  }
}

// A signed scale for each 16 elements, steps from -32 to 31.
void put_q6_k(std::string& out, std::span<const float> block) {
  std::array<double, 16> ranges;
  for (std::size_t g = 0; g < 16; ++g)
    ranges[g] = static_cast<double>(largest_magnitude(block.subspan(g * 16, 16))) / 31;
  std::string tail;
  const double d = put_half(tail, *std::max_element(ranges.begin(), ranges.end()) / 127);
  std::string scales;
  Steps steps;
  for (std::size_t g = 0; g < 16; ++g) {
    const std::uint32_t scale = nearest(ranges[g], 0, d, 127), sign = g % 2;  // every second scale is negative
    const double step = sign ? -d * scale : d * scale;
    put(scales, static_cast<std::int8_t>(sign ? -static_cast<int>(scale) : static_cast<int>(scale)));
    for (std::size_t i = g * 16; i < (g + 1) * 16; ++i)
      steps[i] = scale == 0 ? 32 : nearest(block[i], 32 * step, step, 63);
  }
  for (std::size_t half = 0; half < kSuperBlock; half += 128) {
    for (std::size_t i = half; i < half + 64; ++i)
      put(out, static_cast<std::uint8_t>((steps[i] & 15) | (steps[i + 64] & 15) << 4));
  }
  for (std::size_t half = 0; half < kSuperBlock; half += 128) {
    for (std::size_t i = half; i < half + 32; ++i)
      put(out, static_cast<std::uint8_t>(steps[i] >> 4 | steps[i + 32] >> 4 << 2 | steps[i + 64] >> 4 << 4 |
                                         steps[i + 96] >> 4 << 6));
  }
  out += scales + tail;
}

void put_block(std::string& out, TinyType type, std::span<const float> block) {
  switch (type) {
    case TinyType::f32:
      return put(out, block[0]);
    case TinyType::f16:
      return put(out, half_bits(block[0]));
    case TinyType::bf16:
      return put(out, static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(block[0]) >> 16));
    case TinyType::q8_0:
      return put_q8_0(out, block);
    case TinyType::q4_0:
      return put_centred(out, 4, block);
    case TinyType::q5_0:
      return put_centred(out, 5, block);
    case TinyType::q4_1:
      return put_ranged(out, 4, block);
    case TinyType::q5_1:
      return put_ranged(out, 5, block);
    case TinyType::q4_k:
      return put_k(out, 4, block);
    case TinyType::q5_k:
      return put_k(out, 5, block);
    case TinyType::q6_k:
      return put_q6_k(out, block);
  }
}

}  // namespace

std::uint32_t tiny_block_elements(TinyType type) {
  switch (type) {
    case TinyType::f32:
    case TinyType::f16:
    case TinyType::bf16:
      return 1;
    case TinyType::q4_k:
    case TinyType::q5_k:
    case TinyType::q6_k:
      return kSuperBlock;
    default:
      return kGroup;
  }
}

void put_values(std::string& out, TinyType type, std::span<const float> values) {
  const std::size_t elements = tiny_block_elements(type);
  KVASIR_ASSERT(values.size() % elements == 0);
  for (std::size_t i = 0; i < values.size(); i += elements) put_block(out, type, values.subspan(i, elements));
}

}  // namespace kvasir::testing
