#include "engine/sampling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "engine/model/portable_math.h"
#include "storage/base/assert.h"
#include "storage/base/prng.h"

namespace kvasir {

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// A weight below e^-60 of the best one's cannot be drawn: a draw has 53 bits.
constexpr double kLogWeightMin = -60.0;

bool has_penalties(const SamplingParams& params) {
  return params.presence_penalty != 0 || params.frequency_penalty != 0 || params.repetition_penalty != 1;
}

// Of a token that occurs in the history, `generated` times after the prompt.
float penalized(float logit, std::uint32_t generated, const SamplingParams& params) {
  logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
  if (generated == 0) return logit;
  return logit - params.frequency_penalty * static_cast<float>(generated) - params.presence_penalty;
}

void apply_penalties(std::vector<float>& logits, const SamplingParams& params, std::span<const TokenId> history,
                     std::uint32_t prompt_tokens) {
  std::unordered_map<TokenId, std::uint32_t> generated;  // of every token in the history
  for (std::size_t i = 0; i < history.size(); ++i) generated[history[i]] += i >= prompt_tokens;
  for (const auto& [id, count] : generated) {
    KVASIR_ASSERT(id >= 0 && static_cast<std::size_t>(id) < logits.size());
    logits[static_cast<std::size_t>(id)] = penalized(logits[static_cast<std::size_t>(id)], count, params);
  }
}

void apply_bias(std::vector<float>& logits, const SamplingParams& params) {
  for (const auto& [id, bias] : params.logit_bias) {
    if (id >= 0 && static_cast<std::size_t>(id) < logits.size()) logits[static_cast<std::size_t>(id)] += bias;
  }
}

// Not a number counts as never. Sixteen running maxima, so that the compiler can use vectors.
float maximum(std::span<const float> logits) {
  std::array<float, 16> lanes;
  lanes.fill(kNever);
  const std::size_t whole = logits.size() / lanes.size() * lanes.size();
  for (std::size_t i = 0; i < whole; i += lanes.size()) {
    for (std::size_t j = 0; j < lanes.size(); ++j) lanes[j] = logits[i + j] > lanes[j] ? logits[i + j] : lanes[j];
  }
  float largest = kNever;
  for (const float lane : lanes) largest = std::max(largest, lane);
  for (std::size_t i = whole; i < logits.size(); ++i) largest = logits[i] > largest ? logits[i] : largest;
  return largest;
}

// The lowest id among the largest; 0 when there is no number at all.
TokenId argmax(std::span<const float> logits) {
  const auto found = std::find(logits.begin(), logits.end(), maximum(logits));
  return found == logits.end() ? 0 : static_cast<TokenId>(found - logits.begin());
}

struct Candidate {
  TokenId id;
  float logit;
  double weight = 0;  // exp((logit - best) / temperature)
};

bool better(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; }
bool lower_id(const Candidate& a, const Candidate& b) { return a.id < b.id; }

double total_weight(const std::vector<Candidate>& candidates) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  return total;
}

// All that pass min_p, ascending by id. Never empty: the best one passes.
std::vector<Candidate> candidates_above(std::span<const float> logits, float best, const SamplingParams& params) {
  const double log_min = params.min_p > 0 ? log_portable(params.min_p) : kLogWeightMin;
  const double floor = best + std::max(log_min, kLogWeightMin) * static_cast<double>(params.temperature);
  std::vector<Candidate> kept;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] == best || logits[i] >= floor) kept.push_back({static_cast<TokenId>(i), logits[i]});
  }
  return kept;
}

void keep_top_k(std::vector<Candidate>& candidates, std::int32_t top_k) {
  if (top_k <= 0 || static_cast<std::size_t>(top_k) >= candidates.size()) return;
  const auto end = candidates.begin() + top_k;
  std::nth_element(candidates.begin(), end, candidates.end(), better);
  candidates.erase(end, candidates.end());
  std::sort(candidates.begin(), candidates.end(), lower_id);
}

// The fewest, best first, whose weight reaches top_p of the total. Those lighter than an even share of what may be
// left out cannot be needed, which leaves few to sort.
void keep_top_p(std::vector<Candidate>& candidates, double top_p) {
  if (top_p >= 1) return;
  const double total = total_weight(candidates);
  const double negligible = (1 - std::max(top_p, 0.0)) * total / static_cast<double>(candidates.size()) * 0.5;
  std::erase_if(candidates, [&](const Candidate& c) { return c.weight < negligible; });
  std::sort(candidates.begin(), candidates.end(), better);
  double sum = 0;
  std::size_t kept = 0;
  do {
    sum += candidates[kept++].weight;
  } while (kept < candidates.size() && sum < top_p * total);
  candidates.resize(kept);
  std::sort(candidates.begin(), candidates.end(), lower_id);
}

TokenId draw(const std::vector<Candidate>& candidates, double uniform) {
  const double target = uniform * total_weight(candidates);
  double sum = 0;
  for (const Candidate& candidate : candidates) {
    sum += candidate.weight;
    if (target < sum) return candidate.id;
  }
  return candidates.back().id;
}

TokenId choose(std::span<const float> logits, const SamplingParams& params, std::uint32_t position) {
  const TokenId greedy = argmax(logits);
  const float best = logits[static_cast<std::size_t>(greedy)];
  if (params.temperature <= 0 || !std::isfinite(best)) return greedy;
  std::vector<Candidate> candidates = candidates_above(logits, best, params);
  keep_top_k(candidates, params.top_k);
  for (Candidate& candidate : candidates) {
    candidate.weight = exp_portable((static_cast<double>(candidate.logit) - best) / params.temperature);
  }
  keep_top_p(candidates, params.top_p);
  return draw(candidates, uniform_double(params.seed, position));
}

// log(sum(exp(logits))).
double log_sum_exp(std::span<const float> logits) {
  const double best = logits[static_cast<std::size_t>(argmax(logits))];
  double sum = 0;
  for (const float logit : logits) sum += exp_portable(static_cast<double>(logit) - best);
  return best + log_portable(sum);
}

std::vector<Candidate> best_candidates(std::span<const float> logits, std::size_t count) {
  std::vector<Candidate> best;  // a heap, worst in front
  for (std::size_t i = 0; i < logits.size() && count > 0; ++i) {
    if (std::isnan(logits[i])) continue;
    const Candidate candidate{static_cast<TokenId>(i), logits[i]};
    if (best.size() == count) {
      if (!better(candidate, best.front())) continue;
      std::pop_heap(best.begin(), best.end(), better);
      best.pop_back();
    }
    best.push_back(candidate);
    std::push_heap(best.begin(), best.end(), better);
  }
  std::sort_heap(best.begin(), best.end(), better);
  return best;
}

void report_logprobs(std::span<const float> logits, std::uint32_t alternatives, SampledToken& token) {
  const double normalizer = log_sum_exp(logits);
  const auto logprob = [&](float logit) { return static_cast<float>(static_cast<double>(logit) - normalizer); };
  token.logprob = logprob(logits[static_cast<std::size_t>(token.id)]);
  for (const Candidate& candidate : best_candidates(logits, alternatives)) {
    token.top.push_back({candidate.id, logprob(candidate.logit)});
  }
}

}  // namespace

SampledToken sample(std::span<const float> logits, const SamplingParams& params, std::span<const TokenId> history,
                    std::uint32_t prompt_tokens, std::uint32_t position) {
  KVASIR_ASSERT(!logits.empty());
  SampledToken token;
  if (has_penalties(params) || !params.logit_bias.empty()) {
    std::vector<float> adjusted(logits.begin(), logits.end());
    if (has_penalties(params)) apply_penalties(adjusted, params, history, prompt_tokens);
    apply_bias(adjusted, params);
    token.id = choose(adjusted, params, position);
  } else {
    token.id = choose(logits, params, position);
  }
  if (params.want_logprobs) report_logprobs(logits, params.logprobs, token);
  return token;
}

}  // namespace kvasir
