#include <limits>

#include <gtest/gtest.h>

#include "gateway/api/errors.h"
#include "gateway/http.h"
#include "gateway/json_writer.h"
#include "gateway/metrics.h"
#include "gateway/sse.h"

namespace kvasir {
namespace {

TEST(JsonWriter, PutsCommasAndEscapes) {
  JsonWriter json;
  json.begin_object()
      .member("a", 1)
      .key("b")
      .begin_array()
      .value("x\"\n")
      .value(true)
      .null()
      .begin_object()
      .end_object()
      .end_array();
  json.key("c").begin_object().member("d", -0.5f).end_object().member("e", std::numeric_limits<float>::infinity());
  EXPECT_EQ(json.end_object().take(), R"({"a":1,"b":["x\"\n",true,null,{}],"c":{"d":-0.5},"e":-9999.0})");
}

TEST(Sse, FramesAnEvent) {
  std::string out;
  append_sse(out, "{}");
  append_sse(out, "[DONE]");
  EXPECT_EQ(out, "data: {}\n\ndata: [DONE]\n\n");
}

TEST(ApiError, AllFourMembersAreAlwaysThere) {
  EXPECT_EQ(error_json(bad_request("no")),
            R"({"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}})");
  EXPECT_EQ(error_json(bad_request("no", "p", "c")),
            R"({"error":{"message":"no","type":"invalid_request_error","param":"p","code":"c"}})");
}

TEST(ApiError, EveryKindHasItsStatus) {
  const std::pair<ErrorCode, std::uint32_t> statuses[] = {
      {ErrorCode::invalid_argument, 400}, {ErrorCode::unsupported, 400},
      {ErrorCode::too_large, 413},        {ErrorCode::not_found, 404},
      {ErrorCode::unauthorized, 401},     {ErrorCode::queue_full, 429},
      {ErrorCode::shutting_down, 503},    {ErrorCode::cancelled, 503},
      {ErrorCode::corrupt, 500},          {ErrorCode::io, 500}};
  for (const auto& [code, status] : statuses) EXPECT_EQ(to_api_error(error(code, "m")).status, status);
}

TEST(HttpResponse, HeadHasFramingAndHeaders) {
  const HttpResponse response{.status = 404, .headers = {{"X-A", "b"}}, .body = "12345"};
  EXPECT_EQ(serialize_head(response, BodyFraming::content_length, true),
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nX-A: b\r\nContent-Length: 5\r\nConnection: "
            "close\r\n\r\n");
  std::string chunk;
  append_chunk(chunk, std::string(17, 'x'));
  EXPECT_EQ(chunk, "11\r\n" + std::string(17, 'x') + "\r\n");
}

TEST(Metrics, FirstTokensArePutDownToTheSourceOfMost) {
  const auto source = [](std::uint32_t host, std::uint32_t disk, std::uint32_t computed) {
    return dominant_source({host + disk + computed, {host, disk}, computed});
  };
  EXPECT_EQ(source(0, 0, 10), "computed");
  EXPECT_EQ(source(8, 0, 2), "host");
  EXPECT_EQ(source(2, 0, 8), "computed");
  EXPECT_EQ(source(4, 5, 1), "disk");
  EXPECT_EQ(source(5, 5, 1), "disk");
  EXPECT_EQ(source(6, 3, 1), "host");
}

}  // namespace
}  // namespace kvasir
