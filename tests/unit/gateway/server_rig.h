#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "gateway/auth.h"
#include "gateway/metrics.h"
#include "gateway/routes.h"
#include "gateway/server.h"
#include "gateway/tls.h"
#include "tests/unit/gateway/fakes.h"
#include "tests/unit/gateway/test_client.h"

namespace kvasir::testing {

// A whole server on a free loopback port, over a real engine with the null backend.
class ServerRig {
 public:
  struct Options {
    Config config;
    NullBackendConfig backend;
    bool handle_signals = false;
  };
  static Options options() {
    Options o;
    o.config.listen = "127.0.0.1:0";
    o.config.limits.io_threads = 2;
    o.config.limits.drain_timeout = std::chrono::seconds(5);
    o.backend.vocabulary = ByteTokenizer::kSize;
    o.backend.block_count = 2048;
    o.backend.block_tokens = 16;
    o.backend.context_tokens = 8192;
    o.backend.completion = NullBackendConfig::Completion::threaded;
    return o;
  }
  explicit ServerRig(Options o = options())
      : config(std::move(o.config)),
        authenticator(config.tenants, "secret"),
        routes(config, models, authenticator, metrics) {
    std::unique_ptr<Model> model = model_without_engine("null");
    model->backend = NullBackend::make(o.backend);
    EngineConfig engine;
    engine.running_max = config.limits.requests_running;
    engine.waiting_max = config.limits.requests_waiting;
    PrefixCacheConfig cache;
    cache.block_tokens = o.backend.block_tokens;
    model->engine = Engine::start(engine, *model->backend, Fingerprint{}, cache, nullptr);
    models.add(std::move(model));
    metrics.watch(&models, nullptr);
    if (!config.tls.certificate.empty()) {
      auto loaded = TlsContext::load(config.tls);
      KVASIR_ASSERT(loaded.ok());
      tls = std::move(*loaded);
    }
    server = std::make_unique<Server>(config, routes, tls.get());
    KVASIR_ASSERT(server->listen().ok());
    thread = std::thread([this, signals = o.handle_signals] { server->run(signals, [this] { models.drain(); }); });
  }
  ~ServerRig() {
    stop();
    metrics.watch(nullptr, nullptr);
  }
  void stop() {
    server->drain();
    if (thread.joinable()) thread.join();
  }
  std::uint16_t port() const { return server->port(); }
  EngineStats stats() const { return models.models().front()->engine->stats(); }

  // Waits until a snapshot of the engine satisfies `condition`.
  bool eventually(const std::function<bool(const EngineStats&)>& condition,
                  std::chrono::milliseconds timeout = std::chrono::seconds(10)) const {
    const auto end = std::chrono::steady_clock::now() + timeout;
    while (std::chrono::steady_clock::now() < end) {
      if (condition(stats())) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }
  bool all_blocks_returned() const {
    return eventually([](const EngineStats& s) {
      return s.running == 0 && s.waiting == 0 && s.cache.host.filling == 0 && s.cache.host.leased == 0;
    });
  }

  Config config;
  ModelRegistry models;
  Metrics metrics;
  Authenticator authenticator;
  Routes routes;
  std::unique_ptr<TlsContext> tls;
  std::unique_ptr<Server> server;
  std::thread thread;
};

// A chat body that generates exactly `max_tokens` tokens.
inline std::string chat_body(const std::string& content, int max_tokens, const std::string& more = {}) {
  return R"({"model":"null","temperature":0,"ignore_eos":true,"max_tokens":)" + std::to_string(max_tokens) +
         R"(,"messages":[{"role":"user","content":")" + content + "\"}]" + (more.empty() ? "" : "," + more) + "}";
}
inline const std::string kChat = "/v1/chat/completions";

}  // namespace kvasir::testing
