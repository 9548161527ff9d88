#include "gateway/canonical/volatile_spans.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

namespace kvasir {
namespace {

// What is volatile in the text: "time=10:00|date=...".
std::string volatile_in(std::string_view text) {
  std::string out;
  for (const Span& span : find_spans(text))
    if (span.is_volatile)
      out += (out.empty() ? "" : "|") + std::string(to_string(span.kind)) + "=" + std::string(span.of(text));
  return out;
}

struct Line {
  const char* text;
  const char* found;
};

// What clients put into the heads of prompts.
TEST(VolatileSpans, OfThisRequest) {
  const Line lines[] = {
      {"The current time is 2024-05-15 15:00:00 EST.", "time=2024-05-15 15:00:00 EST"},
      {"Today's date: 2026-07-26", "date=2026-07-26"},
      {"Today's date is Sunday, July 26, 2026.", "date=Sunday, July 26, 2026"},
      {"It is now 26 July 2026, 10:00", "time=26 July 2026, 10:00"},
      {"Current date: 7/26/2026, 9:05:11 PM (UTC)", "time=7/26/2026, 9:05:11 PM (UTC)"},
      {"Date: Tue, 17 Feb 2026 23:46:27 GMT", "time=Tue, 17 Feb 2026 23:46:27 GMT"},
      {"<current_datetime>2026-07-26T10:00:00.123+02:00</current_datetime>", "time=2026-07-26T10:00:00.123+02:00"},
      {"Sun Jul 26 10:00:00 UTC 2026", "time=Sun Jul 26 10:00:00 UTC 2026"},
      {"**Current time:** 10:42 AM PDT", "time=10:42 AM PDT"},
      {"today is the 26th: 2026/07/26", "date=2026/07/26"},
      {"As of May 3rd, 2026 there are", "date=May 3rd, 2026"},
      {"{\"timestamp\": 1764196886}", "time=1764196886"},
      {"t-1764196886123-x", "time=1764196886123"},
      {"Working directory: /proj/a b/c", "path=/proj/a"},
      {"Working directory: '/proj/a b/c'.", "path=/proj/a b/c"},
      {"<cwd>/srv/app</cwd>", "path=/srv/app"},
      {"cwd=~/src/x, shell=zsh", "path=~/src/x"},
      {"Current Workspace Directory (C:\\proj\\a\\x)", "path=C:\\proj\\a\\x"},
      {"pwd is /srv/app. Then cd /srv/app/src and /srv/apple", "path=/srv/app|path=/srv/app"},
      {"trace 82d1c33a-3015-4a2e-a4e4-210e901e89f9!", "uuid=82d1c33a-3015-4a2e-a4e4-210e901e89f9"},
      {"after call_HGn16KZh9oNCruxsMJ4gYXan came", "id=call_HGn16KZh9oNCruxsMJ4gYXan"},
      {"Session ID: 7f3a99", "id=7f3a99"},
      {"request_id=\"req-20b-77\"", "id=req-20b-77"},
      {"<total_tokens>12,345 tokens left</total_tokens>", "count=12,345"},
      {"Token usage: 39454/1000000; 960546 remaining", "count=39454|count=960546"},
  };
  for (const Line& line : lines) EXPECT_EQ(volatile_in(line.text), line.found) << line.text;
}

// What looks like it and is part of what the prompt says.
TEST(VolatileSpans, NotOfThisRequest) {
  for (const char* text : {"Knowledge cutoff: 2024-06-01",
                           "Your knowledge cut-off date is June 1, 2024.",
                           "API version 2023-05-31",
                           "The store opens at 10:00 and closes at 18:30.",
                           "released May 23, 2019",
                           "departs on May 20, 2024 at 10:00 PM EST",
                           "{\"date\": \"2024-05-26\", \"price\": 200}",
                           "{\\\"time\\\": \\\"10:00\\\"}",
                           "read /etc/hosts and /usr/lib",
                           "changes in the working directory; see /etc",
                           "call_back_function_2",
                           "msg_type and req_id fields",
                           "phone 1764196886",
                           "at most 4096 tokens",
                           "a ratio of 16:9",
                           "1.2.2026.4",
                           "section 12:345",
                           "2024-13-45",
                           "May 2024",
                           "deadbeef-dead-beef-dead-beefdeadbee",
                           "id: 12",
                           "We may 26 July",
                           "the session id is secret"})
    EXPECT_EQ(volatile_in(text), "") << text;
}

TEST(VolatileSpans, CuesAreOfTheSameLineAndBehindTheSpanBefore) {
  EXPECT_EQ(volatile_in("Today:\n2026-07-26"), "");
  EXPECT_EQ(volatile_in("Today is 2026-07-26, founded 2001-01-01"), "date=2026-07-26");
  EXPECT_EQ(volatile_in("Today is [date 1], founded 2001-01-01"), "");
}

TEST(VolatileSpans, SpansAreInOrderAndApart) {
  const std::string text = "now 2026-07-26 10:00:00 2026-07-26 10:00:00/tmp 82d1c33a-3015-4a2e-a4e4-210e901e89f9";
  std::size_t end = 0;
  for (const Span& span : find_spans(text)) {
    EXPECT_GE(span.begin, end);
    EXPECT_GT(span.size, 0u);
    end = span.begin + span.size;
  }
  EXPECT_LE(end, text.size());
}

// Time in proportion to the text, whatever the text: 4 times the text takes 4 times as long, not 16 times. The bound is
// far above what it takes (about 0.1 s a megabyte at worst in a build without optimization).
TEST(VolatileSpans, HostileTextTakesLinearTime) {
  const char* pieces[] = {"/",         "~/",       "call_a-",  "1",      "1:",           "1764196886123",
                          "aaaaaaaa-", "Sunday, ", "cwd: /a/", "today ", "[date 1]",     "session id: ",
                          "0000-",     "May 1 ",   "x-",       "1,",     " tokens left", "\"",
                          "cwd:/a ",   "]1]"};
  for (const char* piece : pieces) {
    std::string text;
    while (text.size() < 500'000) text += piece;
    const auto start = std::chrono::steady_clock::now();
    find_spans(text);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    EXPECT_LT(taken.count(), 10.0) << piece;
  }
}

}  // namespace
}  // namespace kvasir
