#pragma once

#include <cstdint>

namespace kvasir {

// splitmix64 finalizer (Steele, Lea, Flood 2014): a bijection of 64 bits that mixes well enough to serve as a
// counter-based generator: uniform64(key, counter) has no state, so any position can be drawn in any order.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

constexpr std::uint64_t uniform64(std::uint64_t key, std::uint64_t counter) {
  return mix64(mix64(key) ^ mix64(counter * 0xD1342543DE82EF95ull + 1));
}

// In [0, 1) with 53 bits.
constexpr double uniform_double(std::uint64_t key, std::uint64_t counter) {
  return static_cast<double>(uniform64(key, counter) >> 11) * 0x1.0p-53;
}

// Sequential generator for tests and the simulator.
class Prng {
 public:
  explicit constexpr Prng(std::uint64_t seed) : state_(seed) {}
  constexpr std::uint64_t next() { return mix64(state_++); }
  // In [0, bound). REQUIRES: bound > 0.
  constexpr std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<__uint128_t>(next()) * bound) >> 64);
  }
  constexpr bool chance(std::uint32_t percent) { return below(100) < percent; }

 private:
  std::uint64_t state_;
};

}  // namespace kvasir
