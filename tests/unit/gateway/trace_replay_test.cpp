// What a server records, replayed through the simulator with the same pool and policy: the same hits and evictions,
// request by request.
#include <algorithm>

#include <gtest/gtest.h>

#include "engine/engine_core.h"
#include "engine/null_backend.h"
#include "gateway/simulate/trace_reader.h"
#include "gateway/trace_recorder.h"
#include "storage/base/prng.h"
#include "storage/simulator/optimum.h"
#include "storage/simulator/replay.h"
#include "tests/support/recording_listener.h"

namespace kvasir::testing {
namespace {

constexpr std::uint32_t kBlockTokens = 4;
constexpr std::uint32_t kVocabulary = 1'000'000;  // so that prompts agree where they are meant to only

class RecordedTraffic : public RequestTraceSink {
 public:
  RecordedTraffic(PolicyKind policy, std::uint32_t blocks, std::uint64_t seed) : prng_(mix64(seed)) {
    backend_ = NullBackend::make({.block_count = blocks, .block_tokens = kBlockTokens, .vocabulary = kVocabulary});
    EngineConfig engine;
    engine.traces = this;
    PrefixCacheConfig cache;
    cache.block_tokens = kBlockTokens;
    cache.policy = policy;
    core_ = std::make_unique<EngineCore>(engine, *backend_, Fingerprint{}, cache, nullptr);
    for (TokenId& id : system_) id = token();
    for (std::vector<TokenId>& session : sessions_) session.assign(system_.begin(), system_.end());
  }

  void record(RequestTrace trace) override {
    lines += trace_line(trace, "m", kBlockTokens, 1000 * seconds_between(TimePoint{}, trace.times.arrived)) + '\n';
    hit_full_blocks.push_back(trace.usage.cached_total() / kBlockTokens);
  }

  // Chats that go on, start anew, ask the same again or go back to where they were, one request at a time.
  void run(int requests) {
    for (int i = 0; i < requests; ++i) {
      now_ += std::chrono::milliseconds(prng_.below(60'000));
      std::vector<TokenId>& session = sessions_[prng_.below(sessions_.size())];
      if (prng_.chance(10)) session.assign(system_.begin(), system_.end());
      if (prng_.chance(10) && session.size() > system_.size())
        session.resize(system_.size() + prng_.below(session.size() - system_.size()));
      if (session.size() > 80) session.resize(kBlockTokens);
      for (std::uint64_t more = 1 + prng_.below(15); more > 0; --more) session.push_back(token());
      const std::vector<TokenId> prompt = session;
      const auto answer = ask(prompt);
      if (prng_.chance(20)) ask(prompt);
      session.insert(session.end(), answer.begin(), answer.end());
    }
  }

  std::uint64_t evictions() const {
    return core_->stats().cache.evictions[0][static_cast<std::size_t>(EvictionReason::capacity)];
  }

  std::string lines;
  std::vector<std::uint32_t> hit_full_blocks;  // by request

 private:
  TokenId token() { return static_cast<TokenId>(prng_.below(kVocabulary)); }

  std::vector<TokenId> ask(const std::vector<TokenId>& prompt) {
    GenerateRequest request;
    request.prompt = prompt;
    request.salts = {SaltRange{}};
    request.sampling.temperature = 0.0f;
    request.max_tokens = 1 + static_cast<std::uint32_t>(prng_.below(20));
    if (prng_.chance(50)) request.stop_tokens = {null_generate(prompt, request.sampling, kVocabulary, 3).back()};
    request.tells_end = true;
    request.arrived = now_;
    const SequenceId id{++last_id_};
    const auto listener = std::make_shared<RecordingListener>();
    core_->submit(core_->make_sequence(id, std::move(request), listener));
    while (core_->deliver(now_) || !core_->empty()) core_->advance(now_);
    core_->tell_end(id, prng_.chance(50) ? RequestEnd::tool_use : RequestEnd::end_turn);
    return listener->ids;
  }

  Prng prng_;
  std::unique_ptr<NullBackend> backend_;
  std::unique_ptr<EngineCore> core_;
  TimePoint now_{};
  std::uint64_t last_id_ = 0;
  std::array<TokenId, 10> system_{};
  std::array<std::vector<TokenId>, 6> sessions_;
};

Trace trace_of(const RecordedTraffic& traffic) {
  Result<Trace> trace = parse_trace("recorded", traffic.lines, {});
  KVASIR_ASSERT(trace.ok());
  return std::move(*trace);
}

// Full blocks of each prompt that the simulator found.
std::vector<std::uint32_t> full_blocks(const ReplayTotals& totals, const Trace& trace) {
  std::vector<std::uint32_t> hits = totals.hits_by_request;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    const TraceRequest& request = trace.requests[i];
    if (hits[i] > 0 && hits[i] * kBlockTokens == request.input_tokens) --hits[i];  // its last token is computed
  }
  return hits;
}

class TraceReplay : public ::testing::TestWithParam<PolicyKind> {};

TEST_P(TraceReplay, SameHitsAndEvictionsAsTheServer) {
  std::uint64_t evictions = 0, hits = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed)
    for (const std::uint32_t blocks : {40u, 120u, 400u}) {
      RecordedTraffic traffic(GetParam(), blocks, seed);
      traffic.run(300);
      const Trace trace = trace_of(traffic);
      ASSERT_EQ(trace.requests.size(), traffic.hit_full_blocks.size());
      const ReplayTotals replayed = replay(trace, GetParam(), blocks, Regime::pinned);
      const auto found = full_blocks(replayed, trace);
      for (std::size_t i = 0; i < found.size(); ++i)
        ASSERT_EQ(found[i], traffic.hit_full_blocks[i]) << "request " << i << ", seed " << seed << ", pool " << blocks;
      EXPECT_EQ(replayed.evicted, traffic.evictions()) << "seed " << seed << ", pool " << blocks;
      evictions += replayed.evicted;
      hits += replayed.hit_blocks;
    }
  EXPECT_GT(evictions, 10'000u);
  EXPECT_GT(hits, 10'000u);
}

TEST_P(TraceReplay, NoPolicyHitsMoreThanTheOptimum) {
  RecordedTraffic traffic(GetParam(), 100, 3);
  traffic.run(400);
  const Trace trace = trace_of(traffic);
  const std::uint64_t optimum = replay_optimum(trace, 100, Regime::unpinned).hit_blocks;
  EXPECT_LE(replay(trace, GetParam(), 100, Regime::unpinned).hit_blocks, optimum);
  EXPECT_LE(optimum, replay_infinite(trace).hit_blocks);
}

INSTANTIATE_TEST_SUITE_P(Policies, TraceReplay, ::testing::ValuesIn(kPolicyKinds),
                         [](const auto& policy) { return std::string(to_string(policy.param)); });

}  // namespace
}  // namespace kvasir::testing
