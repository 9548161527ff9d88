#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/backend.h"
#include "storage/base/result.h"

namespace kvasir {

struct ScoreOptions {
  std::uint32_t chunk_tokens = 128;  // prefill tokens of one step, 1 to 128: bounds the logits held at once
  std::uint32_t greedy = 0;          // tokens to generate greedily after the last id; end of generation does not stop
  std::uint32_t top = 20;            // most probable next tokens to report
  // Called with the logits of each position of the prompt, in order.
  std::function<void(std::uint32_t position, std::span<const float> logits)> each_row;
};

struct Score {
  std::optional<double> mean_nll;               // of ids[i] given the ids before, i >= 1; absent for a single id
  std::vector<std::pair<TokenId, double>> top;  // log-probabilities after the last id, best first
  std::vector<TokenId> greedy_ids;
};

// log(sum(exp(logits))) in double.
double log_sum_exp(std::span<const float> logits);
// The `count` largest logits' ids, best first, ties to the lower id.
std::vector<TokenId> best_ids(std::span<const float> logits, std::size_t count);

// Measures what a model says about given ids, one sequence at a time, driving the backend with blocks 0, 1, ... of its
// pool. For parity checks and scripts; uses the backend alone. One thread.
class Scorer {
 public:
  explicit Scorer(Backend& backend);  // the backend outlives it; sets its wakeup

  // Errors: invalid_argument (no ids, an id outside of the vocabulary), too_large (more positions than the backend or
  // its pool holds).
  Result<Score> score(std::span<const TokenId> ids, const ScoreOptions& options);

 private:
  Status check(std::span<const TokenId> ids, const ScoreOptions& options) const;
  // Computes ids[first..] and returns the logits asked for.
  std::vector<float> step(std::span<const TokenId> ids, std::uint32_t first, LogitsWanted wanted);
  std::vector<float> prefill(std::span<const TokenId> ids, const ScoreOptions& options, double& nll_sum);

  Backend& backend_;
  std::shared_ptr<std::atomic<std::uint32_t>> wakeups_;
};

}  // namespace kvasir
