// The rules on the way of a request: what the client is told, what the cache gains, and what is counted.
#include <gtest/gtest.h>

#include "tests/unit/gateway/server_rig.h"

namespace kvasir::testing {
namespace {

ServerRig::Options with_default(const std::string& move_volatile) {
  ServerRig::Options o = ServerRig::options();
  NamespaceConfig entry{"default", {}};
  entry.canonical.move_volatile = move_volatile;
  o.config.namespaces.push_back(entry);
  return o;
}

// The same words at another time, behind another header of the client's.
std::string chat_at(const std::string& clock, const std::string& more = {}) {
  return R"({"model":"null","ignore_eos":true,"max_tokens":2,"messages":[
      {"role":"system","content":"x-anthropic-billing-header: cch=)" +
         clock + R"(;\nIt is now 2026-07-26 )" + clock + "." + std::string(200, 's') +
         R"("},{"role":"user","content":"hi"}])" + (more.empty() ? "" : "," + more) + "}";
}

std::string told(bool report) {
  return std::string(
             "X-Kvasir-Canonical: drop_client_headers;v=1;n=1;at=\"messages[0]\", "
             "move_volatile;v=1;n=1;at=\"messages[0]\"") +
         (report ? ";mode=report\r\n" : "\r\n");
}

TEST(ServerRules, AVolatileHeadIsFoundAgain) {
  for (const bool on : {false, true}) {
    ServerRig rig(with_default(on ? "on" : "report"));
    TestClient client(rig.port());
    client.send(post(kChat, chat_at("10:00:00")));
    const TestClient::Response first = client.read_response();
    ASSERT_EQ(first.status, 200) << first.body;
    EXPECT_TRUE(first.has(told(!on))) << first.head;
    client.send(post(kChat, chat_at("11:22:33")));
    const Value usage = *json_of(client.read_response().body).find("usage");
    const std::string& cached = usage.find("prompt_tokens_details")->find("cached_tokens")->as_number()->text;
    EXPECT_EQ(std::stoi(cached) > 200, on) << cached << ": the words behind the clock are 200";
  }
}

TEST(ServerRules, StreamsAndTokenizeTellToo) {
  ServerRig rig(with_default("on"));
  TestClient client(rig.port());
  client.send(post("/tokenize", chat_at("10:00:00")));
  const TestClient::Response tokens = client.read_response();
  EXPECT_TRUE(tokens.has(told(false))) << tokens.head;
  client.send(post(kChat, chat_at("10:00:00")));
  const Value whole = json_of(client.read_response().body), count = json_of(tokens.body);
  EXPECT_EQ(whole.find("usage")->find("prompt_tokens")->as_number()->text, count.find("count")->as_number()->text);
  client.send(post(kChat, chat_at("10:00:00", R"("stream":true)")));
  EXPECT_TRUE(client.read_response().has(told(false)));
  client.send(post(kChat, chat_body("nothing to do", 2)));
  EXPECT_FALSE(client.read_response().has("X-Kvasir-Canonical"));
}

TEST(ServerRules, ChangesAreCountedByRule) {
  ServerRig rig(with_default("report"));
  TestClient client(rig.port());
  for (const char* clock : {"10:00:00", "11:22:33"}) {
    client.send(post(kChat, chat_at(clock)));
    ASSERT_EQ(client.read_response().status, 200);
  }
  client.send(get("/metrics"));
  const std::string metrics = client.read_response().body;
  for (const char* line : {"kvasir_canonical_changes_total{mode=\"on\",rule=\"drop_client_headers\"} 2",
                           "kvasir_canonical_changes_total{mode=\"report\",rule=\"move_volatile\"} 2",
                           "kvasir_canonical_requests_total{mode=\"on\",rule=\"drop_client_headers\"} 2"})
    EXPECT_NE(metrics.find(line), std::string::npos) << line;
}

}  // namespace
}  // namespace kvasir::testing
