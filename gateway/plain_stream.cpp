#include <utility>

#include <boost/asio/post.hpp>

#include "gateway/byte_stream.h"

namespace kvasir {
namespace {

using boost::asio::ip::tcp;

class PlainStream final : public ByteStream {
 public:
  explicit PlainStream(tcp::socket socket) : socket_(std::move(socket)) {}
  void handshake(Handler done) override { succeed(std::move(done)); }
  void read_some(boost::asio::mutable_buffer into, Handler done) override {
    socket_.async_read_some(into, std::move(done));
  }
  void write_some(boost::asio::const_buffer from, Handler done) override {
    socket_.async_write_some(from, std::move(done));
  }
  void shutdown(Handler done) override {
    boost::system::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    succeed(std::move(done));
  }
  void close() override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

 private:
  void succeed(Handler done) {
    boost::asio::post(socket_.get_executor(), [done = std::move(done)] { done({}, 0); });
  }
  tcp::socket socket_;
};

}  // namespace

std::unique_ptr<ByteStream> make_plain_stream(tcp::socket socket) {
  return std::make_unique<PlainStream>(std::move(socket));
}

}  // namespace kvasir
