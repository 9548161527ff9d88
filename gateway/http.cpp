#include "gateway/http.h"

#include <algorithm>

#include <fmt/format.h>

#include "storage/base/assert.h"

namespace kvasir {
namespace {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view HttpRequest::path() const {
  return std::string_view(target).substr(0, std::min(target.find('?'), target.size()));
}

std::optional<std::string_view> HttpRequest::header(std::string_view name) const {
  for (const HttpHeader& h : headers)
    if (equals_ignoring_case(h.name, name)) return h.value;
  return std::nullopt;
}

std::string_view reason_phrase(std::uint32_t status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

std::string serialize_head(const HttpResponse& response, BodyFraming framing, bool close) {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\n", response.status,
                                reason_phrase(response.status), response.content_type);
  for (const HttpHeader& h : response.headers) out += fmt::format("{}: {}\r\n", h.name, h.value);
  switch (framing) {
    case BodyFraming::content_length:
      out += fmt::format("Content-Length: {}\r\n", response.body.size());
      break;
    case BodyFraming::chunked:
      out += "Transfer-Encoding: chunked\r\n";
      break;
    case BodyFraming::until_close:
      break;
  }
  if (close) out += "Connection: close\r\n";
  return out + "\r\n";
}

void append_chunk(std::string& out, std::string_view bytes) {
  KVASIR_ASSERT(!bytes.empty());
  out += fmt::format("{:x}\r\n", bytes.size());
  out += bytes;
  out += "\r\n";
}

}  // namespace kvasir
