#include "gateway/connection.h"

#include <algorithm>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "gateway/sse.h"

namespace kvasir {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kPipelinedBytesMax = 64u << 10;  // read ahead while an answer is computed
constexpr std::uint64_t kSmallBodyBytes = 64u << 10;   // read even when the answer is a refusal, to keep the connection
constexpr std::size_t kUnparsedBytesMax = 64u << 10;   // of a body's framing (chunk extensions)
constexpr auto kHeartbeat = std::chrono::seconds(15);  // comment in a silent stream
constexpr auto kLingerGap = std::chrono::seconds(2);
constexpr auto kLingerTotal = std::chrono::seconds(10);

}  // namespace

Connection::Connection(asio::any_io_executor strand, std::unique_ptr<ByteStream> stream, const Routes& routes)
    : routes_(routes), limits_(routes.config().limits), strand_(strand), stream_(std::move(stream)), event_(strand) {}

void Connection::begin_drain() {
  asio::post(strand_, [self = shared_from_this()] {
    if (self->idle_) self->aborted_ = true;
    self->event_.cancel();
  });
}

void Connection::abort() {
  asio::post(strand_, [self = shared_from_this()] {
    self->aborted_ = true;
    self->stream_->close();
    self->event_.cancel();
  });
}

asio::awaitable<void> Connection::pause(TimePoint deadline) {
  event_.expires_at(deadline);
  co_await event_.async_wait(asio::as_tuple(asio::use_awaitable));
}

ByteStream::Handler Connection::operation() {
  operating_ = true;
  return [self = shared_from_this()](const boost::system::error_code& ec, std::size_t) {
    self->operating_ = false;
    self->operation_failed_ = static_cast<bool>(ec);
    self->event_.cancel();
  };
}

asio::awaitable<bool> Connection::complete(TimePoint deadline) {
  while (operating_ && !aborted_ && Clock::now() < deadline) co_await pause(deadline);
  co_return !operating_ && !operation_failed_ && !aborted_;
}

void Connection::start_read() {
  if (reading_ || gone_) return;
  reading_ = true;
  stream_->read_some(asio::buffer(chunk_),
                     [self = shared_from_this()](const boost::system::error_code& ec, std::size_t n) {
                       self->reading_ = false;
                       self->inbox_.append(self->chunk_.data(), n);
                       if (ec) self->gone_ = true;
                       self->event_.cancel();
                     });
}

asio::awaitable<Connection::Wait> Connection::read_more(TimePoint deadline) {
  const std::size_t had = inbox_.size();
  start_read();
  while (inbox_.size() == had && !gone_ && !aborted_) {
    if (Clock::now() >= deadline) co_return Wait::timed_out;
    co_await pause(deadline);
  }
  co_return inbox_.size() > had && !aborted_ ? Wait::ready : Wait::gone;
}

void Connection::start_write() {
  writing_ = true;
  stream_->write_some(asio::buffer(outbox_.data() + written_, outbox_.size() - written_),
                      [self = shared_from_this()](const boost::system::error_code& ec, std::size_t n) {
                        self->writing_ = false;
                        self->written_ += n;
                        if (ec) self->write_failed_ = true;
                        self->event_.cancel();
                      });
}

asio::awaitable<bool> Connection::write_all(std::string bytes) {
  if (write_failed_ || aborted_) co_return false;
  outbox_ = std::move(bytes);
  written_ = 0;
  while (written_ < outbox_.size() && !write_failed_ && !aborted_) {
    start_write();
    const TimePoint deadline = Clock::now() + limits_.write_timeout;
    const auto wanted = [this] { return !aborted_ && !(generating_ && gone_); };
    while (writing_ && wanted() && Clock::now() < deadline) co_await pause(deadline);
    if (writing_) write_failed_ = true;  // too slow or gone: nothing more is written, the close ends this write
  }
  co_return !write_failed_ && !aborted_;
}

bool Connection::keep_alive(const HttpRequest& request) const {
  return request.keep_alive && !gone_ && !routes_.draining();
}

asio::awaitable<bool> Connection::respond(HttpResponse response, const HttpRequest* request) {
  const bool close = response.close || !request || !keep_alive(*request);
  if (!close && request->version == 10) response.headers.push_back({"Connection", "keep-alive"});
  routes_.metrics().count_response(request ? Routes::route_label(request->path()) : "other", response.status);
  std::string bytes = serialize_head(response, BodyFraming::content_length, close);
  if (!request || request->method != "HEAD") bytes += response.body;
  const bool written = co_await write_all(std::move(bytes));
  co_return written && !close;
}

asio::awaitable<void> Connection::fail(std::uint32_t status, std::string message) {
  HttpResponse response = error_response(http_failure(status, std::move(message)));
  co_await respond(std::move(response), nullptr);
}

void Connection::feed(HttpParser& parser) {
  while (!inbox_.empty() && parser.state() != HttpParser::State::failed &&
         parser.state() != HttpParser::State::complete) {
    const std::size_t used = parser.feed(inbox_);
    inbox_.erase(0, used);
    if (used == 0) break;
  }
}

asio::awaitable<bool> Connection::await_first_byte() {
  const TimePoint deadline = Clock::now() + (requests_ == 0 ? limits_.header_timeout : limits_.idle_timeout);
  idle_ = true;
  bool ready = !inbox_.empty();
  if (!ready && !(routes_.draining() && requests_ > 0)) {
    const Wait wait = co_await read_more(deadline);
    ready = wait == Wait::ready;
  }
  idle_ = false;
  co_return ready;
}

asio::awaitable<bool> Connection::read_request(HttpParser& parser) {
  const TimePoint deadline = Clock::now() + limits_.header_timeout;
  for (feed(parser); parser.state() == HttpParser::State::header; feed(parser)) {
    const Wait wait = co_await read_more(deadline);
    if (wait == Wait::timed_out) co_await fail(408, "the request's headers did not arrive in time");
    if (wait != Wait::ready) co_return false;
  }
  if (parser.state() == HttpParser::State::body) {
    const bool read = co_await read_body(parser);
    if (!read) co_return false;
  }
  if (parser.state() == HttpParser::State::failed) {
    const HttpParser::Failure failure = parser.failure();
    co_await fail(failure.status, failure.message);
    co_return false;
  }
  co_return true;
}

asio::awaitable<bool> Connection::read_body(HttpParser& parser) {
  if (parser.body_remaining().value_or(~0ull) > kSmallBodyBytes)
    if (std::optional<HttpResponse> refusal = routes_.refuse(parser.head())) {
      refusal->close = true;
      co_await respond(std::move(*refusal), &parser.head());
      co_return false;
    }
  if (parser.expects_continue()) {
    const bool written = co_await write_all("HTTP/1.1 100 Continue\r\n\r\n");
    if (!written) co_return false;
  }
  const TimePoint deadline = Clock::now() + limits_.body_timeout;
  for (feed(parser); parser.state() == HttpParser::State::body; feed(parser)) {
    if (inbox_.size() > kUnparsedBytesMax) {
      co_await fail(400, "malformed HTTP request: a chunk's header is too long");
      co_return false;
    }
    const Wait wait = co_await read_more(deadline);
    if (wait == Wait::timed_out) co_await fail(408, "the request's body did not arrive in time");
    if (wait != Wait::ready) co_return false;
  }
  co_return true;
}

asio::awaitable<bool> Connection::serve_request() {
  const bool begun = co_await await_first_byte();
  if (!begun) co_return false;
  HttpParser parser({limits_.header_bytes, limits_.body_bytes});
  const bool read = co_await read_request(parser);
  if (!read) co_return false;
  ++requests_;
  const HttpRequest request = parser.take();
  Routes::Reply reply = routes_.handle(request, Clock::now());
  if (HttpResponse* response = std::get_if<HttpResponse>(&reply))
    co_return co_await respond(std::move(*response), &request);
  co_return co_await run_generation(std::get<1>(std::move(reply)), request);
}

std::function<void()> Connection::generation_wakeup() {
  return [weak = weak_from_this(), strand = strand_] {
    asio::post(strand, [weak] {
      if (const std::shared_ptr<Connection> self = weak.lock()) {
        self->notified_ = true;
        self->event_.cancel();
      }
    });
  };
}

asio::awaitable<bool> Connection::run_generation(std::unique_ptr<Generation> generation, const HttpRequest& request) {
  generation->start(generation_wakeup());
  generating_ = true;
  bool streaming = false, chunked = request.version >= 11;
  TimePoint last_write = Clock::now();
  while (!gone_ && !aborted_) {
    if (inbox_.size() < kPipelinedBytesMax) start_read();
    notified_ = false;
    Generation::Output output = generation->step(Clock::now());
    if (output.response) {
      generating_ = false;
      co_return co_await respond(std::move(*output.response), &request);
    }
    streaming = streaming || output.head;
    if (streaming && output.events.empty() && Clock::now() >= last_write + kHeartbeat) output.events = kSseHeartbeat;
    if (output.head || !output.events.empty()) {
      last_write = Clock::now();
      const bool written = co_await write_output(output, request, chunked);
      if (!written) break;
    }
    if (output.done) {
      generating_ = false;
      co_return !output.close && chunked && keep_alive(request);
    }
    if (!notified_ && !gone_ && !aborted_) co_await pause(Clock::now() + kHeartbeat);
  }
  generation->cancel(Clock::now());
  if (!streaming) routes_.metrics().count_response(Routes::route_label(request.path()), kClientClosed);
  co_return false;
}

asio::awaitable<bool> Connection::write_output(Generation::Output& output, const HttpRequest& request, bool chunked) {
  std::string bytes;
  if (output.head) {
    routes_.metrics().count_response(Routes::route_label(request.path()), output.head->status);
    bytes = serialize_head(*output.head, chunked ? BodyFraming::chunked : BodyFraming::until_close,
                           !chunked || !keep_alive(request));
  }
  if (chunked && !output.events.empty())
    append_chunk(bytes, output.events);
  else
    bytes += output.events;
  if (chunked && output.done) bytes += kLastChunk;
  co_return co_await write_all(std::move(bytes));
}

asio::awaitable<void> Connection::finish() {
  if (!writing_ && !gone_ && !aborted_) {
    stream_->shutdown(operation());
    co_await complete(Clock::now() + kLingerGap);
  }
  const TimePoint end = Clock::now() + kLingerTotal;
  while (!writing_ && !gone_ && !aborted_ && Clock::now() < end) {
    inbox_.clear();
    const Wait wait = co_await read_more(std::min<TimePoint>(end, Clock::now() + kLingerGap));
    if (wait != Wait::ready) break;
  }
  stream_->close();
}

asio::awaitable<void> Connection::serve(std::shared_ptr<Connection> self) {
  self->stream_->handshake(self->operation());
  bool open = co_await self->complete(Clock::now() + self->limits_.header_timeout);
  const bool connected = open;
  while (open) open = co_await self->serve_request();
  if (connected) co_await self->finish();
  self->stream_->close();
}

asio::awaitable<void> Connection::refuse(std::shared_ptr<Connection> self) {
  co_await self->fail(503, "there are too many connections; try again later");
  co_await self->finish();
}

}  // namespace kvasir
