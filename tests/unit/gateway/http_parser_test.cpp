#include "gateway/http_parser.h"

#include <string>

#include <gtest/gtest.h>

namespace kvasir {
namespace {

struct Parsed {
  HttpParser::State state;
  std::uint32_t failure_status = 0;
  HttpRequest request = {};
  std::string rest = {};
};

// Feeds `bytes` in pieces of `piece`.
Parsed parse(const std::string& bytes, std::size_t piece = 1000000, HttpParser::Limits limits = {}) {
  HttpParser parser(limits);
  std::string inbox;
  std::size_t next = 0;
  while (parser.state() == HttpParser::State::header || parser.state() == HttpParser::State::body) {
    const std::size_t used = inbox.empty() ? 0 : parser.feed(inbox);
    inbox.erase(0, used);
    if (used > 0) continue;
    if (next >= bytes.size()) break;
    inbox += bytes.substr(next, piece);
    next += piece;
  }
  Parsed parsed{parser.state()};
  if (parser.state() == HttpParser::State::failed) parsed.failure_status = parser.failure().status;
  if (parser.state() == HttpParser::State::complete) parsed.request = parser.take();
  parsed.rest = inbox + (next < bytes.size() ? bytes.substr(next) : "");
  return parsed;
}

const std::string kPost = "POST /v1/x?y=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-Two: b\r\n\r\nhello";

TEST(HttpParser, ReadsARequestHoweverItIsCut) {
  for (const std::size_t piece : {1u, 2u, 7u, 40u, 1000u}) {
    const Parsed parsed = parse(kPost, piece);
    ASSERT_EQ(parsed.state, HttpParser::State::complete) << piece;
    EXPECT_EQ(parsed.request.method, "POST");
    EXPECT_EQ(parsed.request.path(), "/v1/x");
    EXPECT_EQ(parsed.request.body, "hello");
    EXPECT_EQ(parsed.request.header("x-two"), "b");
    EXPECT_TRUE(parsed.request.keep_alive);
  }
}

TEST(HttpParser, LeavesTheNextRequestAlone) {
  const Parsed parsed = parse(kPost + "GET / HTTP/1.1\r\n");
  ASSERT_EQ(parsed.state, HttpParser::State::complete);
  EXPECT_EQ(parsed.rest, "GET / HTTP/1.1\r\n");
}

TEST(HttpParser, ReadsChunkedBodies) {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const Parsed parsed = parse(head + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 1);
  ASSERT_EQ(parsed.state, HttpParser::State::complete);
  EXPECT_EQ(parsed.request.body, "abcde");
}

TEST(HttpParser, RefusesWhatIsOverTheLimits) {
  const std::string big(5000, 'x');
  EXPECT_EQ(parse("GET / HTTP/1.1\r\nHost: a\r\nX: " + big + "\r\n\r\n", 100, {.header_bytes = 2000}).failure_status,
            431u);
  EXPECT_EQ(parse("GET /" + big + " HTTP/1.1\r\nHost: a\r\n\r\n", 100, {.header_bytes = 2000}).failure_status, 431u);
  EXPECT_EQ(
      parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", 100, {.body_bytes = 4999}).failure_status,
      413u);
  EXPECT_EQ(parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + big + "\r\n0\r\n\r\n",
                  100, {.body_bytes = 4999})
                .failure_status,
            413u);
  EXPECT_EQ(parse("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + big, 100, {.body_bytes = 5000}).state,
            HttpParser::State::complete);
}

TEST(HttpParser, RefusesMalformedRequests) {
  for (const char* bytes :
       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET\r\n\r\n", "G@T / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello"})
    EXPECT_EQ(parse(bytes).failure_status, 400u) << bytes;
  EXPECT_EQ(parse("GET / HTTP/3.7\r\nHost: a\r\n\r\n").failure_status, 505u);
}

TEST(HttpParser, KnowsWhenAClientWaitsForContinue) {
  HttpParser parser({});
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\nExpect: 100-continue\r\n\r\n";
  EXPECT_EQ(parser.feed(head), head.size());
  EXPECT_EQ(parser.state(), HttpParser::State::body);
  EXPECT_TRUE(parser.expects_continue());
  EXPECT_EQ(parser.body_remaining(), 70000u);
}

TEST(HttpParser, AnOfferToUpgradeIsNotTaken) {  // some clients offer h2c with every first request
  const Parsed parsed = parse(
      "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: "
      "2\r\n\r\nhi");
  ASSERT_EQ(parsed.state, HttpParser::State::complete);
  EXPECT_EQ(parsed.request.body, "hi");
  EXPECT_TRUE(parsed.request.keep_alive);
}

TEST(HttpParser, OldClientsCloseUnlessTheyAskNot) {
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\n\r\n").request.keep_alive);
  EXPECT_TRUE(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").request.keep_alive);
  EXPECT_FALSE(parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").request.keep_alive);
}

}  // namespace
}  // namespace kvasir
