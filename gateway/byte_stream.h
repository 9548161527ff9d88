#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace kvasir {

class TlsContext;

// A connected client, plain or TLS. At most one read and one write at a time; buffers and the stream stay alive until
// the handler ran. All calls and handlers run on the socket's strand.
class ByteStream {
 public:
  using Handler = std::function<void(const boost::system::error_code&, std::size_t)>;
  virtual ~ByteStream() = default;
  virtual void handshake(Handler done) = 0;  // before anything else
  virtual void read_some(boost::asio::mutable_buffer into, Handler done) = 0;
  virtual void write_some(boost::asio::const_buffer from, Handler done) = 0;
  virtual void shutdown(Handler done) = 0;  // says politely that nothing more will be written
  virtual void close() = 0;                 // ends what is under way; its handlers still run
};

std::unique_ptr<ByteStream> make_plain_stream(boost::asio::ip::tcp::socket socket);
std::unique_ptr<ByteStream> make_tls_stream(boost::asio::ip::tcp::socket socket, TlsContext& context);

}  // namespace kvasir
