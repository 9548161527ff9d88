#pragma once

#include <array>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "gateway/byte_stream.h"
#include "gateway/http_parser.h"
#include "gateway/routes.h"

namespace kvasir {

// One client connection: reads requests one after the other, lets Routes answer, writes. Everything runs on the
// socket's strand; a read is always under way (unless the client pipelines too far ahead), so a client that goes away
// while its answer is computed is noticed at once. Every wait has a deadline by its phase (LimitsConfig).
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::any_io_executor strand, std::unique_ptr<ByteStream> stream, const Routes& routes);

  // Runs to the connection's end. The coroutine owns `self`.
  static boost::asio::awaitable<void> serve(std::shared_ptr<Connection> self);
  // Says 503 and ends: there are too many connections.
  static boost::asio::awaitable<void> refuse(std::shared_ptr<Connection> self);

  // From any thread. Drain: ends an idle connection now, a busy one after its answer. Abort: ends it now.
  void begin_drain();
  void abort();

 private:
  enum class Wait : std::uint8_t { ready, timed_out, gone };  // gone: end of file, error or abort

  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  awaitable<void> pause(TimePoint deadline);     // until an event or the deadline
  ByteStream::Handler operation();               // handler of a handshake or shutdown
  awaitable<bool> complete(TimePoint deadline);  // until that operation ended; false: badly
  void start_read();
  awaitable<Wait> read_more(TimePoint deadline);  // until there are more bytes in inbox_
  void start_write();
  awaitable<bool> write_all(std::string bytes);
  awaitable<bool> respond(HttpResponse response, const HttpRequest* request);

  awaitable<bool> serve_request();  // false: the connection ends
  awaitable<bool> await_first_byte();
  awaitable<bool> read_request(HttpParser& parser);  // false: refused or gone
  awaitable<bool> read_body(HttpParser& parser);
  awaitable<void> fail(std::uint32_t status, std::string message);
  std::function<void()> generation_wakeup();
  awaitable<bool> run_generation(std::unique_ptr<Generation> generation, const HttpRequest& request);
  awaitable<bool> write_output(Generation::Output& output, const HttpRequest& request, bool chunked);
  awaitable<void> finish();  // lets the client read what was written, then closes
  void feed(HttpParser& parser);
  bool keep_alive(const HttpRequest& request) const;

  const Routes& routes_;
  const LimitsConfig& limits_;
  boost::asio::any_io_executor strand_;
  std::unique_ptr<ByteStream> stream_;
  boost::asio::steady_timer event_;  // cancelled when anything happened; its expiry is the deadline of the wait
  std::array<char, 16384> chunk_;    // of the read under way
  std::string inbox_;                // received, not parsed
  std::string outbox_;               // being written
  bool reading_ = false, writing_ = false;
  bool write_failed_ = false;
  bool operating_ = false, operation_failed_ = false;
  std::size_t written_ = 0;
  bool gone_ = false;  // the client closed or the connection broke
  bool aborted_ = false;
  bool notified_ = false;    // the generation has news
  bool idle_ = false;        // between requests
  bool generating_ = false;  // a client that goes away ends what is under way
  std::uint64_t requests_ = 0;
};

}  // namespace kvasir
