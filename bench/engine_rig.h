#pragma once

// What benches of the whole engine share: an engine on the CPU backend, and a listener that notes when its tokens came.
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/cpu/cpu_backends.h"
#include "engine/engine.h"
#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "storage/base/prng.h"

namespace kvasir::bench {

template <class T>
T value_or_exit(Result<T> result) {
  if (result) return std::move(result).value();
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::exit(2);
}

// Notes the time of every token. on_...() run on the engine's thread, the rest on the bench's.
class TimedListener final : public TokenListener {
 public:
  void on_admit(const PromptUsage& usage) override {
    const std::lock_guard lock(mutex_);
    usage_ = usage;
  }
  bool on_token(const SampledToken&) override {
    const std::lock_guard lock(mutex_);
    times_.push_back(Clock::now());
    changed_.notify_all();
    return true;
  }
  void on_finish(const FinishInfo&) override {
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_all();
  }

  void wait_tokens(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return times_.size() >= count || finished_; });
  }
  void wait_finished() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return finished_; });
  }
  std::vector<TimePoint> times() const {
    const std::lock_guard lock(mutex_);
    return times_;
  }
  PromptUsage usage() const {
    const std::lock_guard lock(mutex_);
    return usage_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TimePoint> times_;
  PromptUsage usage_;
  bool finished_ = false;
};

struct Asked {
  SequenceId id{};
  TimePoint at;
  std::shared_ptr<TimedListener> listener;
};

// One model behind one engine, nothing on disk.
class EngineRig {
 public:
  EngineRig(const std::string& model, std::uint32_t threads, const EngineConfig& engine) {
    BackendOptions options;
    options.threads = threads;
    options.pool_bytes = 1u << 30;
    const auto file = value_or_exit(GgufFile::open(model));
    const ModelConfig shape = value_or_exit(read_model_config(*file));
    vocabulary_ = shape.vocabulary;
    backend_ = value_or_exit(make_cpu_backend(*file, shape, options));
    engine_ = Engine::start(engine, *backend_, Fingerprint{}, PrefixCacheConfig{}, nullptr);
  }

  // Greedy, without stop tokens: exactly `output` tokens come unless it is cancelled.
  Asked ask(std::vector<TokenId> prompt, std::uint32_t output) {
    GenerateRequest request;
    request.prompt = std::move(prompt);
    request.salts = {SaltRange{}};
    request.sampling.temperature = 0;
    request.max_tokens = output;
    Asked asked{{}, Clock::now(), std::make_shared<TimedListener>()};
    request.arrived = asked.at;
    asked.id = value_or_exit(engine_->submit(std::move(request), asked.listener));
    return asked;
  }

  // Ids without a pattern: nothing here depends on what they mean. Equal seeds give equal ids.
  std::vector<TokenId> ids(std::size_t count, std::uint64_t seed) const {
    std::vector<TokenId> ids(count);
    for (std::size_t i = 0; i < count; ++i) ids[i] = static_cast<TokenId>(uniform64(seed, i) % vocabulary_);
    return ids;
  }

  Engine& engine() { return *engine_; }

 private:
  std::uint32_t vocabulary_ = 0;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Engine> engine_;
};

// The value that `share` of the values are below; 0 when there are none.
inline double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}

inline double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

}  // namespace kvasir::bench
