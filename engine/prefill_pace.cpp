#include "engine/prefill_pace.h"

#include <algorithm>

namespace kvasir {
namespace {

constexpr std::uint32_t kTokensLeast = 2;  // beside decodes, whatever the target
constexpr std::uint32_t kTokensFirst = 8;  // before anything is known
constexpr std::uint32_t kDecodeStepsFirst = 3, kDecodeStepEvery = 64;
constexpr double kReachKept = 0.9;
constexpr double kRateKept = 0.95;
constexpr double kSecondsPerTokenFirst = 1e-3;

}  // namespace

double PrefillPace::seconds_allowed(const StepLoad& undisturbed) const {
  if (target_.time > Duration::zero()) return std::chrono::duration<double>(target_.time).count();
  return target_.factor * model_.predict(undisturbed);
}

double PrefillPace::stretch_allowed(const StepLoad& decodes) const {
  const double seconds = model_.predict(decodes);
  return seconds > 0 ? seconds_allowed(decodes) / seconds : 1;
}

// The most tokens that keep the step within what is allowed, but no less than kTokensLeast and no more than `left`.
std::uint32_t PrefillPace::budget_beside(const StepLoad& undisturbed, std::uint32_t position,
                                         std::uint32_t left) const {
  const double allowed = seconds_allowed(undisturbed);
  const auto fits = [&](std::uint32_t tokens) {
    StepLoad load = undisturbed;
    load.add_prefill(position, tokens);
    return model_.predict(load) <= allowed;
  };
  std::uint32_t least = std::min(left, kTokensLeast), most = left;
  while (least < most) {
    const std::uint32_t middle = least + (most - least + 1) / 2;
    if (fits(middle)) {
      least = middle;
    } else {
      most = middle - 1;
    }
  }
  return least;
}

std::uint32_t PrefillPace::budget(const StepLoad& decodes, std::uint32_t position) const {
  const std::uint32_t left = step_tokens_max_ - std::min(decodes.decodes, step_tokens_max_);
  if (decodes.decodes == 0) return left;
  if (decode_steps_ < kDecodeStepsFirst || since_decode_step_ >= kDecodeStepEvery) return 0;
  return budget_beside(decodes, position,
                       std::min(left, std::max(kTokensFirst, static_cast<std::uint32_t>(2 * reach_))));
}

void PrefillPace::learn(const StepLoad& load, double seconds) {
  model_.learn(load, seconds);
  if (load.prefill_tokens == 0) {
    ++decode_steps_;
    since_decode_step_ = 0;
    return;
  }
  prefill_seconds_ = kRateKept * prefill_seconds_ + seconds;
  prefill_tokens_ = kRateKept * prefill_tokens_ + load.prefill_tokens;
  if (load.decodes == 0) return;
  ++since_decode_step_;
  reach_ = std::max<double>(load.prefill_tokens, kReachKept * reach_);
}

double PrefillPace::seconds_per_token() const {
  return prefill_tokens_ > 0 ? prefill_seconds_ / prefill_tokens_ : kSecondsPerTokenFirst;
}

}  // namespace kvasir
