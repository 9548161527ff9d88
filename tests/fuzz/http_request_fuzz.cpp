// HTTP requests cut anywhere: the first byte says how. The parser never takes more than it was offered, and it ends
// with a request or a failure that has a message. (Beast reads malformed trailers differently by where they are cut.)
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/http_parser.h"
#include "storage/base/assert.h"

namespace {

using kvasir::HttpParser;

void feed_all(std::string_view bytes, std::size_t piece) {
  HttpParser parser({.header_bytes = 4096, .body_bytes = 4096});
  std::string inbox;
  while (parser.state() == HttpParser::State::header || parser.state() == HttpParser::State::body) {
    const std::size_t used = inbox.empty() ? 0 : parser.feed(inbox);
    KVASIR_ASSERT(used <= inbox.size());
    inbox.erase(0, used);
    if (used > 0) continue;
    if (bytes.empty()) break;
    inbox += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  const HttpParser::State state = parser.state();
  if (state == HttpParser::State::complete) KVASIR_ASSERT(!parser.take().method.empty());
  if (state == HttpParser::State::failed) KVASIR_ASSERT(!parser.failure().message.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::size_t piece = 1 + data[0];
  feed_all(bytes, piece);
  feed_all(bytes, bytes.size() + 1);
  return 0;
}
