#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "config/schema.h"
#include "gateway/routes.h"
#include "storage/base/result.h"

namespace kvasir {

class TlsContext;

// Listens, accepts, serves connections on its own io threads, drains. All methods but run() are thread-safe.
class Server {
 public:
  // `tls` may be null. What is referred to outlives the server.
  Server(const Config& config, Routes& routes, TlsContext* tls);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Opens the port of config.listen. Errors: io, invalid_argument; they name the address.
  Status listen();
  std::uint16_t port() const;  // the real one, also for port 0. REQUIRES: listen() succeeded

  // Serves until drained: on SIGTERM or SIGINT when `handle_signals` (a second one ends the process at once), or by
  // drain(). Blocks. `on_drain` is called once, when draining begins.
  void run(bool handle_signals, std::function<void()> on_drain = {});

  // No new work; what runs goes on for at most limits.drain_timeout; then run() returns. While something runs, the port
  // stays open, so that /readyz can say 503; every other new request gets a 503.
  void drain();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvasir
