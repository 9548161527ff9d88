#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;

std::string rounded(const std::string& words) {
  Conversation conversation = with_system(words);
  const std::string first = changes_by(round_clock, conversation);
  EXPECT_EQ(changes_by(round_clock, conversation), "0") << words;
  EXPECT_EQ(first == "0", conversation.messages[0].content == words) << words;
  return conversation.messages[0].content;
}

TEST(RoundClock, TheDayStays) {
  EXPECT_EQ(rounded("The current time is 2024-05-15 15:00:00 EST."), "The current time is 2024-05-15.");
  EXPECT_EQ(rounded("now=2026-07-26T10:00:00.123456+02:00"), "now=2026-07-26");
  EXPECT_EQ(rounded("It is now Sunday, July 26, 2026 at 9:05 PM."), "It is now Sunday, July 26, 2026.");
  EXPECT_EQ(rounded("Date: Tue, 17 Feb 2026 23:46:27 GMT\nx"), "Date: Tue, 17 Feb 2026\nx");
  EXPECT_EQ(rounded("Today: Sun Jul 26 10:00:00 UTC 2026"), "Today: Sun Jul 26 2026");
  EXPECT_EQ(rounded("timestamp: 1764196886 and 1764196886123"), "timestamp: 1764115200 and 1764115200000");
  EXPECT_EQ(rounded("It is now 2024-05-15 15:00:00 16:00:00 17:00."), "It is now 2024-05-15.");
}

TEST(RoundClock, WhatHasNoDayOrIsNotOfTheRequestStays) {
  for (const char* words : {"The current time is 15:00.", "Today is 2024-05-15.", "We open at 10:00.",
                            "Meet on May 20, 2024, at 10:00 PM.", "Port 1764196886."})
    EXPECT_EQ(rounded(words), words);
}

TEST(RoundClock, OnlyInTheHead) {
  Conversation conversation = with_system("S");
  conversation.messages[1].content = "It is now 2024-05-15 15:00:00.";
  EXPECT_EQ(changes_by(round_clock, conversation), "0");
}

}  // namespace
}  // namespace kvasir
