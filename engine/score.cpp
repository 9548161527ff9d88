#include "engine/score.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "engine/model/portable_math.h"
#include "storage/base/assert.h"

namespace kvasir {

double log_sum_exp(std::span<const float> logits) {
  const double best = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += exp_portable(static_cast<double>(logit) - best);
  return best + log_portable(sum);
}

std::vector<TokenId> best_ids(std::span<const float> logits, std::size_t count) {
  std::vector<TokenId> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto logit = [&](TokenId id) { return logits[static_cast<std::size_t>(id)]; };
  const auto better = [&](TokenId a, TokenId b) { return logit(a) != logit(b) ? logit(a) > logit(b) : a < b; };
  count = std::min(count, ids.size());
  std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count), ids.end(), better);
  ids.resize(count);
  return ids;
}

Scorer::Scorer(Backend& backend) : backend_(backend), wakeups_(std::make_shared<std::atomic<std::uint32_t>>(0)) {
  backend_.set_wakeup([wakeups = wakeups_] {
    wakeups->fetch_add(1);
    wakeups->notify_one();
  });
}

Result<Score> Scorer::score(std::span<const TokenId> ids, const ScoreOptions& options) {
  if (Status status = check(ids, options); !status) return std::move(status).error();
  Score score;
  double nll_sum = 0;
  std::vector<float> last = prefill(ids, options, nll_sum);
  if (ids.size() > 1) score.mean_nll = nll_sum / static_cast<double>(ids.size() - 1);
  const double normalizer = log_sum_exp(last);
  for (const TokenId id : best_ids(last, options.top)) {
    score.top.emplace_back(id, static_cast<double>(last[static_cast<std::size_t>(id)]) - normalizer);
  }
  std::vector<TokenId> sequence(ids.begin(), ids.end());
  for (std::uint32_t i = 0; i < options.greedy; ++i) {
    score.greedy_ids.push_back(best_ids(last, 1).front());
    if (i + 1 == options.greedy) break;
    sequence.push_back(score.greedy_ids.back());
    last = step(sequence, static_cast<std::uint32_t>(sequence.size()) - 1, LogitsWanted::last);
  }
  return score;
}

Status Scorer::check(std::span<const TokenId> ids, const ScoreOptions& options) const {
  KVASIR_ASSERT(options.chunk_tokens >= 1 && options.chunk_tokens <= 128);
  const BackendInfo& info = backend_.info();
  if (ids.empty()) return error(ErrorCode::invalid_argument, "ids is empty", "ids");
  for (const TokenId id : ids) {
    if (id >= 0 && static_cast<std::uint32_t>(id) < info.vocabulary) continue;
    return error(ErrorCode::invalid_argument,
                 "id " + std::to_string(id) + " is not in 0 .. " + std::to_string(info.vocabulary - 1), "ids");
  }
  const std::size_t room =
      std::min<std::size_t>(info.context_tokens, std::size_t{backend_.memory().block_count()} * info.block_tokens);
  if (ids.size() + options.greedy <= room) return Ok{};
  return error(ErrorCode::too_large,
               std::to_string(ids.size()) + " ids and " + std::to_string(options.greedy) +
                   " greedy tokens do not fit in " + std::to_string(room) + " positions",
               "ids");
}

std::vector<float> Scorer::prefill(std::span<const TokenId> ids, const ScoreOptions& options, double& nll_sum) {
  const std::size_t vocabulary = backend_.info().vocabulary;
  std::vector<float> logits;
  for (std::size_t first = 0; first < ids.size(); first += options.chunk_tokens) {
    const std::size_t end = std::min(first + options.chunk_tokens, ids.size());
    logits = step(ids.first(end), static_cast<std::uint32_t>(first), LogitsWanted::all);
    for (std::size_t i = first; i < end; ++i) {
      const auto row = std::span<const float>(logits).subspan((i - first) * vocabulary, vocabulary);
      if (options.each_row) options.each_row(static_cast<std::uint32_t>(i), row);
      if (i + 1 < ids.size()) nll_sum += log_sum_exp(row) - row[static_cast<std::size_t>(ids[i + 1])];
    }
  }
  logits.erase(logits.begin(), logits.end() - static_cast<std::ptrdiff_t>(vocabulary));
  return logits;
}

std::vector<float> Scorer::step(std::span<const TokenId> ids, std::uint32_t first, LogitsWanted wanted) {
  SequenceInput sequence;
  sequence.ids = ids;
  sequence.first_position = first;
  sequence.prompt_tokens = static_cast<std::uint32_t>(ids.size());
  sequence.logits = wanted;
  const std::uint32_t blocks = div_ceil(static_cast<std::uint32_t>(ids.size()), backend_.info().block_tokens);
  for (std::uint32_t i = 0; i < blocks; ++i) sequence.blocks.push_back(BlockId{i});
  Batch batch;
  batch.sequences.push_back(std::move(sequence));
  const Ticket ticket = backend_.submit(std::move(batch));
  while (true) {
    const std::uint32_t seen = wakeups_->load();
    if (std::optional<BatchResult> result = backend_.poll(ticket)) return std::move(result->sequences[0].logits);
    wakeups_->wait(seen);
  }
}

}  // namespace kvasir
