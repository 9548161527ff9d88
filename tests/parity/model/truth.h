#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "storage/base/ids.h"

namespace kvasir::parity {

// One row of the logits truth: what engines in full precision say about the default model.
struct TruthRow {
  std::string name;
  std::vector<TokenId> prompt_ids;
  struct Top {
    TokenId id;
    double logprob;
  };
  std::vector<Top> first_top;  // after the prompt, best first
  double mean_nll = 0;
  std::vector<TokenId> greedy_ids;
  std::vector<double> greedy_margin;  // to the runner-up, at each greedy step
};

// The rows of a file of JSON lines. Throws when it cannot be read.
std::vector<TruthRow> read_truth(const std::string& path);

// The rows, or none when the data or the default model is not there; then `why` says what.
std::vector<TruthRow> load_truth(std::string& why);

}  // namespace kvasir::parity
