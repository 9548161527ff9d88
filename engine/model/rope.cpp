#include "engine/model/rope.h"

#include "engine/model/portable_math.h"

namespace kvasir {

RopeTable::RopeTable(const RopeConfig& rope, std::uint32_t rope_dim, std::span<const float> divisors,
                     std::uint32_t positions)
    : pairs_(rope_dim / 2) {
  std::vector<double> frequencies;
  const double log_base = log_portable(static_cast<double>(rope.base));
  for (std::uint32_t i = 0; i < pairs_; ++i) {
    frequencies.push_back(exp_portable(-2.0 * i / rope_dim * log_base));
    if (!divisors.empty()) frequencies.back() /= static_cast<double>(divisors[i]);
  }
  cosines_.reserve(std::size_t{positions} * pairs_);
  sines_.reserve(std::size_t{positions} * pairs_);
  for (std::uint32_t position = 0; position < positions; ++position) {
    for (const double frequency : frequencies) {
      const SineCosine turn = sine_cosine_portable(position * frequency);
      cosines_.push_back(static_cast<float>(turn.cosine));
      sines_.push_back(static_cast<float>(turn.sine));
    }
  }
}

}  // namespace kvasir
