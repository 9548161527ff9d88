#pragma once

#include <condition_variable>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/cpu/cpu_backends.h"
#include "engine/engine.h"
#include "storage/base/hash.h"
#include "storage/base/prng.h"
#include "storage/tiers/disk_tier.h"
#include "tests/support/temp_dir.h"

namespace kvasir::testing {

// Passes steps on to a backend and keeps a checksum of the logits that each token was chosen from; of drafts, of those
// that were right.
class LogitsTap : public Backend {
 public:
  explicit LogitsTap(Backend& inner) : inner_(inner) {}
  const BackendInfo& info() const override { return inner_.info(); }
  BlockMemory& memory() override { return inner_.memory(); }
  void set_wakeup(std::function<void()> wakeup) override { inner_.set_wakeup(std::move(wakeup)); }
  Ticket submit(Batch batch) override {
    const std::lock_guard lock(mutex_);
    for (SequenceInput& s : batch.sequences) {
      if (s.sampling) s.logits = LogitsWanted::last;
      const std::span<const TokenId> drafts = s.ids.last(s.drafts);
      drafts_[s.id] = {drafts.begin(), drafts.end()};
    }
    return inner_.submit(std::move(batch));
  }
  std::optional<BatchResult> poll(Ticket ticket) override {
    std::optional<BatchResult> result = inner_.poll(ticket);
    if (!result) return result;
    const std::lock_guard lock(mutex_);
    for (const SequenceOutput& s : result->sequences)
      if (s.sampled) see(s, drafts_[s.id]);
    return result;
  }
  std::vector<std::uint64_t> of(SequenceId id) {
    const std::lock_guard lock(mutex_);
    return seen_[id];
  }

 private:
  void see(const SequenceOutput& s, const std::vector<TokenId>& drafts) {
    const std::size_t row = inner_.info().vocabulary;
    TokenId sampled = s.sampled->id;
    for (std::size_t i = 0; i <= drafts.size(); ++i) {
      seen_[s.id].push_back(checksum64(std::as_bytes(std::span(s.logits).subspan(i * row, row))));
      if (i == drafts.size() || drafts[i] != sampled) return;
      sampled = s.after_drafts.at(i).id;
    }
  }

  Backend& inner_;
  std::mutex mutex_;
  std::map<SequenceId, std::vector<std::uint64_t>> seen_;
  std::map<SequenceId, std::vector<TokenId>> drafts_;  // of the step in flight
};

class Waiting : public TokenListener {
 public:
  void on_admit(const PromptUsage&) override {}
  bool on_token(const SampledToken& token) override { return ids_.push_back(token.id), true; }
  void on_finish(const FinishInfo& info) override {
    const std::lock_guard lock(mutex_);
    info_ = info;
    ended_.notify_one();
  }
  const FinishInfo& wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return info_.has_value(); });
    return *info_;
  }
  const std::vector<TokenId>& ids() const { return ids_; }  // after wait()

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<TokenId> ids_;
  std::optional<FinishInfo> info_;
};

// What one prompt gave.
struct Answer {
  std::vector<TokenId> ids;
  std::vector<std::uint64_t> logits;  // a checksum of the bits for each id
  PromptUsage usage;
};

inline bool same(const Answer& a, const Answer& b) { return a.ids == b.ids && a.logits == b.logits; }

// The tokens that a hit can give: whole blocks, and never the last of the prompt.
inline std::uint32_t blocks_of(std::uint32_t length) { return (length - 1) / 32 * 32; }

// A model file and random prompts of some lengths, to be asked in many settings.
class TransparencyRig {
 public:
  static constexpr std::uint32_t kGreedyTokens = 12;

  TransparencyRig(const std::string& model_path, std::span<const std::uint32_t> lengths, std::size_t pool_bytes,
                  std::string kv_type = "f16")
      : lengths_(lengths.begin(), lengths.end()),
        pool_bytes_(pool_bytes),
        kv_type_(std::move(kv_type)),
        file_(GgufFile::open(model_path).value()) {
    config_ = read_model_config(*file_).value();
    Prng prng(2026);
    for (const std::uint32_t length : lengths_) {
      prompts_.emplace_back();
      for (std::uint32_t i = 0; i < length; ++i)
        prompts_.back().push_back(static_cast<TokenId>(prng.below(config_.vocabulary)));
    }
  }

  struct Setting {
    std::uint32_t chunk = 512, running = 1, length_max = 3000;
    DiskTier* disk = nullptr;
    std::uint32_t rounds = 1;  // how often the prompts go through the same engine; the last round's answers count
  };

  // A process of its own, as far as the engine knows: new backend, new pool.
  std::vector<Answer> run(const std::string& kernel_class, const Setting& setting) {
    const std::unique_ptr<Backend> fresh = backend(kernel_class);
    LogitsTap tap(*fresh);
    EngineConfig config;
    config.step_tokens_max = setting.chunk;
    config.running_max = setting.running;
    const auto engine = Engine::start(config, tap, Fingerprint{}, PrefixCacheConfig{}, setting.disk);
    std::vector<Answer> answers;
    for (std::uint32_t round = 0; round < setting.rounds; ++round) answers = ask_all(*engine, tap, setting.length_max);
    return answers;
  }

  void expect_same(const std::vector<Answer>& actual, const std::vector<Answer>& expected, const char* how) const {
    std::cout << how << ": " << actual.size() << " prompts\n";
    for (std::size_t i = 0; i < actual.size(); ++i) {
      ASSERT_EQ(actual[i].logits.size(), kGreedyTokens) << how << ", prompt of " << lengths_[i];
      EXPECT_TRUE(same(actual[i], expected[i])) << how << ", prompt of " << lengths_[i] << " tokens";
    }
  }

  // Cold, by chunks, among others, from the pool, with a disk tier and from disk after a restart: all the same. One
  // token at a time only prompts up to `single_max`. `disk_path` is a folder that is not there yet.
  void expect_that_hits_change_nothing(std::uint32_t single_max, const std::string& disk_path) {
    const std::string cpu = available_kernel_classes().front();
    const std::vector<Answer> cold = run(cpu, {});
    for (const Answer& answer : cold) EXPECT_EQ(answer.usage.cached_total(), 0u);
    expect_same(cold, cold, "cold, alone, chunks of 512");
    expect_same(run(cpu, {.chunk = 128}), cold, "chunks of 128");
    expect_same(run(cpu, {.chunk = 32}), cold, "chunks of 32");
    expect_same(run(cpu, {.chunk = 1, .length_max = single_max}), cold, "chunks of 1");
    expect_same(run(cpu, {.running = 9}), cold, "among 8 others");
    const std::vector<Answer> pool = run(cpu, {.running = 9, .rounds = 2});
    expect_same(pool, cold, "from the pool");
    expect_hits(pool, Tier::host);

    DiskTierConfig disk;
    disk.path = disk_path;
    disk.capacity_bytes = 2ull << 30;
    const auto open = [&] { return std::move(*DiskTier::open(disk)); };
    {
      const auto tier = open();
      expect_same(run(cpu, {.disk = tier.get()}), cold, "with a disk tier");
    }
    const auto tier = open();
    const std::vector<Answer> restarted = run(cpu, {.disk = tier.get()});
    expect_same(restarted, cold, "from disk after a restart");
    expect_hits(restarted, Tier::disk);
  }

  // Every class that this machine has, with the others of its numerics id; the scalar one for prompts up to
  // `scalar_max`.
  void expect_that_classes_agree(std::uint32_t length_max, std::uint32_t scalar_max) {
    std::map<std::string, std::vector<Answer>> expected;  // of each numerics id
    for (const std::string& name : available_kernel_classes()) {
      const std::string numerics = backend(name)->info().numerics_id;
      if (!expected.contains(numerics)) expected[numerics] = run(name, {.length_max = length_max});
      const std::uint32_t most = name == "scalar" ? scalar_max : length_max;
      const Setting setting{.chunk = 32, .running = 9, .length_max = most, .rounds = 2};
      expect_same(run(name, setting), expected[numerics], name.c_str());
    }
  }

 private:
  std::unique_ptr<Backend> backend(const std::string& kernel_class) const {
    BackendOptions options;
    options.threads = 2;
    options.pool_bytes = pool_bytes_;
    options.kernel_class = kernel_class;
    options.kv_type = kv_type_;
    auto made = make_cpu_backend(*file_, config_, options);
    if (!made) throw std::runtime_error(made.error().message);
    return std::move(*made);
  }

  std::vector<Answer> ask_all(Engine& engine, LogitsTap& tap, std::uint32_t length_max) const {
    std::vector<std::pair<SequenceId, std::shared_ptr<Waiting>>> asked;
    for (const std::vector<TokenId>& prompt : prompts_) {
      if (prompt.size() > length_max) continue;
      GenerateRequest request;
      request.prompt = prompt;
      request.salts = {{0, Salt{}}};
      request.sampling.temperature = 0;
      request.max_tokens = kGreedyTokens;
      request.arrived = Clock::now();
      auto listener = std::make_shared<Waiting>();
      asked.emplace_back(*engine.submit(std::move(request), listener), listener);
    }
    std::vector<Answer> answers;
    for (const auto& [id, listener] : asked) {
      const FinishInfo& info = listener->wait();
      EXPECT_EQ(info.reason, FinishReason::length);
      answers.push_back({listener->ids(), tap.of(id), info.usage});
    }
    return answers;
  }

  void expect_hits(const std::vector<Answer>& answers, Tier tier) const {
    for (std::size_t i = 0; i < answers.size(); ++i)
      EXPECT_GE(answers[i].usage.cached[static_cast<std::size_t>(tier)], blocks_of(lengths_[i]));
  }

  std::vector<std::uint32_t> lengths_;
  std::size_t pool_bytes_;
  std::string kv_type_;
  std::unique_ptr<GgufFile> file_;
  ModelConfig config_;
  std::vector<std::vector<TokenId>> prompts_;
};

}  // namespace kvasir::testing
