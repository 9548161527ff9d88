#pragma once

#include <chrono>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine_core.h"
#include "engine/null_backend.h"
#include "tests/support/fake_disk_tier.h"
#include "tests/support/recording_listener.h"

namespace kvasir::testing {

// What one step computed of one sequence.
struct StepPart {
  SequenceId id{};
  std::uint32_t first = 0, end = 0;
  std::uint32_t tokens() const { return end - first; }
  bool operator==(const StepPart&) const = default;
};
using Step = std::vector<StepPart>;

// Records the batches on their way to a null backend.
class SpyBackend final : public Backend {
 public:
  explicit SpyBackend(const NullBackendConfig& config) : null(NullBackend::make(config)) {}
  const BackendInfo& info() const override { return null->info(); }
  BlockMemory& memory() override { return null->memory(); }
  void set_wakeup(std::function<void()> wakeup) override { null->set_wakeup(std::move(wakeup)); }
  std::optional<BatchResult> poll(Ticket ticket) override { return null->poll(ticket); }
  Ticket submit(Batch batch) override {
    Step step;
    for (const SequenceInput& s : batch.sequences)
      step.push_back({s.id, s.first_position, static_cast<std::uint32_t>(s.ids.size())});
    steps.push_back(std::move(step));
    return null->submit(std::move(batch));
  }

  std::unique_ptr<NullBackend> null;
  std::vector<Step> steps;
};

struct Client {
  SequenceId id{};
  std::shared_ptr<RecordingListener> listener;
  RecordingListener* operator->() const { return listener.get(); }
};

struct HarnessConfig {
  EngineConfig engine;
  NullBackendConfig backend{.block_count = 64, .block_tokens = 4, .vocabulary = 1000};
  PrefixCacheConfig cache;
  FakeDiskTier* disk = nullptr;
};

// An EngineCore on one thread with its own clock, one millisecond a turn.
class CoreHarness {
 public:
  explicit CoreHarness(HarnessConfig config) : backend(config.backend) {
    config.cache.block_tokens = config.backend.block_tokens;
    core = std::make_unique<EngineCore>(config.engine, backend, Fingerprint{}, config.cache, config.disk);
  }

  static GenerateRequest request(std::vector<TokenId> prompt, std::uint32_t max_tokens, std::string tenant = "a") {
    GenerateRequest made;
    made.prompt = std::move(prompt);
    made.salts = {SaltRange{}};
    made.sampling.temperature = 0.0f;
    made.max_tokens = max_tokens;
    made.tenant = std::move(tenant);
    return made;
  }

  Client submit(GenerateRequest made) {
    made.arrived = now;
    Client client{SequenceId{++last_id}, std::make_shared<RecordingListener>()};
    KVASIR_ASSERT(core->check(made).ok());
    core->submit(core->make_sequence(client.id, std::move(made), client.listener));
    return client;
  }

  Client submit(std::vector<TokenId> prompt, std::uint32_t max_tokens, std::string tenant = "a") {
    return submit(request(std::move(prompt), max_tokens, std::move(tenant)));
  }

  void cancel(const Client& client) { core->cancel(client.id, now); }

  bool turn() {
    now += std::chrono::milliseconds(1);
    core->advance(now);
    core->check_invariants();
    return core->deliver(now);
  }

  void turns(int count) {
    for (int i = 0; i < count; ++i) turn();
  }

  void run_until_idle() {
    int left = 100000;
    while (turn() || !core->empty()) KVASIR_ASSERT(--left > 0);
  }

  EngineStats stats() const { return core->stats(); }

  TimePoint now{};
  SpyBackend backend;
  std::unique_ptr<EngineCore> core;
  std::uint64_t last_id = 0;
};

// `count` ids that start at `first`: prompts with different `first` share nothing.
inline std::vector<TokenId> tokens(TokenId first, std::uint32_t count) {
  std::vector<TokenId> ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

inline std::vector<TokenId> alone(const std::vector<TokenId>& prompt, std::uint32_t count,
                                  std::uint32_t vocabulary = 1000) {
  SamplingParams greedy;
  greedy.temperature = 0.0f;
  return null_generate(prompt, greedy, vocabulary, count);
}

}  // namespace kvasir::testing
