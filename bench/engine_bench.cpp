// What the engine's owner thread costs beside the model: every step is planned, submitted to the null backend, applied
// and delivered; the time inside the backend is taken out.
#include <chrono>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "engine/engine_core.h"
#include "engine/null_backend.h"

namespace kvasir {
namespace {

constexpr std::uint32_t kSequences = 64;

class TimedBackend final : public Backend {
 public:
  explicit TimedBackend(Backend& inner) : inner_(inner) {}
  const BackendInfo& info() const override { return inner_.info(); }
  BlockMemory& memory() override { return inner_.memory(); }
  void set_wakeup(std::function<void()> wakeup) override { inner_.set_wakeup(std::move(wakeup)); }
  std::optional<BatchResult> poll(Ticket ticket) override { return inner_.poll(ticket); }
  Ticket submit(Batch batch) override {
    const TimePoint before = Clock::now();
    const Ticket ticket = inner_.submit(std::move(batch));
    inside += Clock::now() - before;
    return ticket;
  }
  Duration inside{};

 private:
  Backend& inner_;
};

class CountingListener final : public TokenListener {
 public:
  void on_admit(const PromptUsage&) override {}
  bool on_token(const SampledToken&) override {
    ++tokens;
    return true;
  }
  void on_finish(const FinishInfo&) override {}
  std::uint64_t tokens = 0;
};

struct Measured {
  std::uint64_t steps = 0, requests = 0;
  double owner_us = 0;
};

class Bench {
 public:
  Bench() : backend_(NullBackend::make({.block_count = 8192})), timed_(*backend_) {
    core_ = std::make_unique<EngineCore>(EngineConfig{}, timed_, Fingerprint{}, PrefixCacheConfig{}, nullptr);
  }

  // `count` requests, kSequences at a time, as an agent's: a prefix that is known and a tail that is not.
  Measured run(std::uint32_t count, std::uint32_t prompt_tokens, std::uint32_t output_tokens) {
    const std::uint64_t steps_before = core_->stats().steps;
    timed_.inside = {};
    const TimePoint begin = Clock::now();
    for (std::uint32_t i = 0; i < count; ++i) {
      submit(i, prompt_tokens, output_tokens);
      if ((i + 1) % kSequences == 0) run_until_idle();
    }
    run_until_idle();
    Measured measured;
    measured.steps = core_->stats().steps - steps_before;
    measured.requests = count;
    measured.owner_us =
        1e6 * (seconds_between(begin, Clock::now()) - std::chrono::duration<double>(timed_.inside).count());
    return measured;
  }

 private:
  void submit(std::uint32_t number, std::uint32_t prompt_tokens, std::uint32_t output_tokens) {
    GenerateRequest request;
    request.prompt.assign(prompt_tokens, 1);
    request.prompt.back() = static_cast<TokenId>(2 + number % 10000);
    request.salts = {SaltRange{}};
    request.max_tokens = output_tokens;
    core_->submit(core_->make_sequence(SequenceId{++last_id_}, std::move(request), listener_));
  }

  void run_until_idle() {
    while (!core_->empty()) {
      const TimePoint now = Clock::now();
      core_->advance(now);
      core_->deliver(now);
    }
  }

  std::unique_ptr<NullBackend> backend_;
  TimedBackend timed_;
  std::unique_ptr<EngineCore> core_;
  std::shared_ptr<CountingListener> listener_ = std::make_shared<CountingListener>();
  std::uint64_t last_id_ = 0;
};

void report(const char* what, const Measured& m) {
  std::printf("%-44s %8.1f us/step %8.2f us/sequence and step %8.1f us/request %9.0f steps/s\n", what,
              m.owner_us / static_cast<double>(m.steps), m.owner_us / static_cast<double>(m.steps * kSequences),
              m.owner_us / static_cast<double>(m.requests), 1e6 * static_cast<double>(m.steps) / m.owner_us);
}

}  // namespace
}  // namespace kvasir

int main() {
  kvasir::Bench bench;
  bench.run(kvasir::kSequences, 512, 16);
  std::printf("owner thread, %u sequences, backend's time excluded\n", kvasir::kSequences);
  kvasir::report("decode: 512 prompt tokens, 256 output", bench.run(4 * kvasir::kSequences, 512, 256));
  kvasir::report("requests: 512 prompt tokens, 1 output", bench.run(64 * kvasir::kSequences, 512, 1));
  kvasir::report("requests: 2048 prompt tokens, 1 output", bench.run(32 * kvasir::kSequences, 2048, 1));
  return 0;
}
