#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir {

struct HttpHeader {
  std::string name, value;
};

// One request, read whole. A plain value: what handles requests knows neither sockets nor the HTTP library.
struct HttpRequest {
  std::string method;
  std::string target;  // as sent, with the query
  std::vector<HttpHeader> headers;
  std::string body;
  std::uint32_t version = 11;  // 10 or 11
  bool keep_alive = true;

  std::string_view path() const;                                        // target without the query
  std::optional<std::string_view> header(std::string_view name) const;  // first of that name, any case
};

struct HttpResponse {
  std::uint32_t status = 200;
  std::string content_type = "application/json";
  std::vector<HttpHeader> headers = {};
  std::string body = {};
  bool close = false;  // the connection ends after it
};

// The client went away before its answer: never on the wire, for the log and metrics.
inline constexpr std::uint32_t kClientClosed = 499;

enum class BodyFraming : std::uint8_t { content_length, chunked, until_close };

// Status line and headers with the empty line. `close` adds "Connection: close".
std::string serialize_head(const HttpResponse& response, BodyFraming framing, bool close);
std::string_view reason_phrase(std::uint32_t status);

// One chunk of a chunked body. REQUIRES: bytes not empty (an empty chunk ends the body).
void append_chunk(std::string& out, std::string_view bytes);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

bool equals_ignoring_case(std::string_view a, std::string_view b);

}  // namespace kvasir
