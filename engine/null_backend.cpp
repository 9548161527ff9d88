#include "engine/null_backend.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <unordered_set>
#include <utility>

#include "engine/cpu/host_block_memory.h"
#include "engine/cpu/step_worker.h"
#include "storage/base/assert.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

constexpr std::uint64_t kChainStart = 0x6B7661736972ull;
constexpr std::size_t kTokenBytes = sizeof(std::uint64_t);
constexpr float kBestLogit = 16.0f;

std::uint64_t extend(std::uint64_t chain, TokenId id) { return mix64(chain ^ static_cast<std::uint32_t>(id)); }

// What the token after `ids` is a function of; `chain` is the hash of all of them.
std::uint64_t deciding(std::span<const TokenId> ids, std::uint64_t chain, std::uint32_t decided_by) {
  if (decided_by == 0) return chain;
  chain = kChainStart;
  for (const TokenId id : ids.last(std::min<std::size_t>(ids.size(), decided_by))) chain = extend(chain, id);
  return chain;
}

TokenId choose(std::uint64_t chain, const SamplingParams& sampling, std::uint32_t position, std::uint32_t vocabulary) {
  const std::uint64_t draw = sampling.temperature == 0.0f ? 0 : uniform64(sampling.seed, position);
  return static_cast<TokenId>(mix64(chain ^ draw) % vocabulary);
}

std::unique_ptr<HostBlockMemory> make_memory(const NullBackendConfig& config) {
  const std::size_t stride = (config.block_tokens * kTokenBytes + 63) / 64 * 64;
  auto memory = HostBlockMemory::create(config.block_count * stride, config.block_tokens * kTokenBytes);
  if (!memory) throw std::invalid_argument(memory.error().message);
  return std::move(*memory);
}

// Computes one batch on the calling thread.
class NullModel {
 public:
  explicit NullModel(const NullBackendConfig& config) : config_(config), memory_(make_memory(config)) {}

  BlockMemory& memory() { return *memory_; }

  BatchResult run(const Batch& batch) {
    check_fills_are_private(batch);
    BatchResult result;
    result.sequences.reserve(batch.sequences.size());
    for (const SequenceInput& input : batch.sequences) result.sequences.push_back(run_sequence(input));
    return result;
  }

 private:
  void check_fills_are_private(const Batch& batch) const {
    std::unordered_set<std::size_t> written;
    for (const SequenceInput& input : batch.sequences)
      for (std::size_t b = input.first_position / config_.block_tokens; b < input.blocks.size(); ++b)
        KVASIR_ASSERT(written.insert(index_of(input.blocks[b])).second);
    for (const SequenceInput& input : batch.sequences)
      for (std::size_t b = 0; b < input.first_position / config_.block_tokens; ++b)
        KVASIR_ASSERT(!written.contains(index_of(input.blocks[b])));
  }

  std::byte* slot(const SequenceInput& input, std::size_t position) {
    const std::size_t block = position / config_.block_tokens;
    return memory_->bytes(input.blocks[block]).data() + position % config_.block_tokens * kTokenBytes;
  }

  SequenceOutput run_sequence(const SequenceInput& input) {
    const std::size_t end = input.ids.size();
    KVASIR_ASSERT(input.first_position < end && end <= config_.context_tokens);
    KVASIR_ASSERT(input.blocks.size() == div_ceil(static_cast<std::uint32_t>(end), config_.block_tokens));
    KVASIR_ASSERT(input.drafts == 0 || input.first_position + 1 + input.drafts == end);
    SequenceOutput out;
    out.id = input.id;
    std::uint64_t chain = kChainStart;
    for (std::size_t p = 0; p < end; ++p) {
      KVASIR_ASSERT(input.ids[p] >= 0 && static_cast<std::uint32_t>(input.ids[p]) < config_.vocabulary);
      chain = extend(chain, input.ids[p]);
      if (p < input.first_position) {
        KVASIR_ASSERT(std::memcmp(slot(input, p), &chain, kTokenBytes) == 0);  // KV of another prefix was reused
        continue;
      }
      std::memcpy(slot(input, p), &chain, kTokenBytes);
      report(input, p, deciding(input.ids.first(p + 1), chain, config_.decided_by), out);
    }
    return out;
  }

  // What is wanted of a position that was computed.
  void report(const SequenceInput& input, std::size_t at, std::uint64_t chain, SequenceOutput& out) const {
    const auto position = static_cast<std::uint32_t>(at) + 1;
    const std::size_t last = input.ids.size() - 1 - input.drafts;
    if (input.logits == LogitsWanted::all || (input.logits == LogitsWanted::last && at >= last))
      append_logits(chain, position, out.logits);
    if (!input.sampling || at < last) return;
    if (at == last) {
      out.sampled = sampled_token(chain, *input.sampling, position);
    } else {
      out.after_drafts.push_back(sampled_token(chain, *input.sampling, position));
    }
  }

  // The greedy choice stands out; the others are below it by their hash.
  void append_logits(std::uint64_t chain, std::uint32_t position, std::vector<float>& logits) const {
    SamplingParams greedy;
    greedy.temperature = 0.0f;
    const TokenId best = choose(chain, greedy, position, config_.vocabulary);
    for (std::uint32_t id = 0; id < config_.vocabulary; ++id)
      logits.push_back(static_cast<TokenId>(id) == best ? kBestLogit : static_cast<float>(uniform_double(chain, id)));
  }

  SampledToken sampled_token(std::uint64_t chain, const SamplingParams& sampling, std::uint32_t position) const {
    SampledToken token;
    token.id = choose(chain, sampling, position, config_.vocabulary);
    token.logprob = -static_cast<float>(uniform_double(chain, position));
    if (!sampling.want_logprobs) return token;
    for (std::uint32_t i = 0; i < sampling.logprobs && i < config_.vocabulary; ++i) {
      const auto id = (static_cast<std::uint32_t>(token.id) + i) % config_.vocabulary;
      token.top.push_back({static_cast<TokenId>(id), token.logprob - static_cast<float>(i)});
    }
    return token;
  }

  NullBackendConfig config_;
  std::unique_ptr<HostBlockMemory> memory_;
};

BackendInfo info_of(const NullBackendConfig& config) {
  BackendInfo info;
  info.name = "null";
  info.kernel_class = "none";
  info.numerics_id = "null/1";
  info.kv_layout = "hash64";
  info.block_bytes = config.block_tokens * kTokenBytes;
  info.block_tokens = config.block_tokens;
  info.vocabulary = config.vocabulary;
  info.context_tokens = config.context_tokens;
  return info;
}

// Completion at once and manual: everything on the owner thread.
class InlineNullBackend final : public NullBackend {
 public:
  explicit InlineNullBackend(const NullBackendConfig& config)
      : config_(config), info_(info_of(config)), model_(config) {}

  const BackendInfo& info() const override { return info_; }
  BlockMemory& memory() override { return model_.memory(); }
  void set_wakeup(std::function<void()> wakeup) override { wakeup_ = std::move(wakeup); }
  std::uint64_t tokens_computed() const override { return tokens_computed_; }

  Ticket submit(Batch batch) override {
    KVASIR_ASSERT(!batch.sequences.empty() && !batch_ && !result_);
    batch_ = std::move(batch);
    if (config_.completion == NullBackendConfig::Completion::at_once) compute();
    return Ticket{++tickets_};
  }

  std::optional<BatchResult> poll(Ticket ticket) override {
    KVASIR_ASSERT(ticket == Ticket{tickets_});
    return std::exchange(result_, std::nullopt);
  }

  bool complete() override {
    KVASIR_ASSERT(config_.completion == NullBackendConfig::Completion::manual);
    if (!batch_) return false;
    compute();
    return true;
  }

 private:
  void compute() {
    tokens_computed_ += batch_->tokens();
    result_ = model_.run(*batch_);
    batch_.reset();
    if (wakeup_) wakeup_();
  }

  NullBackendConfig config_;
  BackendInfo info_;
  NullModel model_;
  std::function<void()> wakeup_;
  std::optional<Batch> batch_;
  std::optional<BatchResult> result_;
  std::uint64_t tickets_ = 0;
  std::uint64_t tokens_computed_ = 0;
};

class ThreadedNullBackend final : public NullBackend {
 public:
  explicit ThreadedNullBackend(const NullBackendConfig& config)
      : config_(config),
        info_(info_of(config)),
        model_(config),
        worker_([this](const Batch& b) { return compute(b); }) {}

  const BackendInfo& info() const override { return info_; }
  BlockMemory& memory() override { return model_.memory(); }
  void set_wakeup(std::function<void()> wakeup) override { worker_.set_wakeup(std::move(wakeup)); }
  Ticket submit(Batch batch) override { return worker_.submit(std::move(batch)); }
  std::optional<BatchResult> poll(Ticket ticket) override { return worker_.poll(ticket); }
  bool complete() override { return false; }
  std::uint64_t tokens_computed() const override { return tokens_computed_.load(); }

 private:
  BatchResult compute(const Batch& batch) {
    const auto delay = config_.delay_per_step + config_.delay_per_token * batch.tokens();
    if (delay.count() > 0) std::this_thread::sleep_for(delay);
    tokens_computed_ += batch.tokens();
    return model_.run(batch);
  }

  NullBackendConfig config_;
  BackendInfo info_;
  NullModel model_;
  std::atomic<std::uint64_t> tokens_computed_ = 0;
  StepWorker worker_;
};

}  // namespace

std::unique_ptr<NullBackend> NullBackend::make(const NullBackendConfig& config) {
  if (config.completion == NullBackendConfig::Completion::threaded)
    return std::make_unique<ThreadedNullBackend>(config);
  return std::make_unique<InlineNullBackend>(config);
}

TokenId null_next_token(std::span<const TokenId> ids, const SamplingParams& sampling, std::uint32_t vocabulary,
                        std::uint32_t decided_by) {
  std::uint64_t chain = kChainStart;
  for (const TokenId id : ids) chain = extend(chain, id);
  return choose(deciding(ids, chain, decided_by), sampling, static_cast<std::uint32_t>(ids.size()), vocabulary);
}

std::vector<TokenId> null_generate(std::vector<TokenId> prompt, const SamplingParams& sampling,
                                   std::uint32_t vocabulary, std::uint32_t count, std::uint32_t decided_by) {
  std::vector<TokenId> generated;
  std::uint64_t chain = kChainStart;
  for (const TokenId id : prompt) chain = extend(chain, id);
  for (auto position = static_cast<std::uint32_t>(prompt.size()); generated.size() < count; ++position) {
    generated.push_back(choose(deciding(prompt, chain, decided_by), sampling, position, vocabulary));
    chain = extend(chain, generated.back());
    prompt.push_back(generated.back());
  }
  return generated;
}

}  // namespace kvasir
