#include "gateway/http_parser.h"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>

#include "storage/base/assert.h"

namespace kvasir {

namespace http = boost::beast::http;

class HttpParser::Impl {
 public:
  explicit Impl(Limits limits) : limits_(limits) {
    parser_.eager(true);
    parser_.header_limit(limits.header_bytes);
    parser_.body_limit(limits.body_bytes);
  }

  std::size_t feed(std::string_view bytes) {
    boost::beast::error_code ec;
    const std::size_t used = parser_.put(boost::asio::buffer(bytes.data(), bytes.size()), ec);
    if (ec && ec != http::error::need_more) fail(ec);
    if (state_ == State::header && parser_.is_header_done()) take_header();
    if (state_ == State::body && parser_.is_done()) state_ = State::complete;
    return used;
  }

  HttpRequest take() {
    head_.body = std::move(parser_.get().body());
    return std::move(head_);
  }

  std::optional<std::uint64_t> body_remaining() const {
    if (parser_.is_done()) return 0;
    const boost::optional<std::uint64_t> left = parser_.content_length_remaining();
    return left ? std::optional<std::uint64_t>(*left) : std::nullopt;
  }

  State state_ = State::header;
  Failure failure_;
  HttpRequest head_;
  bool expects_continue_ = false;

 private:
  void fail(const boost::beast::error_code& ec) {
    state_ = State::failed;
    if (ec == http::error::header_limit)
      failure_ = {431, fmt::format("the request's headers are over the limit of {} bytes", limits_.header_bytes)};
    else if (ec == http::error::body_limit)
      failure_ = {413, fmt::format("the request's body is over the limit of {} bytes", limits_.body_bytes)};
    else if (ec == http::error::bad_version)
      failure_ = {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
    else
      failure_ = {400, fmt::format("malformed HTTP request: {}", ec.message())};
  }

  void take_header() {
    const auto& message = parser_.get();
    head_.method = std::string(message.method_string());
    head_.target = std::string(message.target());
    head_.version = message.version();
    head_.keep_alive = parser_.keep_alive();
    for (const auto& field : message)
      head_.headers.push_back({std::string(field.name_string()), std::string(field.value())});
    const auto expect = head_.header("expect");
    expects_continue_ = expect && equals_ignoring_case(*expect, "100-continue") && head_.version == 11;
    state_ = State::body;
    if (head_.version == 10 || head_.header("host")) return;
    state_ = State::failed;
    failure_ = {400, "the Host header is missing"};
  }

  Limits limits_;
  http::request_parser<http::string_body> parser_;
};

HttpParser::HttpParser(Limits limits) : impl_(std::make_unique<Impl>(limits)) {}
HttpParser::~HttpParser() = default;

std::size_t HttpParser::feed(std::string_view bytes) { return impl_->feed(bytes); }
HttpParser::State HttpParser::state() const { return impl_->state_; }

const HttpParser::Failure& HttpParser::failure() const {
  KVASIR_ASSERT(impl_->state_ == State::failed);
  return impl_->failure_;
}

const HttpRequest& HttpParser::head() const {
  KVASIR_ASSERT(impl_->state_ == State::body || impl_->state_ == State::complete);
  return impl_->head_;
}

bool HttpParser::expects_continue() const { return impl_->expects_continue_; }
std::optional<std::uint64_t> HttpParser::body_remaining() const { return impl_->body_remaining(); }

HttpRequest HttpParser::take() {
  KVASIR_ASSERT(impl_->state_ == State::complete);
  return impl_->take();
}

}  // namespace kvasir
