#include "gateway/tls.h"

#include <string_view>
#include <utility>

#include <boost/asio/ssl/stream.hpp>
#include <fmt/format.h>

#include "gateway/byte_stream.h"

namespace kvasir {
namespace {

namespace ssl = boost::asio::ssl;
using boost::asio::ip::tcp;

constexpr unsigned char kProtocols[] = "\x08http/1.1";

// Picks http/1.1 where the client offers it; a client that offers only others gets no ALPN answer.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                    unsigned offered_size, void*) {
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, out_size, kProtocols, sizeof kProtocols - 1, offered, offered_size);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

Error tls_error(const std::string& file, const boost::system::error_code& ec) {
  return error(ErrorCode::invalid_argument, fmt::format("tls: {}: {}", file, ec.message()), "tls");
}

class TlsStream final : public ByteStream {
 public:
  TlsStream(tcp::socket socket, TlsContext& context) : stream_(std::move(socket), context.context()) {}
  void handshake(Handler done) override {
    stream_.async_handshake(ssl::stream_base::server,
                            [done = std::move(done)](const boost::system::error_code& ec) { done(ec, 0); });
  }
  void read_some(boost::asio::mutable_buffer into, Handler done) override {
    stream_.async_read_some(into, std::move(done));
  }
  void write_some(boost::asio::const_buffer from, Handler done) override {
    stream_.async_write_some(from, std::move(done));
  }
  void shutdown(Handler done) override {
    stream_.async_shutdown([done = std::move(done)](const boost::system::error_code& ec) { done(ec, 0); });
  }
  void close() override {
    boost::system::error_code ignored;
    stream_.next_layer().close(ignored);
  }

 private:
  ssl::stream<tcp::socket> stream_;
};

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::load(const TlsConfig& config) {
  std::unique_ptr<TlsContext> tls(new TlsContext);
  boost::system::error_code ec;
  tls->context_.set_options(ssl::context::default_workarounds | ssl::context::no_compression, ec);
  SSL_CTX* native = tls->context_.native_handle();
  SSL_CTX_set_min_proto_version(native, config.min_version == "1.3" ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_alpn_select_cb(native, choose_protocol, nullptr);
  tls->context_.use_certificate_chain_file(config.certificate, ec);
  if (ec) return tls_error(config.certificate, ec);
  tls->context_.use_private_key_file(config.key, ssl::context::pem, ec);
  if (ec) return tls_error(config.key, ec);
  if (SSL_CTX_check_private_key(native) != 1)
    return error(ErrorCode::invalid_argument,
                 fmt::format("tls: the key {} does not belong to the certificate {}", config.key, config.certificate),
                 "tls");
  return tls;
}

std::unique_ptr<ByteStream> make_tls_stream(tcp::socket socket, TlsContext& context) {
  return std::make_unique<TlsStream>(std::move(socket), context);
}

}  // namespace kvasir
