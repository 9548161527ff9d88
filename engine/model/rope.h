#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/model_config.h"

namespace kvasir {

// Cosines and sines of the rotary embedding: position p turns the pair i of a head by p * base^(-2i / rope_dim), scaled
// as `rope` says. Computed in double by portable arithmetic, then rounded: the same bits on every machine. Positions
// are computed when extend() first asks for them, in pieces: a long context takes memory as it is used. Any thread may
// read while none extends.
class RopeTable {
 public:
  // `divisors`: of each pair's frequency (rope_freqs.weight), or empty.
  // REQUIRES: base above 1, factor at least 1, divisors at least 0.25, positions (here and below) at most 2^24.
  RopeTable(const RopeConfig& rope, std::uint32_t rope_dim, std::span<const float> divisors, std::uint32_t positions);

  void extend(std::uint32_t positions);  // to at least so many; does nothing where they are there

  std::uint32_t pairs() const { return static_cast<std::uint32_t>(frequencies_.size()); }  // rope_dim / 2
  std::span<const float> cosines(std::uint32_t position) const { return row(position, 0); }
  std::span<const float> sines(std::uint32_t position) const { return row(position, 1); }

 private:
  static constexpr std::uint32_t kPiece = 256;  // positions

  std::span<const float> row(std::uint32_t position, std::uint32_t which) const {
    const std::size_t at = (std::size_t{position % kPiece} * 2 + which) * pairs();
    return std::span(pieces_[position / kPiece]).subspan(at, pairs());
  }
  std::vector<double> frequencies_;         // (pairs)
  double magnitude_;                        // of every cosine and sine
  std::vector<std::vector<float>> pieces_;  // (kPiece, [cosines, sines], pairs) each
};

}  // namespace kvasir
