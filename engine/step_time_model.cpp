#include "engine/step_time_model.h"

#include <algorithm>

namespace kvasir {
namespace {

constexpr std::array<double, StepTimeModel::kParts> kUnits{1, 8, 64, 8192, 65536};  // columns of similar size
constexpr double kKept = 0.97;                                                      // of a sum, with each later step
constexpr std::uint32_t kStepsBeforeBounds = 8;
constexpr double kLeastSeconds = 1e-6;
constexpr double kOffMost = 2.0;  // times or part of what was expected
constexpr int kSweeps = 8;
constexpr double kInertia = 1e-3;  // holds what the latest steps do not tell apart where it was
// What steps that are all alike leave open goes to the first of these.
constexpr std::array<std::size_t, StepTimeModel::kParts> kOrder{2, 0, 1, 3, 4};
// Big chunks are cheaper by the token than the small ones beside decodes that predictions are for.
constexpr std::array<double, 3> kWeights{1, 0.01, 1};  // by Kind

}  // namespace

StepTimeModel::Row StepTimeModel::row_of(const StepLoad& load) {
  return {1, load.decodes / kUnits[1], load.prefill_tokens / kUnits[2],
          static_cast<double>(load.decode_context) / kUnits[3], static_cast<double>(load.prefill_context) / kUnits[4]};
}

StepTimeModel::Kind StepTimeModel::kind_of(const StepLoad& load) {
  if (load.prefill_tokens == 0) return decodes_only;
  return load.decodes == 0 ? prefill_only : mixed;
}

double StepTimeModel::predict(const StepLoad& load) const {
  const Row row = row_of(load);
  double seconds = 0;
  for (std::size_t i = 0; i < kParts; ++i) seconds += row[i] * parts_[i];
  return seconds;
}

std::array<double, StepTimeModel::kParts> StepTimeModel::parts() const {
  std::array<double, kParts> parts = parts_;
  for (std::size_t i = 0; i < kParts; ++i) parts[i] /= kUnits[i];
  return parts;
}

void StepTimeModel::learn(const StepLoad& load, double seconds) {
  const Kind kind = kind_of(load);
  Sums& sums = sums_[kind];
  seconds = std::max(seconds, kLeastSeconds);
  if (const double expected = predict(load); ++sums.steps > kStepsBeforeBounds && expected > 0)
    seconds = std::clamp(seconds, expected / kOffMost, expected * kOffMost);
  const Row row = row_of(load);
  const double weight = kWeights[kind] / (seconds * seconds);
  for (std::size_t i = 0; i < kParts; ++i) {
    for (std::size_t j = 0; j < kParts; ++j)
      sums.products[i][j] = kKept * sums.products[i][j] + weight * row[i] * row[j];
    sums.targets[i] = kKept * sums.targets[i] + weight * row[i] * seconds;
  }
  solve();
}

// Coordinate descent from where the parts are: each to its best value, not below zero, given the others.
void StepTimeModel::solve() {
  Sums all;
  for (const Sums& sums : sums_) {
    for (std::size_t i = 0; i < kParts; ++i) {
      for (std::size_t j = 0; j < kParts; ++j) all.products[i][j] += sums.products[i][j];
      all.targets[i] += sums.targets[i];
    }
  }
  const Row before = parts_;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (const std::size_t i : kOrder) {
      const double held = kInertia * (all.products[i][i] + kInertia);
      double rest = all.targets[i] + held * before[i];
      for (std::size_t j = 0; j < kParts; ++j)
        if (j != i) rest -= all.products[i][j] * parts_[j];
      parts_[i] = std::max(0.0, rest / (all.products[i][i] + held));
    }
  }
}

}  // namespace kvasir
