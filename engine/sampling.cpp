#include "engine/sampling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <unordered_map>

#include "engine/model/portable_math.h"
#include "storage/base/assert.h"
#include "storage/base/prng.h"

namespace kvasir {

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

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

// exp((logit - best) / temperature) of every token, and their sum by runs of ids. Weights are floats: relative errors
// of 1e-6 are nothing to a draw, and vectors of floats are what makes sampling cheap beside a step.
class Weights {
 public:
  static constexpr float kNone = 2e-38f;  // up to this: e^-87 of the best or less, never drawn

  Weights(std::span<const float> logits, float best, float temperature)
      : size_(logits.size()), weights_(padded(size_)) {
    const float scale = 1 / temperature;
    const std::size_t whole = size_ / 4 * 4;
    for (std::size_t i = 0; i < whole; i += 4) weigh(&logits[i], best, scale, &weights_[i]);
    std::array<float, 4> rest;
    rest.fill(kNever);
    std::copy(logits.begin() + static_cast<std::ptrdiff_t>(whole), logits.end(), rest.begin());
    if (whole < size_) weigh(rest.data(), best, scale, &weights_[whole]);
    for (std::size_t first = 0; first < weights_.size(); first += kRun) total_ += runs_.emplace_back(sum_run(first));
  }

  double total() const { return total_; }
  double of(std::size_t id) const { return weights_[id]; }
  std::size_t size() const { return size_; }

  TokenId draw(double uniform) const {
    double left = uniform * total_;
    std::size_t run = 0;
    while (run + 1 < runs_.size() && left >= runs_[run]) left -= runs_[run++];
    TokenId last = 0;
    for (std::size_t i = run * kRun; i < (run + 1) * kRun; ++i) {
      if (weights_[i] <= kNone) continue;
      last = static_cast<TokenId>(i);
      left -= weights_[i];
      if (left < 0) break;
    }
    return last;
  }

 private:
  static constexpr std::size_t kRun = 512;

  static std::size_t padded(std::size_t size) { return (size + kRun - 1) / kRun * kRun; }

  static void weigh(const float* logits, float best, float scale, float* weights) {
    Float4 x;
    std::memcpy(&x, logits, sizeof x);
    x = exp_portable((x - best) * scale);
    std::memcpy(weights, &x, sizeof x);
  }

  double sum_run(std::size_t first) const {
    Float4 sum = {}, next;
    for (std::size_t i = first; i < first + kRun; i += 4) {
      std::memcpy(&next, &weights_[i], sizeof next);
      sum += next;
    }
    return static_cast<double>(sum[0]) + sum[1] + sum[2] + sum[3];
  }

  std::size_t size_;
  std::vector<float> weights_;  // zeros after the vocabulary, to a whole run
  std::vector<double> runs_;
  double total_ = 0;
};

// Keeps the fewest, best first, whose weight reaches `wanted`; their order stays. By halving: no sort of thousands.
void keep_heaviest(std::vector<Candidate>& candidates, double wanted) {
  std::vector<Candidate> work = candidates;
  auto low = work.begin(), high = work.end();
  while (high - low > 1) {
    const auto middle = low + (high - low) / 2;
    std::nth_element(low, middle, high, better);
    double sum = 0;
    for (auto it = low; it != middle; ++it) sum += it->weight;
    if (sum >= wanted) {
      high = middle;
    } else {
      wanted -= sum;
      low = middle;
    }
  }
  std::erase_if(candidates, [&](const Candidate& c) { return better(*low, c); });
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

// From the whole vocabulary. Of top_p, tokens lighter than an even share of what may be left out cannot be needed: few
// are left to sort.
TokenId choose_from_all(std::span<const float> logits, float best, const SamplingParams& params, double uniform) {
  const Weights weights(logits, best, params.temperature);
  if (params.top_p >= 1) return weights.draw(uniform);
  const double left_out = (1 - std::max(static_cast<double>(params.top_p), 0.0)) * weights.total();
  const double negligible = left_out / static_cast<double>(weights.size()) / 2;  // half: sums are rounded
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights.of(i) < negligible || weights.of(i) <= Weights::kNone) continue;
    candidates.push_back({static_cast<TokenId>(i), logits[i], weights.of(i)});
  }
  keep_heaviest(candidates, params.top_p * weights.total());
  return draw(candidates, uniform);
}

// All that pass min_p, ascending by id. Never empty: the best one passes.
std::vector<Candidate> candidates_above(std::span<const float> logits, float best, const SamplingParams& params) {
  const double floor = best + log_portable(params.min_p) * static_cast<double>(params.temperature);
  std::vector<Candidate> kept;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] == best || logits[i] >= floor) kept.push_back({static_cast<TokenId>(i), logits[i]});
  }
  return kept;
}

// From what top_k and min_p leave, then top_p. min_p is relative to the best token, which top_k always keeps, so their
// order makes no difference.
TokenId choose_from_few(std::span<const float> logits, float best, const SamplingParams& params, double uniform) {
  const std::size_t top_k = params.top_k > 0 ? static_cast<std::size_t>(params.top_k) : logits.size();
  std::vector<Candidate> candidates =
      params.min_p > 0 ? candidates_above(logits, best, params) : best_candidates(logits, top_k);
  if (candidates.size() > top_k) {
    std::nth_element(candidates.begin(), candidates.begin() + params.top_k, candidates.end(), better);
    candidates.resize(top_k);
  }
  std::sort(candidates.begin(), candidates.end(), lower_id);
  for (Candidate& candidate : candidates) {
    candidate.weight = exp_portable((static_cast<double>(candidate.logit) - best) / params.temperature);
  }
  if (params.top_p < 1) keep_heaviest(candidates, params.top_p * total_weight(candidates));
  return draw(candidates, uniform);
}

TokenId choose(std::span<const float> logits, const SamplingParams& params, std::uint32_t position) {
  const TokenId greedy = argmax(logits);
  const float best = logits[static_cast<std::size_t>(greedy)];
  if (params.temperature <= 0 || !std::isfinite(best)) return greedy;
  const double uniform = uniform_double(params.seed, position);
  const bool few = params.min_p > 0 || (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < logits.size());
  return few ? choose_from_few(logits, best, params, uniform) : choose_from_all(logits, best, params, uniform);
}

// log(sum(exp(logits))).
double log_sum_exp(std::span<const float> logits) {
  const float best = maximum(logits);
  return best + log_portable(Weights(logits, best, 1.0f).total());
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
