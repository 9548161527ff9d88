#include "gateway/server.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <set>
#include <thread>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "config/load.h"
#include "gateway/connection.h"
#include "gateway/tls.h"

namespace kvasir {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::size_t kRefusedConnectionsMax = 64;  // that get their 503; past it connections are closed at once
constexpr auto kAcceptRetry = std::chrono::milliseconds(50);
constexpr auto kDrainPoll = std::chrono::milliseconds(25);

}  // namespace

// Everything but the connections runs on `strand_`: the set of connections needs no lock.
class Server::Impl {
 public:
  Impl(const Config& config, Routes& routes, TlsContext* tls)
      : config_(config),
        routes_(routes),
        tls_(tls),
        strand_(asio::make_strand(io_)),
        acceptor_(strand_),
        signals_(strand_),
        drain_timer_(strand_) {}

  Status listen();
  void run(bool handle_signals, std::function<void()> on_drain);
  void drain() {
    asio::post(strand_, [this] { begin_drain(); });
  }
  std::uint16_t port_ = 0;

 private:
  asio::awaitable<void> accept_loop();
  asio::awaitable<void> drain_loop();
  asio::awaitable<void> watch_signals();
  void admit(tcp::socket socket);
  void begin_drain();
  void forget(const std::shared_ptr<Connection>& connection);
  static void rethrow(std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  }

  const Config& config_;
  Routes& routes_;
  TlsContext* tls_;
  asio::io_context io_;
  asio::strand<asio::io_context::executor_type> strand_;
  tcp::acceptor acceptor_;
  asio::signal_set signals_;
  asio::steady_timer drain_timer_;
  std::set<std::shared_ptr<Connection>> connections_;
  std::size_t refused_ = 0;  // of connections_: over the limit, there only until they have read their 503
  bool drained_ = false;
  std::function<void()> on_drain_;
};

Status Server::Impl::listen() {
  const HostPort where = parse_host_port(config_.listen);
  boost::system::error_code ec;
  tcp::resolver resolver(io_);
  const auto found = resolver.resolve(where.host, std::to_string(where.port), tcp::resolver::passive, ec);
  if (ec || found.empty())
    return error(ErrorCode::invalid_argument,
                 fmt::format("listen: cannot resolve {}: {}", config_.listen, ec.message()), "listen");
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor_.open(endpoint.protocol(), ec);
  if (!ec) acceptor_.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor_.bind(endpoint, ec);
  if (!ec) acceptor_.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) return error(ErrorCode::io, fmt::format("cannot listen on {}: {}", config_.listen, ec.message()), "listen");
  port_ = acceptor_.local_endpoint().port();
  return Ok{};
}

void Server::Impl::run(bool handle_signals, std::function<void()> on_drain) {
  on_drain_ = std::move(on_drain);
  if (handle_signals) {
    signals_.add(SIGINT);
    signals_.add(SIGTERM);
    asio::co_spawn(strand_, watch_signals(), rethrow);
  }
  asio::co_spawn(strand_, accept_loop(), rethrow);
  std::vector<std::thread> others;
  for (std::uint32_t i = 1; i < config_.limits.io_threads; ++i) others.emplace_back([this] { io_.run(); });
  io_.run();
  for (std::thread& thread : others) thread.join();
}

asio::awaitable<void> Server::Impl::watch_signals() {
  for (int count = 0; !drained_; ++count) {  // a drain with nothing to wait for ends inside begin_drain()
    const auto [ec, number] = co_await signals_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (ec) co_return;
    if (count > 0) std::_Exit(128 + number);
    begin_drain();
  }
}

asio::awaitable<void> Server::Impl::accept_loop() {
  while (acceptor_.is_open()) {
    auto [ec, socket] = co_await acceptor_.async_accept(asio::make_strand(io_), asio::as_tuple(asio::use_awaitable));
    if (ec == asio::error::operation_aborted) co_return;
    if (!ec) {
      admit(std::move(socket));
      continue;
    }
    spdlog::warn("accept: {}", ec.message());  // out of descriptors: wait for connections to end
    asio::steady_timer retry(strand_, kAcceptRetry);
    co_await retry.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

void Server::Impl::admit(tcp::socket socket) {
  const bool full = connections_.size() - refused_ >= config_.limits.connections;
  if (full && (tls_ || refused_ >= kRefusedConnectionsMax)) return;
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  const asio::any_io_executor strand = socket.get_executor();
  std::unique_ptr<ByteStream> stream =
      tls_ ? make_tls_stream(std::move(socket), *tls_) : make_plain_stream(std::move(socket));
  auto connection = std::make_shared<Connection>(strand, std::move(stream), routes_);
  connections_.insert(connection);
  if (full) ++refused_;
  routes_.metrics().connection_opened();
  const auto ended = [this, connection, full](std::exception_ptr e) {
    try {
      rethrow(e);
    } catch (const std::exception& what) {
      spdlog::error("connection: {}", what.what());
    }
    asio::post(strand_, [this, connection, full] {
      if (full) --refused_;
      forget(connection);
    });
  };
  asio::co_spawn(strand, full ? Connection::refuse(connection) : Connection::serve(connection), ended);
}

void Server::Impl::forget(const std::shared_ptr<Connection>& connection) {
  connection->abort();
  connections_.erase(connection);
  routes_.metrics().connection_closed();
}

void Server::Impl::begin_drain() {
  if (routes_.draining()) return;
  routes_.begin_drain();
  if (on_drain_) on_drain_();
  spdlog::info("draining: {} connections, at most {} s", connections_.size(),
               config_.limits.drain_timeout.count() / 1000);
  asio::co_spawn(strand_, drain_loop(), rethrow);
}

asio::awaitable<void> Server::Impl::drain_loop() {
  const TimePoint end = Clock::now() + config_.limits.drain_timeout;
  while (!connections_.empty() && Clock::now() < end) {
    for (const auto& connection : connections_) connection->begin_drain();
    drain_timer_.expires_after(kDrainPoll);
    co_await drain_timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  if (!connections_.empty()) spdlog::warn("drain: {} connections cut off", connections_.size());
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  for (const auto& connection : connections_) connection->abort();
  drained_ = true;
  signals_.cancel(ignored);
  signals_.clear(ignored);  // from here on a signal ends the process
}

Server::Server(const Config& config, Routes& routes, TlsContext* tls)
    : impl_(std::make_unique<Impl>(config, routes, tls)) {}
Server::~Server() = default;

Status Server::listen() { return impl_->listen(); }
std::uint16_t Server::port() const { return impl_->port_; }
void Server::run(bool handle_signals, std::function<void()> on_drain) {
  impl_->run(handle_signals, std::move(on_drain));
}
void Server::drain() { impl_->drain(); }

}  // namespace kvasir
