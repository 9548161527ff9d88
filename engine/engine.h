#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/sampling.h"
#include "storage/base/result.h"
#include "storage/base/time.h"
#include "storage/block_key.h"
#include "storage/prefix_cache.h"

namespace kvasir {

enum class FinishReason : std::uint8_t {
  stop,       // an end-of-generation or stop token
  length,     // max_tokens, the context, or a pool that this sequence fills alone
  cancelled,  // by the caller
  failed,     // deadline, or the engine stopped
};

// Where the prompt's tokens came from. Fixed at first admission; host + disk + computed == prompt tokens.
struct PromptUsage {
  std::uint32_t prompt_tokens = 0;
  std::array<std::uint32_t, kTierCount> cached{};  // by Tier
  std::uint32_t computed = 0;
  std::uint32_t cached_total() const { return cached[0] + cached[1]; }
};

struct RequestTimes {
  TimePoint arrived, admitted, first_token, finished;
};

struct FinishInfo {
  FinishReason reason = FinishReason::stop;
  std::string message;  // for failed
  PromptUsage usage;
  std::uint32_t generated_tokens = 0;
  RequestTimes times;
};

// Receives one sequence's tokens. Called on the owner thread; must not block. The engine keeps it alive until
// on_finish() returned; on_finish() is called exactly once, whatever happens, and last.
class TokenListener {
 public:
  virtual ~TokenListener() = default;
  // The prompt's accounting is fixed (first admission); comes before the first token.
  virtual void on_admit(const PromptUsage& usage) = 0;
  // False: cannot take more (client too slow or gone); the engine cancels the sequence and calls on_token() no more.
  virtual bool on_token(const SampledToken& token) = 0;
  virtual void on_finish(const FinishInfo& info) = 0;
};

class RequestTraceSink;  // engine/request_trace.h

struct GenerateRequest {
  std::vector<TokenId> prompt;   // not empty; ids in the vocabulary
  std::vector<SaltRange> salts;  // at least one, from token 0
  SamplingParams sampling;
  std::uint32_t max_tokens = 16;     // > 0
  std::vector<TokenId> stop_tokens;  // end of generation; the token itself is delivered, then on_finish(stop)
  std::string tenant;                // for fairness between tenants
  TimePoint arrived;                 // last byte of the body read
  std::optional<TimePoint> deadline;
  bool tells_end = false;  // the caller promises tell_end() or cancel(), whatever happens
};

// How long the gap between two tokens of a running stream may get while prompts prefill beside it.
struct ItlTarget {
  double factor = 2.0;  // times the gap without them
  Duration time{};      // when not zero: this instead
};

struct EngineConfig {
  std::uint32_t step_tokens_max = 512;                  // prefill + decode tokens of one step
  ItlTarget itl_target;                                 // bounds the prefill tokens of a step with decodes
  std::uint32_t running_max = 64;                       // sequences in the batch
  std::uint32_t waiting_max = 256;                      // past running_max + waiting_max requests alive: queue_full
  std::uint32_t context_tokens_max = 0;                 // 0: the model's
  bool speculation = true;                              // check guessed tokens where that brings more tokens a second
  std::chrono::milliseconds load_timeout{2000};         // past it a sequence computes what the disk did not bring
  std::map<std::string, std::uint32_t> tenant_weights;  // shares of the engine while tenants compete; 1 unless named
  RequestTraceSink* traces = nullptr;                   // told of each request that ended; outlives the engine
};

// What a tenant has of an engine.
struct TenantStats {
  std::string tenant;
  std::uint64_t tokens_computed = 0;        // prefill and decode
  std::uint32_t waiting = 0;                // sequences queued
  std::optional<TimePoint> oldest_waiting;  // when the oldest of them arrived
};
inline constexpr std::size_t kTenantStatsMax = 100;  // tenants named in EngineStats; the others together are "other"

struct EngineStats {
  std::uint32_t running = 0, waiting = 0, loading = 0;
  std::uint64_t steps = 0, preemptions = 0, requests_finished = 0;
  std::array<std::uint64_t, kTierCount> prompt_tokens_cached{};
  std::uint64_t prompt_tokens_computed = 0;
  std::uint64_t tokens_recomputed = 0;  // again after a preemption; never in the prompt's accounting
  std::uint64_t tokens_generated = 0;
  std::uint64_t tokens_drafted = 0, tokens_accepted = 0;  // guesses checked; those that were right and saved a step
  std::uint32_t prefill_budget = 0;                       // prefill tokens that the last step might have had
  std::array<double, 5> step_seconds_parts{};             // StepTimeModel::parts()
  std::vector<TenantStats> tenants;                       // those that ever asked
  PrefixCacheStats cache;
};

// One model's engine: owner thread, scheduler, prefix cache, backend. All public methods are thread-safe and return at
// once; the owner thread talks back through listeners only.
class Engine {
 public:
  // `disk` may be null; backend and disk outlive the engine.
  static std::unique_ptr<Engine> start(EngineConfig config, Backend& backend, Fingerprint fingerprint,
                                       PrefixCacheConfig cache, DiskTier* disk);
  virtual ~Engine() = default;  // cancels what runs, flushes storage, joins

  // Errors: queue_full, shutting_down, invalid_argument (empty prompt, id out of range, prompt that can never fit; the
  // message has the numbers). On success the listener will hear on_finish().
  virtual Result<SequenceId> submit(GenerateRequest request, std::shared_ptr<TokenListener> listener) = 0;

  // Ends a sequence; its blocks are free or cached within one step. Unknown ids are ignored (it may just have ended).
  virtual void cancel(SequenceId id) = 0;

  // How the request ends, for the cache: what the engine cannot see, such as a tool call. Before its on_finish() or
  // after, once; unknown ids are ignored.
  virtual void tell_end(SequenceId id, RequestEnd end) = 0;

  virtual void drain() = 0;               // refuse new work; running and queued sequences go on
  virtual EngineStats stats() const = 0;  // a snapshot of the last step
  virtual const BackendInfo& backend() const = 0;
  virtual std::uint32_t context_tokens() const = 0;  // longest prompt + output
};

// What stored KV depends on: weights, adapter (none yet), RoPE settings, KV dtype and layout, numerics id.
Fingerprint kv_fingerprint(const WeightsDigest& weights, const BackendInfo& backend);

}  // namespace kvasir
