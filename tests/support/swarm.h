#pragma once

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "storage/base/prng.h"

namespace kvasir::testing {

// Chooses kinds of operations in the manner of swarm testing: every seed switches some kinds off and draws wild weights
// for the others, so that seeds differ in what they stress.
class Swarm {
 public:
  Swarm(Prng& prng, std::uint32_t kinds, std::span<const std::uint32_t> always_on) : prng_(prng), weights_(kinds) {
    for (std::uint32_t& weight : weights_) weight = prng.chance(25) ? 0 : 1u << prng.below(7);
    for (const std::uint32_t kind : always_on) weights_[kind] = 1u << prng.below(7);
    for (const std::uint32_t weight : weights_) total_ += weight;
  }

  std::uint32_t next() {
    std::uint64_t draw = prng_.below(total_);
    for (std::uint32_t kind = 0;; ++kind) {
      if (draw < weights_[kind]) return kind;
      draw -= weights_[kind];
    }
  }

 private:
  Prng& prng_;
  std::vector<std::uint32_t> weights_;
  std::uint64_t total_ = 0;
};

// Seeds of a randomised test: those given, or the one in KVASIR_SEED to repeat a failure.
inline std::vector<std::uint64_t> seeds(std::uint64_t count) {
  if (const char* one = std::getenv("KVASIR_SEED")) return {std::strtoull(one, nullptr, 10)};
  std::vector<std::uint64_t> all(count);
  for (std::uint64_t i = 0; i < count; ++i) all[i] = i + 1;
  return all;
}

}  // namespace kvasir::testing
