#pragma once

#include <memory>

#include <boost/asio/ssl/context.hpp>

#include "config/schema.h"
#include "storage/base/result.h"

namespace kvasir {

// Server side of TLS 1.2 and 1.3 by OpenSSL: certificate chain and key from PEM files, ALPN http/1.1. Immutable.
class TlsContext {
 public:
  // Errors: invalid_argument, naming the file and OpenSSL's reason.
  static Result<std::unique_ptr<TlsContext>> load(const TlsConfig& config);
  boost::asio::ssl::context& context() { return context_; }

 private:
  TlsContext() : context_(boost::asio::ssl::context::tls_server) {}
  boost::asio::ssl::context context_;
};

}  // namespace kvasir
