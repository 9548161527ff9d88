#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "storage/base/ids.h"

namespace kvasir {

// How to choose a token. Field meanings as in the OpenAI API; top_k, min_p and repetition_penalty as in vLLM.
struct SamplingParams {
  float temperature = 1.0f;  // 0: greedy
  std::int32_t top_k = 0;    // 0: off
  float top_p = 1.0f;
  float min_p = 0.0f;
  float presence_penalty = 0.0f;    // over generated tokens
  float frequency_penalty = 0.0f;   // over generated tokens
  float repetition_penalty = 1.0f;  // over prompt and generated tokens
  std::vector<std::pair<TokenId, float>> logit_bias;
  std::uint64_t seed = 0;
  std::uint32_t logprobs = 0;  // alternatives to report beside the chosen token (0-20) when want_logprobs
  bool want_logprobs = false;
  bool operator==(const SamplingParams&) const = default;
};

struct TokenLogprob {
  TokenId id = 0;
  float logprob = 0.0f;
};

struct SampledToken {
  TokenId id = 0;
  float logprob = 0.0f;           // of the model's own distribution, before penalties, temperature and
                                  // filters; 0 unless want_logprobs
  std::vector<TokenLogprob> top;  // params.logprobs best, best first; filled when want_logprobs
};

// Chooses the token at `position` (absolute, of the token being chosen). Pure: the draw is uniform_double(seed,
// position), so a preempted, resumed or re-batched sequence continues as it would have. Penalties count in `history`
// (all ids before; those from `prompt_tokens` on were generated). Ties go to the lower id. `logits` is (vocabulary,).
SampledToken sample(std::span<const float> logits, const SamplingParams& params, std::span<const TokenId> history,
                    std::uint32_t prompt_tokens, std::uint32_t position);

}  // namespace kvasir
