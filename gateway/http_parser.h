#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/http.h"

namespace kvasir {

// Reads one HTTP/1.x request from bytes as they come. The only user of Beast. Single-threaded.
class HttpParser {
 public:
  struct Limits {
    std::uint32_t header_bytes = 32u << 10;
    std::uint64_t body_bytes = 32ull << 20;
  };
  struct Failure {
    std::uint32_t status = 400;  // 400, 413, 431, 505
    std::string message;
  };
  enum class State : std::uint8_t { header, body, complete, failed };

  explicit HttpParser(Limits limits);
  ~HttpParser();
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  // Takes bytes from the front of `bytes` and says how many; what is left must be offered again, with more behind it.
  std::size_t feed(std::string_view bytes);
  State state() const;
  const Failure& failure() const;  // REQUIRES: failed

  const HttpRequest& head() const;  // all but the body. REQUIRES: body or complete
  bool expects_continue() const;    // REQUIRES: as head()
  // Bytes of body that are still to come, as far as known; nothing for a chunked body.
  std::optional<std::uint64_t> body_remaining() const;
  HttpRequest take();  // REQUIRES: complete; once

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvasir
