#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/model_config.h"

namespace kvasir {

// Cosines and sines of the rotary embedding: position p turns the pair i of a head by p * base^(-2i / rope_dim), scaled
// as `rope` says. Computed in double by portable arithmetic, then rounded: the same bits on every machine.
class RopeTable {
 public:
  // `divisors`: of each pair's frequency (rope_freqs.weight), or empty.
  // REQUIRES: base above 1, factor at least 1, divisors at least 0.25, positions at most 2^24.
  RopeTable(const RopeConfig& rope, std::uint32_t rope_dim, std::span<const float> divisors, std::uint32_t positions);

  std::uint32_t pairs() const { return pairs_; }  // rope_dim / 2
  std::span<const float> cosines(std::uint32_t position) const { return row(cosines_, position); }
  std::span<const float> sines(std::uint32_t position) const { return row(sines_, position); }

 private:
  std::span<const float> row(const std::vector<float>& table, std::uint32_t position) const {
    return std::span(table).subspan(std::size_t{position} * pairs_, pairs_);
  }
  std::uint32_t pairs_;
  std::vector<float> cosines_, sines_;  // (positions, pairs)
};

}  // namespace kvasir
