#pragma once

#include <cstdint>

#include "engine/engine.h"
#include "engine/step_time_model.h"

namespace kvasir {

// How many prefill tokens a step takes, so that streams which are running keep their inter-token latency. Learns from
// the steps that end; the rest is a function of that. Owned by the scheduler, on the owner thread.
//
// Beside decodes a step is as long as the target allows by the model of step times, but never more than twice as big as
// the latest ones (a model that is wrong costs one step), and never so small that a prompt comes to a standstill. When
// no step of decodes alone was seen for long, one is made: it tells what undisturbed is.
class PrefillPace {
 public:
  PrefillPace(const ItlTarget& target, std::uint32_t step_tokens_max)
      : target_(target), step_tokens_max_(step_tokens_max) {}

  // For a step with the decodes of `decodes` and a prompt that goes on at `position`. Without decodes: all there is.
  std::uint32_t budget(const StepLoad& decodes, std::uint32_t position) const;

  // Beside anything that waits for the step to end, such as prompts that come to their first token in it: the most
  // tokens that keep it within the target, up to `left`.
  std::uint32_t budget_beside(const StepLoad& undisturbed, std::uint32_t position, std::uint32_t left) const;

  // How many times as long as it would take a step of these decodes may get.
  double stretch_allowed(const StepLoad& decodes) const;

  void learn(const StepLoad& load, double seconds);

  // What a prefill token took of late, with everything that ran beside it.
  double seconds_per_token() const;
  const StepTimeModel& model() const { return model_; }

 private:
  double seconds_allowed(const StepLoad& undisturbed) const;

  ItlTarget target_;
  std::uint32_t step_tokens_max_;
  StepTimeModel model_;
  std::uint32_t decode_steps_ = 0;                   // of decodes alone, ever
  std::uint32_t since_decode_step_ = 0;              // mixed steps since the last of them
  double reach_ = 0;                                 // prefill tokens of the latest mixed steps
  double prefill_seconds_ = 0, prefill_tokens_ = 0;  // of the latest steps with prefill
};

}  // namespace kvasir
