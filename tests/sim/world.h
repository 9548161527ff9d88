#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine_core.h"
#include "engine/null_backend.h"
#include "storage/base/prng.h"
#include "tests/support/fake_disk_tier.h"
#include "tests/support/recording_listener.h"

namespace kvasir::testing {

// What a world is like; drawn from its seed so that each seed stresses something else.
struct WorldConfig {
  EngineConfig engine;
  NullBackendConfig backend;
  PrefixCacheConfig cache;
  std::optional<FakeDiskOptions> disk;
  std::uint32_t tenants = 1, documents = 4;
  std::uint32_t prompt_tokens_max = 64, output_tokens_max = 32;
  std::uint32_t arrival_percent = 30, cancel_percent = 0, deadline_percent = 0, gone_percent = 0, stop_percent = 0;
  std::uint32_t step_ends_percent = 100;  // per turn; below 100 the backend takes several
  std::uint32_t stuck_percent = 0, restart_permille = 0;
  std::uint32_t turns = 200;
  bool corrupt_blocks = false;  // the canary: bytes change behind the cache's back

  static WorldConfig draw(Prng& prng);
};

// What happened in a world.
struct WorldTotals {
  std::uint64_t completed = 0, tokens_cached = 0, preemptions = 0, loads = 0, restarts = 0;
  std::uint64_t drafted = 0, accepted = 0;  // since the last restart
};

// The whole stack on the null backend: clients, scheduler, prefix cache, disk, restarts. One thread, one seed.
class World {
 public:
  World(std::uint64_t seed, const WorldConfig& config);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  void run();  // asserts on the way; every request that ended by itself has the ids it has alone

  WorldTotals totals;

 private:
  struct Request {
    GenerateRequest request;
    SequenceId id{};
    std::shared_ptr<RecordingListener> listener;
  };

  void start_engine();
  void kill();
  void stop();
  void restart();
  void arrive();
  std::vector<TokenId> draw_prompt();
  std::vector<SaltRange> draw_salts(std::uint32_t tenant);
  GenerateRequest draw_request();
  void submit(GenerateRequest request);
  void turn();
  void check_finished();
  void check_answer(const Request& request) const;
  void check_isolation(const Request& request) const;
  void check_totals() const;
  std::uint32_t reusable(const GenerateRequest& asked, const Request& earlier) const;
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(prng_.below(bound)); }

  Prng prng_;
  WorldConfig config_;
  std::optional<FakeDiskTier> disk_;
  std::unique_ptr<NullBackend> backend_;
  std::unique_ptr<EngineCore> core_;
  TimePoint now_{};
  std::uint64_t last_id_ = 0;
  std::vector<std::vector<TokenId>> documents_;
  std::vector<Request> live_, history_;
  PromptUsage admitted_;  // sums of this engine's listeners
};

inline WorldConfig WorldConfig::draw(Prng& prng) {
  const auto below = [&](std::uint32_t bound) { return static_cast<std::uint32_t>(prng.below(bound)); };
  const auto sometimes = [&](std::uint32_t value) { return prng.chance(50) ? value : 0; };
  WorldConfig config;
  config.backend.block_tokens = 1u << below(5);
  config.backend.block_count = prng.chance(50) ? 3 + below(12) : 16 + below(100);
  config.backend.vocabulary = 2 + below(40);
  config.backend.context_tokens = prng.chance(30) ? 40 + below(60) : 1000;
  config.backend.completion =
      prng.chance(50) ? NullBackendConfig::Completion::at_once : NullBackendConfig::Completion::manual;
  config.engine.step_tokens_max = 1 + below(prng.chance(50) ? 8 : 64);
  config.engine.itl_target.factor = 1 + below(8);
  if (prng.chance(30)) config.engine.itl_target.time = std::chrono::milliseconds(1 + below(20));
  for (std::uint32_t tenant = 0; tenant < 4; ++tenant)
    if (prng.chance(30)) config.engine.tenant_weights[std::to_string(tenant)] = 1 + below(10);
  config.engine.running_max = 1 + below(16);
  config.engine.speculation = prng.chance(80);
  config.backend.decided_by = below(4);
  config.engine.load_timeout = std::chrono::milliseconds(prng.chance(50) ? 2 + below(20) : 100000);
  config.cache.block_tokens = config.backend.block_tokens;
  config.cache.write_policy = prng.chance(50) ? WritePolicy::on_commit : WritePolicy::on_reuse;
  config.cache.loads_inflight_max = 1 + below(16);
  config.cache.writes_inflight_max = 1 + below(16);
  if (prng.chance(70)) {
    FakeDiskOptions disk;
    disk.delay_steps_max = below(6);
    disk.reorder = prng.chance(50);
    disk.queue_max = 1 + below(32);
    disk.durable_after_steps = below(8);
    if (prng.chance(30)) disk.records_max = 4 + below(60);
    disk.read_fault_percent = sometimes(below(30));
    disk.refuse_percent = sometimes(below(30));
    disk.reclaim_percent = sometimes(below(20));
    config.disk = disk;
    config.stuck_percent = sometimes(below(10));
    config.restart_permille = sometimes(below(25));
  }
  config.tenants = 1 + below(4);
  config.documents = 1 + below(6);
  config.prompt_tokens_max = 4 + below(100);
  config.output_tokens_max = 1 + below(40);
  config.arrival_percent = 5 + below(95);
  config.cancel_percent = sometimes(below(10));
  config.deadline_percent = sometimes(below(30));
  config.gone_percent = sometimes(below(20));
  config.stop_percent = sometimes(below(50));
  if (prng.chance(50)) config.step_ends_percent = 20 + below(80);
  config.cache.policy = kPolicyKinds[prng.below(std::size(kPolicyKinds))];
  return config;
}

inline World::World(std::uint64_t seed, const WorldConfig& config) : prng_(seed), config_(config) {
  if (config_.disk) disk_.emplace(seed, *config_.disk);
  for (std::uint32_t d = 0; d < config_.documents; ++d) {
    std::vector<TokenId>& document = documents_.emplace_back(config_.prompt_tokens_max);
    for (TokenId& id : document) id = static_cast<TokenId>(below(config_.backend.vocabulary));
  }
  start_engine();
}

inline void World::start_engine() {
  core_.reset();
  backend_ = NullBackend::make(config_.backend);
  core_ =
      std::make_unique<EngineCore>(config_.engine, *backend_, Fingerprint{}, config_.cache, disk_ ? &*disk_ : nullptr);
  admitted_ = {};
}

// Kill -9: no listener hears anything; the clients come back.
inline void World::kill() {
  disk_->crash();
  const std::vector<Request> lost = std::exchange(live_, {});
  start_engine();
  for (const Request& request : lost) {
    history_.push_back(request);
    if (prng_.chance(70)) submit(request.request);
  }
}

// A clean end: every listener hears of it, and what was committed is on disk.
inline void World::stop() {
  core_->stop(now_);
  while (!core_->empty()) turn();
  turn();
  KVASIR_ASSERT(live_.empty());
  core_->cache().flush();
  start_engine();
}

inline void World::restart() {
  ++totals.restarts;
  totals.preemptions += core_->stats().preemptions;
  if (prng_.chance(50)) {
    kill();
  } else {
    stop();
  }
}

// The beginning of a document, or of an earlier conversation with its answer, and then something of its own.
inline std::vector<TokenId> World::draw_prompt() {
  std::vector<TokenId> prompt = documents_[below(config_.documents)];
  if (!history_.empty() && prng_.chance(40)) {
    const Request& earlier = history_[below(static_cast<std::uint32_t>(history_.size()))];
    prompt = earlier.request.prompt;
    prompt.insert(prompt.end(), earlier.listener->ids.begin(), earlier.listener->ids.end());
  }
  if (prng_.chance(60)) prompt.resize(1 + below(static_cast<std::uint32_t>(prompt.size())));
  for (std::uint32_t extra = below(8); extra > 0; --extra)
    prompt.push_back(static_cast<TokenId>(below(config_.backend.vocabulary)));
  return prompt;
}

inline std::vector<SaltRange> World::draw_salts(std::uint32_t tenant) {
  Salt own;
  own.bytes[0] = static_cast<std::uint8_t>(1 + tenant);
  if (prng_.chance(50)) return {SaltRange{0, own}};
  return {SaltRange{0, {}}, SaltRange{1 + below(40), own}};  // a scope that all tenants share, then the tenant's
}

inline GenerateRequest World::draw_request() {
  const std::uint32_t tenant = below(config_.tenants);
  GenerateRequest request;
  request.prompt = draw_prompt();
  request.salts = draw_salts(tenant);
  request.tenant = std::to_string(tenant);
  request.max_tokens = 1 + below(config_.output_tokens_max);
  request.sampling.temperature = prng_.chance(50) ? 0.0f : 1.0f;
  request.sampling.seed = below(3);
  if (prng_.chance(config_.stop_percent))
    request.stop_tokens.push_back(static_cast<TokenId>(below(config_.backend.vocabulary)));
  return request;
}

inline void World::arrive() {
  GenerateRequest request = draw_request();
  if (core_->check(request)) submit(std::move(request));
}

inline void World::submit(GenerateRequest request) {
  request.arrived = now_;
  request.deadline.reset();
  if (prng_.chance(config_.deadline_percent)) request.deadline = now_ + std::chrono::milliseconds(1 + below(60));
  Request& made = live_.emplace_back(Request{request, SequenceId{++last_id_}, std::make_shared<RecordingListener>()});
  if (prng_.chance(config_.gone_percent)) made.listener->tokens_taken_max = 1 + below(10);
  core_->submit(core_->make_sequence(made.id, std::move(request), made.listener));
}

inline void World::turn() {
  now_ += std::chrono::milliseconds(1);
  if (config_.backend.completion == NullBackendConfig::Completion::manual && prng_.chance(config_.step_ends_percent))
    backend_->complete();
  if (disk_) {
    disk_->options.stuck = prng_.chance(config_.stuck_percent) != disk_->options.stuck;
    disk_->step();
  }
  core_->advance(now_);
  core_->check_invariants();
  core_->deliver(now_);
  check_finished();
}

inline void World::check_finished() {
  for (std::size_t i = 0; i < live_.size();) {
    if (!live_[i].listener->finish) {
      ++i;
      continue;
    }
    const Request request = live_[i];
    live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(i));
    check_answer(request);
    check_isolation(request);
    if (request.listener->usage) {
      admitted_.prompt_tokens += request.listener->usage->prompt_tokens;
      for (std::size_t tier = 0; tier < kTierCount; ++tier)
        admitted_.cached[tier] += request.listener->usage->cached[tier];
      totals.tokens_cached += request.listener->usage->cached_total();
      totals.loads += request.listener->usage->cached[1] > 0;
    }
    history_.push_back(request);
  }
}

// Whatever else happened meanwhile, the ids are those that the request gets alone.
inline void World::check_answer(const Request& request) const {
  const GenerateRequest& asked = request.request;
  const FinishInfo& finish = *request.listener->finish;
  const std::vector<TokenId>& got = request.listener->ids;
  const auto prompt = static_cast<std::uint32_t>(asked.prompt.size());
  const std::uint32_t room =
      std::min(config_.backend.context_tokens, config_.backend.block_count * config_.backend.block_tokens + 1);
  auto expected = null_generate(asked.prompt, asked.sampling, config_.backend.vocabulary,
                                std::min(asked.max_tokens, room - prompt), config_.backend.decided_by);
  const auto stop = asked.stop_tokens.empty() ? expected.end()
                                              : std::find(expected.begin(), expected.end(), asked.stop_tokens.front());
  const bool stops = stop != expected.end();
  if (stops) expected.erase(stop + 1, expected.end());
  KVASIR_ASSERT(got.size() <= expected.size() && std::equal(got.begin(), got.end(), expected.begin()));
  const bool all = finish.generated_tokens == expected.size() &&  // who was gone heard less of it
                   got.size() == std::min(expected.size(), request.listener->tokens_taken_max);
  if (finish.reason == FinishReason::stop) KVASIR_ASSERT(stops && all);
  if (finish.reason == FinishReason::length) KVASIR_ASSERT(!stops && all);
  if (finish.message.find("deadline") != std::string::npos)
    KVASIR_ASSERT(asked.deadline && *asked.deadline <= finish.times.finished);
}

// Tokens of `asked` that the blocks of an earlier request may have given it: same ids under the same salts.
inline std::uint32_t World::reusable(const GenerateRequest& asked, const Request& earlier) const {
  std::vector<TokenId> had = earlier.request.prompt;
  had.insert(had.end(), earlier.listener->ids.begin(), earlier.listener->ids.end());
  const std::uint32_t block = config_.backend.block_tokens;
  const auto wanted = static_cast<std::uint32_t>(asked.prompt.size() - 1);
  std::uint32_t tokens = 0;
  for (std::uint32_t first = 0; first < had.size() && first < wanted; first += block) {
    const auto filled = std::min<std::size_t>(block, had.size() - first);  // fewer in the one that it ended in
    const Salt& salt = salt_of_block(earlier.request.salts, first, block);
    // A block that the prompt has not to its end may be taken from any scope that the prompt has in it.
    bool in_scope = false;
    for (std::uint32_t count = 1; count <= block; ++count) in_scope |= salt_of_block(asked.salts, first, count) == salt;
    if (!in_scope) break;
    std::uint32_t same = 0;
    while (same < filled && first + same < wanted && had[first + same] == asked.prompt[first + same]) ++same;
    tokens += same;
    if (same < block) break;
  }
  return tokens;
}

inline void World::check_isolation(const Request& request) const {
  if (!request.listener->usage) return;
  std::uint32_t possible = 0;
  for (const std::vector<Request>* others : {&history_, &live_})
    for (const Request& other : *others) possible = std::max(possible, reusable(request.request, other));
  KVASIR_ASSERT(request.listener->usage->cached_total() <= possible);
}

inline void World::check_totals() const {
  const EngineStats stats = core_->stats();
  KVASIR_ASSERT(stats.running + stats.waiting + stats.loading == 0);
  KVASIR_ASSERT(stats.cache.host.filling + stats.cache.host.leased == 0);
  for (std::size_t tier = 0; tier < kTierCount; ++tier)
    KVASIR_ASSERT(stats.prompt_tokens_cached[tier] == admitted_.cached[tier]);
  KVASIR_ASSERT(stats.prompt_tokens_computed == admitted_.prompt_tokens - admitted_.cached_total());
}

inline void World::run() {
  for (std::uint32_t t = 0; t < config_.turns; ++t) {
    if (prng_.chance(config_.arrival_percent) && live_.size() < 40) arrive();
    if (!live_.empty() && prng_.chance(config_.cancel_percent))
      core_->cancel(live_[below(static_cast<std::uint32_t>(live_.size()))].id, now_);
    if (config_.corrupt_blocks && t == config_.turns / 2)
      for (std::uint32_t b = 0; b < config_.backend.block_count; ++b)
        backend_->memory().bytes(BlockId{b}).front() ^= std::byte{1};
    turn();
    if (below(1000) < config_.restart_permille) restart();
  }
  config_.stuck_percent = 0;
  if (disk_) disk_->options.stuck = false;
  std::uint32_t left = 200000;  // nothing may wait for ever
  while (!core_->empty() || (disk_ && !disk_->idle()) || core_->stats().cache.host.leased > 0) {
    KVASIR_ASSERT(--left > 0);
    turn();
  }
  KVASIR_ASSERT(live_.empty());
  check_totals();
  totals.preemptions += core_->stats().preemptions;
  totals.completed = history_.size();
  totals.drafted = core_->stats().tokens_drafted;
  totals.accepted = core_->stats().tokens_accepted;
}

}  // namespace kvasir::testing
