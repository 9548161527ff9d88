#include "gateway/server.h"

#include <atomic>
#include <csignal>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/gateway/server_rig.h"

namespace kvasir {
namespace {

using namespace std::chrono_literals;
using testing::chat_body;
using testing::get;
using testing::json_of;
using testing::kChat;
using testing::post;
using testing::ServerRig;
using testing::TestClient;

ServerRig::Options slow_backend() {
  ServerRig::Options o = ServerRig::options();
  o.backend.delay_per_step = 2ms;
  return o;
}

std::string text_of(const TestClient::Response& response) {
  return *(*json_of(response.body).find("choices")->as_array())[0].find("message")->find("content")->as_string();
}
std::string error_member(const TestClient::Response& response, const char* name) {
  const Value body = json_of(response.body);
  const std::string* text = body.find("error")->find(name)->as_string();
  return text ? *text : std::string();
}

// Joins the content deltas of a stream's events.
std::string streamed_text(const std::string& sse) {
  std::string text;
  for (std::size_t at = 0; (at = sse.find("data: {", at)) != std::string::npos; ++at) {
    const Value event = json_of(sse.substr(at + 6, sse.find("\n\n", at) - at - 6));
    const Value::Array& choices = *event.find("choices")->as_array();
    if (choices.empty()) continue;
    if (const Value* content = choices[0].find("delta")->find("content")) text += *content->as_string();
  }
  return text;
}

TEST(Server, AnswersAChatAndReusesItsPrefix) {
  ServerRig rig;
  TestClient client(rig.port());
  const std::string body = chat_body(std::string(100, 'a'), 12);
  client.send(post(kChat, body));
  const TestClient::Response cold = client.read_response();
  ASSERT_EQ(cold.status, 200) << cold.body;
  EXPECT_TRUE(cold.has("Cache-Status: kvasir; fwd=miss;"));
  EXPECT_TRUE(cold.has("X-Request-Id: chatcmpl-"));
  client.send(post(kChat, body));
  const TestClient::Response warm = client.read_response();
  EXPECT_TRUE(warm.has("Cache-Status: kvasir; hit;")) << warm.head;
  EXPECT_EQ(text_of(cold), text_of(warm));
  const Value usage = *json_of(warm.body).find("usage");
  EXPECT_EQ(usage.find("prompt_tokens")->as_number()->text, "106");
  EXPECT_NE(usage.find("prompt_tokens_details")->find("cached_tokens")->as_number()->text, "0");
}

TEST(Server, StreamsTheSameTextAsTheWholeAnswer) {
  ServerRig rig;
  TestClient client(rig.port());
  client.send(post(kChat, chat_body("hello", 30)));
  const std::string whole = text_of(client.read_response());
  client.send(post(kChat, chat_body("hello", 30, R"("stream":true,"stream_options":{"include_usage":true})")));
  const TestClient::Response stream = client.read_response();
  EXPECT_TRUE(stream.has("Content-Type: text/event-stream"));
  EXPECT_TRUE(stream.has("Cache-Status: kvasir;"));
  ASSERT_TRUE(stream.complete);
  EXPECT_EQ(streamed_text(stream.body), whole);
  EXPECT_NE(stream.body.find("\"completion_tokens\":30"), std::string::npos);
  EXPECT_TRUE(stream.body.ends_with("data: [DONE]\n\n"));
}

TEST(Server, KeepsConnectionsAliveAndTakesPipelinedRequests) {
  ServerRig rig;
  TestClient client(rig.port());
  std::string many;
  for (int i = 0; i < 5; ++i) many += get("/healthz") + post(kChat, chat_body("x", 3, i % 2 ? R"("stream":true)" : ""));
  client.send(many);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(client.read_response().status, 200);
    const TestClient::Response chat = client.read_response();
    EXPECT_EQ(chat.status, 200) << i;
    EXPECT_TRUE(chat.complete);
  }
  client.send(get("/healthz", "Connection: close\r\n"));
  EXPECT_TRUE(client.read_response().has("Connection: close"));
  EXPECT_TRUE(client.closed_by_server());
}

TEST(Server, OldHttpGetsAnUnchunkedStream) {
  ServerRig rig;
  TestClient client(rig.port());
  const std::string body = chat_body("x", 3, R"("stream":true)");
  client.send("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
              body);
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_EQ(client.inbox().find("Transfer-Encoding"), std::string::npos);
  EXPECT_NE(client.inbox().find("data: [DONE]\n\n"), std::string::npos);
}

struct BadCase {
  std::string bytes;
  int status;
};

TEST(Server, AnswersBadRequestsWithTheRightStatusAndGoesOn) {
  ServerRig::Options o = ServerRig::options();
  o.config.limits.body_bytes = 200'000;
  o.config.limits.header_bytes = 8192;
  ServerRig rig(o);
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  const BadCase cases[] = {
      {"nonsense\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20000, 'x') + "\r\n\r\n", 431},
      {post(kChat, std::string(200'001, 'x')), 413},
      {get("/nowhere"), 404},
      {get(kChat), 405},
      {post("/healthz", ""), 405},
      {post(kChat, ""), 400},
      {post(kChat, "{"), 400},
      {post(kChat, deep), 400},
      {post(kChat, "{\"model\":\"\xff\"}"), 400},
      {post(kChat, R"({"model":"other","messages":[{"role":"user","content":"a"}]})"), 404},
      {post(kChat, chat_body("a", 0)), 400},
      {post(kChat, chat_body("refuse me", 5)), 400},
      {post(kChat, chat_body(std::string(9000, 'a'), 5)), 400},
      {post("/v1/completions", R"({"model":"null","prompt":[1,2,99999]})"), 400},
      {post("/v1/completions", R"({"model":"null","prompt":""})"), 400},
      {get("/v1/models/none"), 404},
  };
  for (const BadCase& bad : cases) {
    TestClient client(rig.port());
    client.send(bad.bytes);
    const TestClient::Response response = client.read_response();
    EXPECT_EQ(response.status, bad.status) << bad.bytes.substr(0, 200);
    const Value body = json_of(response.body);
    const Value* error = body.find("error");
    ASSERT_NE(error, nullptr) << response.body;
    for (const char* member : {"message", "type", "param", "code"}) EXPECT_NE(error->find(member), nullptr) << member;
    EXPECT_FALSE(error_member(response, "message").empty());
  }
  TestClient client(rig.port());
  client.send(post(kChat, chat_body(std::string(9000, 'a'), 5)));
  const TestClient::Response too_long = client.read_response();
  EXPECT_EQ(error_member(too_long, "code"), "context_length_exceeded");
  EXPECT_NE(error_member(too_long, "message").find("9006"), std::string::npos);
  client.send(get(kChat));
  EXPECT_TRUE(client.read_response().has("Allow: POST"));
  client.send(post(kChat, chat_body("a", 2)));
  EXPECT_EQ(client.read_response().status, 200);
}

TEST(Server, ALargeRefusedBodyIsDrainedSoThatTheAnswerArrives) {
  ServerRig::Options o = ServerRig::options();
  o.config.limits.body_bytes = 1 << 20;
  ServerRig rig(o);
  TestClient client(rig.port());
  std::thread sender([&] { client.send(post(kChat, std::string(12 << 20, 'x'))); });
  sender.join();  // all of it could be sent, although only the head was looked at
  EXPECT_EQ(client.read_response().status, 413);
}

TEST(Server, ExpectContinueIsAnswered) {
  ServerRig rig;
  TestClient client(rig.port());
  const std::string body = chat_body("a", 2);
  const std::string request = post(kChat, body, "Expect: 100-continue\r\n");
  client.send(request.substr(0, request.size() - body.size()));
  EXPECT_EQ(client.read_response().status, 100);
  client.send(body);
  EXPECT_EQ(client.read_response().status, 200);
}

TEST(Server, AnEndlessChunkHeaderIsRefused) {
  ServerRig rig;
  TestClient client(rig.port());
  client.send("POST /tokenize HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;" + std::string(300'000, 'x'));
  EXPECT_EQ(client.read_response().status, 400);
}

TEST(Server, HeadAnswersWithoutABody) {
  ServerRig rig;
  TestClient client(rig.port());
  client.send("HEAD /v1/models HTTP/1.1\r\nHost: a\r\n\r\n" + get("/healthz"));
  const TestClient::Response head = client.read_response(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(client.read_response().body, "ok\n");
}

TEST(Server, SlowClientsAreTimedOutByPhase) {
  ServerRig::Options o = ServerRig::options();
  o.config.limits.header_timeout = 150ms;
  o.config.limits.body_timeout = 150ms;
  o.config.limits.idle_timeout = 150ms;
  ServerRig rig(o);
  TestClient silent(rig.port()), in_header(rig.port()), in_body(rig.port()), idle(rig.port());
  in_header.send("GET / HTTP/1.1\r\nHost:");
  in_body.send("POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{");
  idle.send(get("/healthz"));
  EXPECT_EQ(idle.read_response().status, 200);
  EXPECT_EQ(in_header.read_response().status, 408);
  EXPECT_EQ(in_body.read_response().status, 408);
  EXPECT_TRUE(silent.closed_by_server(3s));
  EXPECT_TRUE(idle.closed_by_server(3s));
}

TEST(Server, ADripOfHeaderBytesDoesNotHoldAConnection) {
  ServerRig::Options o = ServerRig::options();
  o.config.limits.header_timeout = 200ms;
  ServerRig rig(o);
  TestClient client(rig.port());
  const auto begin = Clock::now();
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: " + std::string(100, 'x');
  for (const char c : request) {
    if (!client.send(std::string(1, c)) || Clock::now() > begin + 3s) break;
    if (client.read_until("408", 10ms)) break;
  }
  EXPECT_NE(client.inbox().find("408"), std::string::npos);
  EXPECT_LT(Clock::now() - begin, 2s);
}

class Disconnect : public ::testing::TestWithParam<std::tuple<bool, bool>> {};

TEST_P(Disconnect, FreesTheBlocks) {
  const auto [stream, hard] = GetParam();
  ServerRig rig(slow_backend());
  TestClient client(rig.port());
  client.send(post(kChat, chat_body(std::string(200, 'b'), 5000, stream ? R"("stream":true)" : "")));
  if (stream) {
    ASSERT_TRUE(client.read_until("\"content\":\""));
  }
  ASSERT_TRUE(rig.eventually([](const EngineStats& s) { return s.running == 1 && s.tokens_generated > 3; }));
  EXPECT_GT(rig.stats().cache.host.leased + rig.stats().cache.host.filling, 0u);
  if (hard)
    client.reset();
  else
    client.close();
  EXPECT_TRUE(rig.all_blocks_returned());
  EXPECT_LT(rig.stats().tokens_generated, 4000u);
}

INSTANTIATE_TEST_SUITE_P(Server, Disconnect, ::testing::Combine(::testing::Bool(), ::testing::Bool()));

TEST(Server, PipelinedBytesAreNotADisconnect) {
  ServerRig rig(slow_backend());
  TestClient client(rig.port());
  client.send(post(kChat, chat_body("c", 60)));
  ASSERT_TRUE(rig.eventually([](const EngineStats& s) { return s.running == 1; }));
  client.send(get("/healthz"));
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(client.read_response().body, "ok\n");
}

TEST(Server, AClientThatTakesNothingIsDropped) {
  ServerRig::Options o = ServerRig::options();
  o.config.limits.write_timeout = 200ms;
  o.backend.context_tokens = 1 << 20;
  o.backend.block_count = 1 << 16;
  ServerRig rig(o);
  TestClient client(rig.port(), 4096);
  client.send(post(kChat, chat_body("d", 500'000, R"("stream":true,"logprobs":true,"top_logprobs":0)")));
  ASSERT_TRUE(rig.eventually([](const EngineStats& s) { return s.running == 1; }));
  EXPECT_TRUE(rig.all_blocks_returned());
  EXPECT_LT(rig.stats().tokens_generated, 500'000u);
}

TEST(Server, SixtyFourStreamsGiveWhatEachGivesAlone) {
  ServerRig rig;
  std::vector<std::string> alone(64);
  {
    TestClient client(rig.port());
    for (std::size_t i = 0; i < alone.size(); ++i) {
      client.send(post(kChat, chat_body("stream " + std::to_string(i), 40)));
      alone[i] = text_of(client.read_response());
    }
  }
  std::atomic<int> equal{0};
  std::vector<std::thread> clients;
  for (std::size_t i = 0; i < alone.size(); ++i)
    clients.emplace_back([&, i] {
      TestClient client(rig.port());
      client.send(post(kChat, chat_body("stream " + std::to_string(i), 40, R"("stream":true)")));
      const TestClient::Response response = client.read_response();
      if (response.complete && streamed_text(response.body) == alone[i]) ++equal;
    });
  for (std::thread& t : clients) t.join();
  EXPECT_EQ(equal, 64);
  EXPECT_TRUE(rig.all_blocks_returned());
}

TEST(Server, QueueFullIs429WithRetryAfter) {
  ServerRig::Options o = slow_backend();
  o.config.limits.requests_running = 1;
  o.config.limits.requests_waiting = 1;
  ServerRig rig(o);
  TestClient first(rig.port()), second(rig.port()), third(rig.port());
  first.send(post(kChat, chat_body("e", 3000)));
  ASSERT_TRUE(rig.eventually([](const EngineStats& s) { return s.running == 1; }));
  second.send(post(kChat, chat_body("f", 3000)));
  ASSERT_TRUE(rig.eventually([](const EngineStats& s) { return s.waiting == 1; }));
  third.send(post(kChat, chat_body("g", 5, R"("stream":true)")));
  const TestClient::Response refused = third.read_response();
  EXPECT_EQ(refused.status, 429);
  EXPECT_TRUE(refused.has("Retry-After: "));
  EXPECT_EQ(error_member(refused, "code"), "rate_limit_exceeded");
}

TEST(Server, TooManyConnectionsGet503) {
  ServerRig::Options o = ServerRig::options();
  o.config.limits.connections = 2;
  ServerRig rig(o);
  TestClient one(rig.port()), two(rig.port());
  one.send(get("/healthz"));
  two.send(get("/healthz"));
  EXPECT_EQ(one.read_response().status, 200);
  EXPECT_EQ(two.read_response().status, 200);
  TestClient three(rig.port());
  EXPECT_EQ(three.read_response().status, 503);
  EXPECT_TRUE(three.closed_by_server());
  one.close();
  for (int i = 0; i < 50; ++i) {  // `three` lingers for longer than that: it holds no seat
    TestClient again(rig.port());
    again.send(get("/healthz"));
    if (again.read_response().status == 200) return;
    std::this_thread::sleep_for(10ms);
  }
  ADD_FAILURE() << "the seat of a closed connection never came back";
}

TEST(Server, RequestDeadlineEndsAnAnswer) {
  ServerRig::Options o = slow_backend();
  o.config.limits.request_timeout = 200ms;
  ServerRig rig(o);
  TestClient client(rig.port());
  client.send(post(kChat, chat_body("h", 5000)));
  const TestClient::Response response = client.read_response();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(error_member(response, "code"), "request_timeout");
  EXPECT_TRUE(rig.all_blocks_returned());
}

TEST(Server, DrainFinishesWhatRunsAndRefusesTheRest) {
  ServerRig rig(slow_backend());
  TestClient running(rig.port()), idle(rig.port());
  idle.send(get("/readyz"));
  EXPECT_EQ(idle.read_response().status, 200);
  running.send(post(kChat, chat_body("i", 200, R"("stream":true)")));
  ASSERT_TRUE(running.read_until("\"content\":\""));
  rig.server->drain();
  EXPECT_TRUE(idle.closed_by_server(2s));
  TestClient probe(rig.port());
  probe.send(get("/readyz"));
  EXPECT_EQ(probe.read_response().status, 503);
  TestClient late(rig.port());
  late.send(post(kChat, chat_body("j", 5)));
  EXPECT_EQ(late.read_response().status, 503);
  EXPECT_TRUE(running.read_until("data: [DONE]"));
  rig.thread.join();
  EXPECT_FALSE(TestClient(rig.port()).connected());
}

TEST(Server, ASignalDrains) {
  ServerRig::Options o = slow_backend();
  o.handle_signals = true;
  ServerRig rig(o);
  TestClient running(rig.port());
  running.send(post(kChat, chat_body("s", 100, R"("stream":true)")));
  ASSERT_TRUE(running.read_until("\"content\":\""));
  ::kill(::getpid(), SIGTERM);
  EXPECT_TRUE(running.read_until("data: [DONE]"));
  rig.thread.join();
  EXPECT_TRUE(rig.routes.draining());
}

TEST(Server, ASignalEndsAnIdleServer) {
  ServerRig::Options o = ServerRig::options();
  o.handle_signals = true;
  ServerRig rig(o);
  TestClient client(rig.port());
  client.send(get("/healthz", "Connection: close\r\n"));
  EXPECT_EQ(client.read_response().status, 200);
  client.close();
  std::this_thread::sleep_for(50ms);
  ::kill(::getpid(), SIGINT);
  rig.thread.join();
}

TEST(Server, DrainCutsOffWhatTakesTooLong) {
  ServerRig::Options o = slow_backend();
  o.config.limits.drain_timeout = 200ms;
  ServerRig rig(o);
  TestClient running(rig.port());
  running.send(post(kChat, chat_body("k", 5000, R"("stream":true)")));
  ASSERT_TRUE(running.read_until("\"content\":\""));
  const auto begin = Clock::now();
  rig.stop();
  EXPECT_LT(Clock::now() - begin, 3s);
  EXPECT_TRUE(rig.all_blocks_returned());
}

TEST(Server, KeysDecideWhoMayAndWhoseBlocksAreSeen) {
  ServerRig::Options o = ServerRig::options();
  for (const char* name : {"a", "b"}) {
    Sha256 hash;
    TenantConfig tenant;
    tenant.name = name;
    tenant.keys.push_back({to_hex(hash.update(std::string("key-") + name).finish()), ""});
    o.config.tenants.push_back(tenant);
  }
  ServerRig rig(o);
  TestClient client(rig.port());
  const std::string body = chat_body(std::string(100, 'l'), 5);
  client.send(post(kChat, body));
  const TestClient::Response nobody = client.read_response();
  EXPECT_EQ(nobody.status, 401);
  EXPECT_TRUE(nobody.has("WWW-Authenticate: Bearer"));
  EXPECT_EQ(error_member(nobody, "code"), "invalid_api_key");
  client.send(post(kChat, body, "Authorization: Bearer key-c\r\n"));
  EXPECT_EQ(client.read_response().status, 401);
  for (const bool hit : {false, true}) {
    client.send(post(kChat, body, "Authorization: Bearer key-a\r\n"));
    EXPECT_EQ(client.read_response().has("kvasir; hit"), hit);
  }
  client.send(post(kChat, body, "Authorization: bearer key-b\r\n"));
  EXPECT_TRUE(client.read_response().has("kvasir; fwd=miss"));
  client.send(
      post(kChat, chat_body(std::string(100, 'l'), 5, R"("cache_salt":"own")"), "Authorization: Bearer key-a\r\n"));
  EXPECT_TRUE(client.read_response().has("kvasir; fwd=miss"));
  client.send(get("/healthz") + get("/metrics"));
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(client.read_response().status, 200);
}

TEST(Server, CompletionsTakeTokenIdsAndSeveralPrompts) {
  ServerRig rig;
  TestClient client(rig.port());
  const std::string common = R"({"model":"null","temperature":0,"ignore_eos":true,"max_tokens":8,"prompt":)";
  client.send(post("/v1/completions", common + "\"abc\"}"));
  const Value text = json_of(client.read_response().body);
  client.send(post("/v1/completions", common + "[97,98,99]}"));
  const Value ids = json_of(client.read_response().body);
  EXPECT_EQ(to_json(*text.find("choices")), to_json(*ids.find("choices")));
  client.send(post("/v1/completions", common + R"(["abc","x"],"n":2,"echo":true})"));
  const Value several = json_of(client.read_response().body);
  const Value::Array& choices = *several.find("choices")->as_array();
  ASSERT_EQ(choices.size(), 4u);
  EXPECT_TRUE(choices[1].find("text")->as_string()->starts_with("abc"));
  EXPECT_TRUE(choices[2].find("text")->as_string()->starts_with("x"));
  EXPECT_EQ(several.find("usage")->find("prompt_tokens")->as_number()->text, "4");
}

TEST(Server, ModelsTokenizeDetokenize) {
  ServerRig rig;
  TestClient client(rig.port());
  client.send(get("/v1/models"));
  EXPECT_NE(client.read_response().body.find(R"("id":"null","object":"model")"), std::string::npos);
  client.send(get("/v1/models/null?x=1"));
  EXPECT_NE(client.read_response().body.find("\"max_model_len\":8192"), std::string::npos);
  client.send(post("/tokenize", R"({"prompt":"ab</s>","special":true})"));
  EXPECT_EQ(client.read_response().body, R"({"count":3,"max_model_len":8192,"tokens":[97,98,257]})");
  client.send(post("/tokenize", R"({"model":"null","messages":[{"role":"user","content":"x"}]})"));
  EXPECT_NE(client.read_response().body.find("\"count\":7"), std::string::npos);
  client.send(post("/detokenize", R"({"tokens":[97,98]})"));
  EXPECT_EQ(client.read_response().body, R"({"prompt":"ab"})");
  client.send(post("/detokenize", R"({"tokens":[970]})"));
  EXPECT_EQ(client.read_response().status, 400);
}

TEST(Server, MetricsCountWhatHappened) {
  ServerRig rig;
  TestClient client(rig.port());
  const std::string body = chat_body(std::string(100, 'm'), 5);
  for (int i = 0; i < 2; ++i) {
    client.send(post(kChat, body));
    ASSERT_EQ(client.read_response().status, 200);
  }
  ASSERT_TRUE(rig.eventually([](const EngineStats& s) { return s.requests_finished == 2; }));
  client.send(get("/nowhere") + get("/metrics"));
  EXPECT_EQ(client.read_response().status, 404);
  const TestClient::Response metrics = client.read_response();
  EXPECT_TRUE(metrics.has("text/plain; version=0.0.4"));
  for (const char* line :
       {"kvasir_prompt_tokens_total{model=\"null\",source=\"computed\"} 107",
        "kvasir_prompt_tokens_total{model=\"null\",source=\"host\"} 105",
        "kvasir_generated_tokens_total{model=\"null\"} 10", "kvasir_drafted_tokens_total{model=\"null\"} ",
        "kvasir_accepted_tokens_total{model=\"null\"} ",
        "kvasir_http_requests_total{route=\"/v1/chat/completions\",status=\"200\"} 2",
        "kvasir_http_requests_total{route=\"other\",status=\"404\"} 1", "kvasir_build_info{",
        "kvasir_process_resident_bytes ",
        "kvasir_time_to_first_token_seconds_count{model=\"null\",source=\"computed\"} 1",
        "kvasir_time_to_first_token_seconds_count{model=\"null\",source=\"host\"} 1",
        "kvasir_inter_token_latency_seconds_count{model=\"null\"} 8",
        "kvasir_request_duration_seconds_count{model=\"null\"} 2",
        "kvasir_blocks{model=\"null\",tier=\"host\",state=\"free\"}",
        "kvasir_evictions_total{model=\"null\",tier=\"host\",reason=\"capacity\"} 0"})
    EXPECT_NE(metrics.body.find(line), std::string::npos) << line;
}

}  // namespace
}  // namespace kvasir
