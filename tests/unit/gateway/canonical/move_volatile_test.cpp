#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;

const std::string kTold = "\n\n";

TEST(MoveVolatile, FromTheHeadToTheEndOfTheNewestTurn) {
  Conversation conversation = conversation_of(
      R"({"messages":[{"role":"system","content":"It is now 2024-05-15 15:00:00 EST.\nWorking directory: /proj/a/b"},
          {"role":"user","content":"u"},{"role":"assistant","content":"a"},{"role":"user","content":"v"}],
          "tools":[{"type":"function","function":{"name":"f","description":"Lists files. cwd: /proj/a/b"}}]})");
  EXPECT_EQ(changes_by(move_volatile, conversation), "3 tools[0] messages[0]");
  EXPECT_EQ(words_of(conversation),
            "system=It is now [time 1].\nWorking directory: [path 1];user=u;assistant=a;user=v" + kTold +
                "[path 1] = /proj/a/b\n[time 1] = 2024-05-15 15:00:00 EST;");
  EXPECT_EQ(tools_of(conversation),
            R"([{"type":"function","function":{"name":"f","description":"Lists files. cwd: [path 1]"}}])");
  EXPECT_EQ(changes_by(move_volatile, conversation), "0");
}

TEST(MoveVolatile, HeadsOfTwoRequestsAreTheSame) {
  Conversation one = with_system("Session id: a1b2c3d4\nToday is 2026-07-26. 12,345 tokens left.");
  Conversation two = with_system("Session id: ffff0000\nToday is 2026-07-27. 9,876 tokens left.");
  changes_by(move_volatile, one);
  changes_by(move_volatile, two);
  EXPECT_EQ(one.messages[0].content, "Session id: [id 1]\nToday is [date 1]. [count 1] tokens left.");
  EXPECT_EQ(one.messages[0].content, two.messages[0].content);
  EXPECT_NE(one.messages[1].content, two.messages[1].content);
}

TEST(MoveVolatile, ToTheResultOfATool) {
  Conversation conversation = conversation_of(
      R"({"messages":[{"role":"system","content":"Today is 2026-07-26."},{"role":"user","content":"u"},
          {"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]},
          {"role":"tool","tool_call_id":"1","content":"r"}]})");
  changes_by(move_volatile, conversation);
  EXPECT_EQ(conversation.messages[3].content, "r" + kTold + "[date 1] = 2026-07-26");
  EXPECT_EQ(conversation.messages[1].content, "u");
}

TEST(MoveVolatile, NothingWithoutATurnToTellThemIn) {
  Conversation conversation = with_system("Today is 2026-07-26.");
  conversation.messages.pop_back();
  EXPECT_EQ(changes_by(move_volatile, conversation), "0");
  EXPECT_EQ(words_of(conversation), "system=Today is 2026-07-26.;");
}

TEST(MoveVolatile, WhatStandsLaterStays) {
  Conversation conversation = with_system("S");
  conversation.messages[1].content = "Today is 2026-07-26.";
  EXPECT_EQ(changes_by(move_volatile, conversation), "0");
}

}  // namespace
}  // namespace kvasir
