#include "engine/engine.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "engine/null_backend.h"
#include "tests/unit/engine/core_harness.h"

namespace kvasir::testing {
namespace {

using std::chrono::milliseconds;
constexpr std::uint32_t kVocabulary = 1000;

// A listener for the owner thread; the test's thread waits for what it heard.
class WaitingListener final : public TokenListener {
 public:
  explicit WaitingListener(milliseconds token_delay = {}) : token_delay_(token_delay) {}

  void on_admit(const PromptUsage& usage) override {
    const std::lock_guard lock(mutex_);
    heard_.on_admit(usage);
    changed_.notify_all();
  }
  bool on_token(const SampledToken& token) override {
    std::this_thread::sleep_for(token_delay_);
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
    return heard_.on_token(token);
  }
  void on_finish(const FinishInfo& info) override {
    const std::lock_guard lock(mutex_);
    heard_.on_finish(info);
    changed_.notify_all();
  }

  RecordingListener wait_finished() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return heard_.finish.has_value(); });
    return heard_;
  }
  void wait_tokens(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return heard_.ids.size() >= count || heard_.finish; });
  }

 private:
  const milliseconds token_delay_;
  std::mutex mutex_;
  std::condition_variable changed_;
  RecordingListener heard_;
};

struct ThreadedEngine {
  explicit ThreadedEngine(EngineConfig engine_config = {}, NullBackendConfig backend_config = {}) {
    backend_config.block_tokens = 4;
    backend_config.vocabulary = kVocabulary;
    backend_config.completion = NullBackendConfig::Completion::threaded;
    backend = NullBackend::make(backend_config);
    PrefixCacheConfig cache;
    cache.block_tokens = 4;
    engine = Engine::start(engine_config, *backend, Fingerprint{}, cache, nullptr);
  }

  std::unique_ptr<NullBackend> backend;
  std::unique_ptr<Engine> engine;
};

NullBackendConfig slow_steps(milliseconds delay) {
  NullBackendConfig config;
  config.delay_per_step = delay;
  return config;
}

GenerateRequest request(std::vector<TokenId> prompt, std::uint32_t max_tokens) {
  return CoreHarness::request(std::move(prompt), max_tokens);
}

TEST(Engine, ManyThreadsGetTheIdsOfEachAlone) {
  EngineConfig config;
  config.step_tokens_max = 128;
  NullBackendConfig backend;
  backend.block_count = 600;  // not enough for all at once
  ThreadedEngine threaded(config, backend);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> clients;
  for (int c = 0; c < 64; ++c) {
    clients.emplace_back([&, c] {
      for (int r = 0; r < 3; ++r) {
        auto prompt = tokens(1 + c % 8, 40);  // eight prefixes, each with many askers
        prompt.push_back(c);
        auto listener = std::make_shared<WaitingListener>();
        if (!threaded.engine->submit(request(prompt, 30), listener)) ++wrong;
        if (listener->wait_finished().ids != alone(prompt, 30)) ++wrong;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
  const EngineStats stats = threaded.engine->stats();
  EXPECT_EQ(stats.requests_finished, 192u);
  EXPECT_EQ(stats.tokens_generated, 192u * 30);
  EXPECT_EQ(stats.prompt_tokens_computed + stats.prompt_tokens_cached[0], 192u * 41);
  EXPECT_EQ(stats.cache.host.leased + stats.cache.host.filling, 0u);
}

TEST(Engine, CancelFromAnyThreadAtAnyTime) {
  ThreadedEngine threaded;
  std::vector<std::thread> clients;
  for (int c = 0; c < 16; ++c) {
    clients.emplace_back([&, c] {
      for (int r = 0; r < 10; ++r) {
        const auto prompt = tokens(1 + c, 20);
        auto listener = std::make_shared<WaitingListener>();
        const auto id = threaded.engine->submit(request(prompt, 500), listener);
        KVASIR_ASSERT(id.ok());
        if (r % 2) listener->wait_tokens(static_cast<std::size_t>(r));
        threaded.engine->cancel(*id);
        const RecordingListener heard = listener->wait_finished();
        const auto expected = alone(prompt, 500);
        KVASIR_ASSERT(std::equal(heard.ids.begin(), heard.ids.end(), expected.begin()));
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(threaded.engine->stats().requests_finished, 160u);
  EXPECT_EQ(threaded.engine->stats().cache.host.leased, 0u);
}

TEST(Engine, CancelFreesBlocksWithinOneStep) {
  ThreadedEngine threaded({}, slow_steps(milliseconds(20)));
  auto listener = std::make_shared<WaitingListener>();
  const auto id = threaded.engine->submit(request(tokens(1, 40), 1000), listener);
  listener->wait_tokens(2);
  EXPECT_GT(threaded.engine->stats().cache.host.leased, 0u);
  const auto before = Clock::now();
  threaded.engine->cancel(*id);
  listener->wait_finished();
  EXPECT_LT(Clock::now() - before, milliseconds(1000));
  const PoolCounts blocks = threaded.engine->stats().cache.host;  // as of before on_finish
  EXPECT_EQ(blocks.leased + blocks.filling, 0u);
}

TEST(Engine, AFullQueueIsAnAnswer) {
  EngineConfig config;
  config.running_max = 1;
  config.waiting_max = 2;
  ThreadedEngine threaded(config, slow_steps(milliseconds(1)));
  std::vector<std::shared_ptr<WaitingListener>> listeners;
  for (TokenId i = 0; i < 3; ++i) {
    listeners.push_back(std::make_shared<WaitingListener>());
    ASSERT_TRUE(threaded.engine->submit(request(tokens(1 + 100 * i, 10), 50), listeners.back()));
  }
  const auto refused = threaded.engine->submit(request(tokens(500, 10), 5), std::make_shared<WaitingListener>());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::queue_full);
  listeners[0]->wait_finished();
  auto last = std::make_shared<WaitingListener>();
  EXPECT_TRUE(threaded.engine->submit(request(tokens(500, 10), 5), last));  // whoever heard of an end finds room
  EXPECT_EQ(last->wait_finished().ids, alone(tokens(500, 10), 5));
}

TEST(Engine, ImpossibleRequestsAreRefusedWithNumbers) {
  EngineConfig config;
  config.context_tokens_max = 100;
  NullBackendConfig backend;
  backend.block_count = 20;
  ThreadedEngine threaded(config, backend);
  const auto refusal = [&](std::vector<TokenId> prompt, std::uint32_t max_tokens) {
    const auto result =
        threaded.engine->submit(request(std::move(prompt), max_tokens), std::make_shared<WaitingListener>());
    KVASIR_ASSERT(!result && result.error().code == ErrorCode::invalid_argument);
    return result.error().message;
  };
  EXPECT_NE(refusal({}, 5).find("empty"), std::string::npos);
  EXPECT_NE(refusal({1, 1000}, 5).find("token id 1000 is not in the vocabulary of 1000"), std::string::npos);
  EXPECT_NE(refusal({-1}, 5).find("-1"), std::string::npos);
  EXPECT_NE(refusal({1}, 0).find("max_tokens"), std::string::npos);
  EXPECT_NE(refusal(tokens(1, 100), 5).find("100 tokens; the context is 100"), std::string::npos);
  EXPECT_NE(refusal(tokens(1, 80), 5).find("needs 21 blocks of 4 tokens; the host tier has 20"), std::string::npos);
  EXPECT_EQ(threaded.engine->context_tokens(), 100u);
}

TEST(Engine, DrainingRefusesNewWorkAndFinishesTheOld) {
  ThreadedEngine threaded({}, slow_steps(milliseconds(1)));
  auto listener = std::make_shared<WaitingListener>();
  ASSERT_TRUE(threaded.engine->submit(request(tokens(1, 10), 20), listener));
  threaded.engine->drain();
  const auto refused = threaded.engine->submit(request(tokens(1, 10), 20), std::make_shared<WaitingListener>());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::shutting_down);
  EXPECT_EQ(listener->wait_finished().ids, alone(tokens(1, 10), 20));
}

TEST(Engine, DestructionEndsEverySequence) {
  std::vector<std::shared_ptr<WaitingListener>> listeners;
  {
    EngineConfig config;
    config.running_max = 2;
    ThreadedEngine threaded(config, slow_steps(milliseconds(1)));
    for (TokenId i = 0; i < 6; ++i) {
      listeners.push_back(std::make_shared<WaitingListener>());
      ASSERT_TRUE(threaded.engine->submit(request(tokens(1 + 100 * i, 10), 100000), listeners.back()));
    }
    listeners[0]->wait_tokens(3);
  }
  for (const auto& listener : listeners) EXPECT_EQ(listener->wait_finished().finish->reason, FinishReason::failed);
}

TEST(Engine, DeadlinesPassWithoutTraffic) {
  ThreadedEngine threaded({}, slow_steps(milliseconds(200)));
  GenerateRequest asked = request(tokens(1, 10), 100000);
  asked.deadline = Clock::now() + milliseconds(50);
  auto listener = std::make_shared<WaitingListener>();
  ASSERT_TRUE(threaded.engine->submit(asked, listener));
  EXPECT_EQ(listener->wait_finished().finish->reason, FinishReason::failed);
}

TEST(Engine, ASlowListenerDelaysNoOneForEver) {
  ThreadedEngine threaded;
  auto slow = std::make_shared<WaitingListener>(milliseconds(2)), fast = std::make_shared<WaitingListener>();
  ASSERT_TRUE(threaded.engine->submit(request(tokens(1, 10), 50), slow));
  ASSERT_TRUE(threaded.engine->submit(request(tokens(100, 10), 50), fast));
  EXPECT_EQ(fast->wait_finished().ids, alone(tokens(100, 10), 50));
  EXPECT_EQ(slow->wait_finished().ids, alone(tokens(1, 10), 50));
}

TEST(Engine, RefusesPartsThatDoNotFit) {
  auto backend = NullBackend::make({});
  PrefixCacheConfig cache;
  cache.block_tokens = 16;
  EXPECT_THROW(Engine::start({}, *backend, Fingerprint{}, cache, nullptr), std::invalid_argument);
}

}  // namespace
}  // namespace kvasir::testing
