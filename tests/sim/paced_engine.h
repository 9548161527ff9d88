#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/prng.h"
#include "tests/unit/engine/core_harness.h"

namespace kvasir::testing {

// How long a step takes on the machine that a PacedEngine pretends to run on. Rows are computed in tiles.
struct Machine {
  double step_seconds = 4e-3, row_seconds = 0.4e-3, attended_seconds = 0.1e-6;
  std::uint32_t tile = 8;
  double noise = 0;           // of a step, up to this part of it
  double hiccup_percent = 0;  // steps that take five times as long
  double speed = 1;

  double seconds(const Step& step, Prng& prng) const {
    std::uint32_t rows = 0;
    double attended = 0;
    for (const StepPart& part : step) {
      rows += part.tokens();
      attended += part.tokens() * (part.first + part.end) / 2.0;
    }
    double seconds = step_seconds + div_ceil(rows, tile) * tile * row_seconds + attended * attended_seconds;
    seconds *= 1 + noise * (static_cast<double>(prng.below(2001)) / 1000 - 1);
    if (static_cast<double>(prng.below(10000)) < 100 * hiccup_percent) seconds *= 5;
    return seconds / speed;
  }
};

// A listener that knows the time of its tokens.
class PacedListener final : public RecordingListener {
 public:
  explicit PacedListener(const TimePoint& clock) : clock_(clock) {}
  bool on_token(const SampledToken& token) override {
    times.push_back(clock_);
    return RecordingListener::on_token(token);
  }
  std::vector<TimePoint> times;

 private:
  const TimePoint& clock_;
};

struct PacedClient {
  SequenceId id{};
  TimePoint arrived;
  std::shared_ptr<PacedListener> listener;
  PacedListener* operator->() const { return listener.get(); }
  bool finished() const { return listener->finish.has_value(); }
  double first_token_seconds() const { return seconds_between(arrived, listener->times.at(0)); }
  // Gaps between the tokens that came in (from, to].
  std::vector<double> gaps(TimePoint from, TimePoint to) const {
    std::vector<double> gaps;
    for (std::size_t i = 1; i < listener->times.size(); ++i)
      if (listener->times[i] > from && listener->times[i] <= to)
        gaps.push_back(seconds_between(listener->times[i - 1], listener->times[i]));
    return gaps;
  }
};

// What the replies are made of; as they are here no token comes twice.
struct ReplyText {
  std::uint32_t decided_by = 0, vocabulary = 1u << 30;
};

// An EngineCore on the null backend whose clock moves by what each step takes on a Machine.
class PacedEngine {
 public:
  static constexpr std::uint32_t kBlockTokens = 32;

  PacedEngine(std::uint64_t seed, const EngineConfig& engine, const Machine& on, std::uint32_t blocks = 4096,
              const ReplyText& text = {})
      : machine(on), prng(seed), backend(backend_config(blocks, text)) {
    PrefixCacheConfig cache;
    cache.block_tokens = kBlockTokens;
    core = std::make_unique<EngineCore>(engine, backend, Fingerprint{}, cache, nullptr);
  }

  PacedClient ask(std::vector<TokenId> prompt, std::uint32_t output, const std::string& tenant = "a") {
    GenerateRequest request = CoreHarness::request(std::move(prompt), output, tenant);
    request.arrived = now;
    PacedClient client{SequenceId{++last_id_}, now, std::make_shared<PacedListener>(now)};
    KVASIR_ASSERT(core->check(request).ok());
    core->submit(core->make_sequence(client.id, std::move(request), client.listener));
    return client;
  }

  void cancel(const PacedClient& client) { core->cancel(client.id, now); }

  // Lets the step in flight end, and tells the listeners, with the next one planned. False when there is none.
  bool step() {
    if (core->step_in_flight()) {
      now += std::chrono::duration_cast<Duration>(
          std::chrono::duration<double>(machine.seconds(backend.steps.back(), prng)));
      backend.null->complete();
    }
    core->advance(now);
    core->check_invariants();
    core->deliver(now);
    return core->step_in_flight();
  }

  void steps(int count) {
    for (int i = 0; i < count; ++i) step();
  }

  // At most for so long, by the engine's clock.
  void run_until(const std::function<bool()>& done, double seconds = 1000) {
    const TimePoint end = now + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
    while (!done() && now < end)
      if (!step() && core->empty()) return;
  }
  void run_until_idle() {
    run_until([this] { return core->empty(); });
    KVASIR_ASSERT(core->empty());
  }

  Machine machine;
  Prng prng;
  TimePoint now{};
  SpyBackend backend;
  std::unique_ptr<EngineCore> core;

 private:
  static NullBackendConfig backend_config(std::uint32_t blocks, const ReplyText& text) {
    return {.block_count = blocks,
            .block_tokens = kBlockTokens,
            .vocabulary = text.vocabulary,
            .decided_by = text.decided_by,
            .completion = NullBackendConfig::Completion::manual};
  }

  std::uint64_t last_id_ = 0;
};

inline double quantile(std::vector<double> values, double share) {
  KVASIR_ASSERT(!values.empty());
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}

// The prompts of different `number`s share nothing.
inline std::vector<TokenId> prompt_of(int number, std::uint32_t count) { return tokens(1 + number * 100'000, count); }

}  // namespace kvasir::testing
