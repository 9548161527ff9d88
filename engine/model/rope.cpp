#include "engine/model/rope.h"

#include <algorithm>
#include <cmath>

#include "engine/model/portable_math.h"

namespace kvasir {

namespace {

// The pair that turns `turns` times within the original context; a fraction, since no pair need do so.
double pair_of_turns(const RopeConfig& rope, std::uint32_t rope_dim, double turns) {
  constexpr double kTwoPi = 0x1.921fb54442d18p+2;
  const double wavelength = static_cast<double>(rope.original_context) / turns;
  return rope_dim * log_portable(wavelength / kTwoPi) / (2 * log_portable(static_cast<double>(rope.base)));
}

// How much of pair i is interpolated: none where it turns often within the original context, all of it where it does
// not get round once.
class YarnRamp {
 public:
  YarnRamp(const RopeConfig& rope, std::uint32_t rope_dim)
      : low_(std::max(std::floor(pair_of_turns(rope, rope_dim, static_cast<double>(rope.beta_fast))), 0.0)),
        high_(std::min(std::ceil(pair_of_turns(rope, rope_dim, static_cast<double>(rope.beta_slow))), rope_dim - 1.0)) {
    if (high_ == low_) high_ += 0.001;
  }
  double at(std::uint32_t pair) const { return std::clamp((pair - low_) / (high_ - low_), 0.0, 1.0); }

 private:
  double low_, high_;
};

void scale(const RopeConfig& rope, std::uint32_t rope_dim, std::vector<double>& frequencies) {
  const double factor = static_cast<double>(rope.factor);
  switch (rope.scaling) {
    case RopeScaling::none:
      return;
    case RopeScaling::linear:
      for (double& frequency : frequencies) frequency /= factor;
      return;
    case RopeScaling::yarn: {
      const YarnRamp ramp(rope, rope_dim);
      for (std::uint32_t i = 0; i < frequencies.size(); ++i) frequencies[i] *= ramp.at(i) / factor + (1 - ramp.at(i));
      return;
    }
  }
}

}  // namespace

RopeTable::RopeTable(const RopeConfig& rope, std::uint32_t rope_dim, std::span<const float> divisors,
                     std::uint32_t positions)
    : magnitude_(static_cast<double>(rope.attention_factor)) {
  const double log_base = log_portable(static_cast<double>(rope.base));
  for (std::uint32_t i = 0; i < rope_dim / 2; ++i) {
    frequencies_.push_back(exp_portable(-2.0 * i / rope_dim * log_base));
    if (!divisors.empty()) frequencies_.back() /= static_cast<double>(divisors[i]);
  }
  scale(rope, rope_dim, frequencies_);
  extend(positions);
}

void RopeTable::extend(std::uint32_t positions) {
  while (pieces_.size() * kPiece < positions) {
    const auto first = static_cast<std::uint32_t>(pieces_.size()) * kPiece;
    std::vector<float>& piece = pieces_.emplace_back(std::size_t{kPiece} * 2 * pairs());
    float* to = piece.data();
    for (std::uint32_t position = first; position < first + kPiece; ++position, to += std::size_t{2} * pairs()) {
      for (std::uint32_t i = 0; i < pairs(); ++i) {
        const SineCosine turn = sine_cosine_portable(position * frequencies_[i]);
        to[i] = static_cast<float>(turn.cosine * magnitude_);
        to[pairs() + i] = static_cast<float>(turn.sine * magnitude_);
      }
    }
  }
}

}  // namespace kvasir
