#include "engine/engine_core.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace kvasir {
namespace {

PrefixCacheConfig checked(const PrefixCacheConfig& cache, const BackendInfo& backend) {
  if (cache.block_tokens != backend.block_tokens)
    throw std::invalid_argument("cache.block_tokens is " + std::to_string(cache.block_tokens) +
                                ", but the backend has " + std::to_string(backend.block_tokens));
  return cache;
}

std::uint32_t context_of(const EngineConfig& config, const BackendInfo& backend) {
  if (config.context_tokens_max == 0) return backend.context_tokens;
  return std::min(config.context_tokens_max, backend.context_tokens);
}

Error invalid(std::string message, std::string param) {
  return error(ErrorCode::invalid_argument, std::move(message), std::move(param));
}

}  // namespace

EngineCore::EngineCore(const EngineConfig& config, Backend& backend, const Fingerprint& fingerprint,
                       const PrefixCacheConfig& cache, DiskTier* disk)
    : backend_(backend),
      context_tokens_(context_of(config, backend.info())),
      pool_blocks_(backend.memory().block_count()),
      cache_(checked(cache, backend.info()), fingerprint, backend.memory(), disk),
      root_(cache_.root()),
      scheduler_(config, cache_, pool_blocks_) {}

EngineCore::~EngineCore() = default;

Status EngineCore::check(const GenerateRequest& request) const {
  if (request.prompt.empty()) return invalid("the prompt is empty", "prompt");
  if (request.max_tokens == 0) return invalid("max_tokens must be at least 1", "max_tokens");
  const std::uint32_t vocabulary = backend_.info().vocabulary;
  for (const TokenId id : request.prompt)
    if (id < 0 || static_cast<std::uint32_t>(id) >= vocabulary)
      return invalid("token id " + std::to_string(id) + " is not in the vocabulary of " + std::to_string(vocabulary),
                     "prompt");
  const std::size_t tokens = request.prompt.size();
  if (tokens + 1 > context_tokens_)
    return invalid("the prompt has " + std::to_string(tokens) + " tokens; the context is " +
                       std::to_string(context_tokens_) + " tokens, prompt and output together",
                   "prompt");
  const std::uint32_t block_tokens = backend_.info().block_tokens;
  const std::uint32_t blocks = div_ceil(static_cast<std::uint32_t>(tokens) + 1, block_tokens);
  if (blocks > pool_blocks_)
    return invalid("the prompt has " + std::to_string(tokens) + " tokens and needs " + std::to_string(blocks) +
                       " blocks of " + std::to_string(block_tokens) + " tokens; the host tier has " +
                       std::to_string(pool_blocks_),
                   "prompt");
  return Ok{};
}

std::unique_ptr<Sequence> EngineCore::make_sequence(SequenceId id, GenerateRequest request,
                                                    std::shared_ptr<TokenListener> listener) const {
  KVASIR_ASSERT(!request.salts.empty() && request.salts.front().first_token == 0);
  const std::uint32_t block_tokens = backend_.info().block_tokens;
  std::vector<BlockKey> keys = block_keys(root_, request.prompt, request.salts, block_tokens);
  const std::uint64_t tokens = std::uint64_t{request.prompt.size()} + request.max_tokens;
  return std::make_unique<Sequence>(id, std::move(request), std::move(listener), std::move(keys), block_tokens,
                                    static_cast<std::uint32_t>(std::min<std::uint64_t>(tokens, context_tokens_)));
}

void EngineCore::cancel(SequenceId id, TimePoint now) { scheduler_.end(id, {FinishReason::cancelled, {}}, now); }

void EngineCore::stop(TimePoint now) { scheduler_.end_all({FinishReason::failed, "the engine has stopped"}, now); }

void EngineCore::advance(TimePoint now) {
  if (ticket_) {
    if (const std::optional<BatchResult> result = backend_.poll(*ticket_)) {
      ticket_.reset();
      scheduler_.apply(*result, now);
    }
  }
  cache_.tick(now);
  scheduler_.expire(now);
  scheduler_.collect_loads(now);
  if (!ticket_) start_step(now);
}

// A plan can end a sequence instead of running it (it filled the pool); then the next in the queue has its turn.
void EngineCore::start_step(TimePoint now) {
  std::uint64_t finished = 0;
  Batch batch;
  do {
    finished = scheduler_.counters().finished;
    batch = scheduler_.plan(now);
  } while (batch.sequences.empty() && scheduler_.counters().finished != finished);
  if (batch.sequences.empty()) return;
  ticket_ = backend_.submit(std::move(batch));
  ++steps_;
}

bool EngineCore::deliver(TimePoint now) {
  std::vector<SequenceId> gone;
  for (const Delivery& delivery : scheduler_.take_deliveries()) {
    if (const auto* usage = std::get_if<PromptUsage>(&delivery.event)) {
      delivery.listener->on_admit(*usage);
    } else if (const auto* token = std::get_if<SampledToken>(&delivery.event)) {
      if (std::find(gone.begin(), gone.end(), delivery.id) != gone.end()) continue;
      if (delivery.listener->on_token(*token)) continue;
      gone.push_back(delivery.id);
      cancel(delivery.id, now);
    } else {
      delivery.listener->on_finish(std::get<FinishInfo>(delivery.event));
    }
  }
  return scheduler_.has_deliveries();
}

EngineStats EngineCore::stats() const {
  EngineStats stats;
  stats.running = scheduler_.running();
  stats.waiting = scheduler_.waiting();
  stats.loading = scheduler_.loading();
  const SchedulerCounters& counters = scheduler_.counters();
  stats.steps = steps_;
  stats.preemptions = counters.preemptions;
  stats.requests_finished = counters.finished;
  stats.prompt_tokens_cached = counters.prompt_tokens_cached;
  stats.prompt_tokens_computed = counters.prompt_tokens_computed;
  stats.tokens_recomputed = counters.tokens_recomputed;
  stats.tokens_generated = counters.tokens_generated;
  stats.tokens_drafted = counters.tokens_drafted;
  stats.tokens_accepted = counters.tokens_accepted;
  stats.prefill_budget = scheduler_.prefill_budget();
  stats.step_seconds_parts = scheduler_.pace().model().parts();
  stats.tenants = scheduler_.tenants();
  stats.cache = cache_.stats();
  return stats;
}

void EngineCore::check_invariants() const {
  scheduler_.check_invariants();
  cache_.check_invariants();
}

}  // namespace kvasir
