#pragma once

#include <chrono>
#include <cstdlib>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "storage/base/assert.h"

namespace kvasir::testing {

// A blocking client socket on loopback that sends exactly the bytes it is told to.
class TestClient {
 public:
  explicit TestClient(std::uint16_t port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~TestClient() { close(); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  struct Response {
    int status = 0;
    std::string head, body;
    bool complete = false;  // as its framing says
    bool has(const std::string& text) const { return head.find(text) != std::string::npos; }
  };

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void reset() {  // RST instead of FIN
    const linger hard{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }
  bool send(const std::string& bytes) {
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t n = ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += static_cast<std::size_t>(n);
    }
    return true;
  }

  // Reads until `text` is in what was received and not yet consumed; false at the end or after `timeout`.
  bool read_until(const std::string& text, std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + timeout;
    while (inbox_.find(text) == std::string::npos)
      if (!read_some(end)) return false;
    return true;
  }
  // True when the server closed the connection within `timeout`.
  bool closed_by_server(std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + timeout;
    while (read_some(end)) {
    }
    return ended_;
  }

  // The next response; a chunked body comes without its framing.
  Response read_response(bool head_only = false) {
    Response response;
    if (!read_until("\r\n\r\n")) return response;
    const std::size_t end = inbox_.find("\r\n\r\n") + 4;
    response.head = inbox_.substr(0, end);
    inbox_.erase(0, end);
    response.status = std::atoi(response.head.c_str() + 9);
    if (head_only || response.status == 100)
      response.complete = true;
    else if (response.has("Transfer-Encoding: chunked"))
      read_chunks(response);
    else
      read_sized(response);
    return response;
  }
  const std::string& inbox() const { return inbox_; }

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  bool read_some(TimePoint end) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    pollfd p{fd_, POLLIN, 0};
    if (left <= 0 || ::poll(&p, 1, static_cast<int>(left)) <= 0) return false;
    char buffer[65536];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) ended_ = true;
    if (n <= 0) return false;
    inbox_.append(buffer, static_cast<std::size_t>(n));
    return true;
  }
  void read_sized(Response& response) {
    const std::size_t at = response.head.find("Content-Length: ");
    const std::size_t size = at == std::string::npos ? 0 : std::strtoull(response.head.c_str() + at + 16, nullptr, 10);
    const TimePoint end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (inbox_.size() < size && read_some(end)) {
    }
    response.complete = inbox_.size() >= size;
    response.body = inbox_.substr(0, size);
    inbox_.erase(0, size);
  }
  void read_chunks(Response& response) {
    for (;;) {
      if (!read_until("\r\n")) return;
      const std::size_t size = std::strtoull(inbox_.c_str(), nullptr, 16);
      inbox_.erase(0, inbox_.find("\r\n") + 2);
      const TimePoint end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
      while (inbox_.size() < size + 2)
        if (!read_some(end)) return;
      response.body += inbox_.substr(0, size);
      inbox_.erase(0, size + 2);
      if (size == 0) break;
    }
    response.complete = true;
  }

  int fd_;
  bool connected_ = false;
  bool ended_ = false;
  std::string inbox_;
};

inline std::string post(const std::string& path, const std::string& body, const std::string& more_headers = {}) {
  return "POST " + path +
         " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + more_headers + "\r\n" + body;
}
inline std::string get(const std::string& path, const std::string& more_headers = {}) {
  return "GET " + path + " HTTP/1.1\r\nHost: a\r\n" + more_headers + "\r\n";
}

}  // namespace kvasir::testing
