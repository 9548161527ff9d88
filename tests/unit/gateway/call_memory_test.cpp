#include "gateway/call_memory.h"

#include <thread>

#include <gtest/gtest.h>

#include "gateway/canonical/rules.h"
#include "tests/unit/gateway/fakes.h"

namespace kvasir {
namespace {

using testing::json_of;

Salt salt_of(std::uint8_t byte) {
  Salt salt{};
  salt.bytes[0] = byte;
  return salt;
}

TEST(CallMemory, KeepsByIdNameAndSalt) {
  CallMemory memory;
  memory.keep(salt_of(1), "id", "f", "{ }");
  EXPECT_EQ(memory.arguments(salt_of(1), "id", "f"), "{ }");
  EXPECT_FALSE(memory.arguments(salt_of(1), "id", "g"));
  EXPECT_FALSE(memory.arguments(salt_of(1), "other", "f"));
  EXPECT_FALSE(memory.arguments(salt_of(2), "id", "f")) << "another tenant";
  memory.keep(salt_of(1), "id", "f", "{  }");
  EXPECT_EQ(memory.arguments(salt_of(1), "id", "f"), "{  }") << "the last one counts";
}

TEST(CallMemory, TheLongestUnusedGoFirst) {
  CallMemory memory(4096);
  const std::string arguments(700, 'x');
  for (const char* id : {"a", "b", "c", "d"}) memory.keep(salt_of(1), id, "f", arguments);
  EXPECT_TRUE(memory.arguments(salt_of(1), "a", "f"));
  memory.keep(salt_of(1), "e", "f", arguments);
  EXPECT_TRUE(memory.arguments(salt_of(1), "a", "f")) << "used a moment ago";
  EXPECT_FALSE(memory.arguments(salt_of(1), "b", "f"));
  EXPECT_LE(memory.bytes(), 4096u);
  memory.keep(salt_of(1), "huge", "f", std::string(5000, 'x'));
  EXPECT_FALSE(memory.arguments(salt_of(1), "huge", "f"));
  EXPECT_TRUE(memory.arguments(salt_of(1), "a", "f")) << "one that is too large drops nothing";
}

TEST(CallMemory, FromManyThreads) {
  CallMemory memory(16384);
  std::vector<std::thread> threads;
  for (std::uint8_t t = 0; t < 4; ++t)
    threads.emplace_back([&memory, t] {
      for (int i = 0; i < 500; ++i) {
        const std::string id = std::to_string(i % 50);
        memory.keep(salt_of(t), id, "f", std::string(1, static_cast<char>('a' + t)));
        const auto found = memory.arguments(salt_of(t), id, "f");
        EXPECT_TRUE(!found || *found == std::string(1, static_cast<char>('a' + t)));
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(memory.bytes(), 16384u);
}

TEST(CallMemory, SameJson) {
  const auto same = [](const std::string& a, const std::string& b) { return same_json(json_of(a), json_of(b)); };
  EXPECT_TRUE(same(R"({"a":1,"b":[true,null,"x"]})", R"({ "b": [ true, null, "\u0078" ], "a": 1.0 })"));
  EXPECT_TRUE(same("1e2", "100"));
  EXPECT_TRUE(same("12345678901234567890", "12345678901234567890"));
  for (const auto& [a, b] : {std::pair("12345678901234567890", "12345678901234567891"), std::pair("{}", "[]"),
                             std::pair("1", "\"1\""), std::pair("null", "false"), std::pair("[1]", "[1,2]"),
                             std::pair(R"({"a":1})", R"({"b":1})"), std::pair(R"({"a":1})", R"({"a":1,"b":1})")})
    EXPECT_FALSE(same(a, b)) << a << " and " << b;
}

Conversation conversation_with(const std::string& arguments) {
  const Value body = json_of(R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,
      "tool_calls":[{"id":"id","type":"function","function":{"name":"f","arguments":)" +
                             arguments + R"(}}]}]})");
  FieldReader fields(*body.as_object());
  Conversation conversation = read_openai_conversation(fields);
  EXPECT_TRUE(fields.ok());
  return conversation;
}

std::string source_of(const Conversation& conversation) {
  const Value& arguments = *conversation.messages[1].tool_calls[0].find("function")->find("arguments");
  const auto source = arguments.as_object() ? arguments.as_object()->source : nullptr;
  return source ? *source : "none";
}

TEST(CallMemory, RestoresWhatMeansTheSame) {
  CallMemory memory;
  memory.keep(salt_of(1), "id", "f", R"({"b":2,  "a": 1.0})");
  const auto restored = [&](const std::string& arguments, std::uint8_t salt = 1) {
    Conversation conversation = conversation_with(arguments);
    RuleChanges changes;
    keep_call_arguments(conversation, {.calls = &memory, .salt = salt_of(salt)}, changes);
    return source_of(conversation);
  };
  EXPECT_EQ(restored(R"("{\"a\": 1, \"b\": 2}")"), R"({"b":2,  "a": 1.0})") << "written anew and sorted";
  EXPECT_EQ(restored(R"({"a": 1, "b": 2})"), R"({"b":2,  "a": 1.0})") << "as an object";
  EXPECT_EQ(restored(R"("{\"a\": 1, \"b\": 3}")"), R"({"a": 1, "b": 3})") << "the client changed it";
  EXPECT_EQ(restored(R"("{\"a\": 1, \"b\": 2}")", 2), R"({"a": 1, "b": 2})") << "another tenant's";
}

}  // namespace
}  // namespace kvasir
