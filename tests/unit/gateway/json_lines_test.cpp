#include "gateway/commands/json_lines.h"

#include <sstream>

#include <gtest/gtest.h>

namespace kvasir {
namespace {

Result<Value> echo(const Value::Object& request) {
  if (request.find("refuse")) return error(ErrorCode::invalid_argument, "no");
  return Value(request);
}

TEST(JsonLines, OneAnswerALineInOrder) {
  std::istringstream in("{\"a\":1.50}\n{\"b\":[]}");
  std::ostringstream out;
  EXPECT_TRUE(answer_json_lines(in, out, echo));
  EXPECT_EQ(out.str(), "{\"a\":1.50}\n{\"b\":[]}\n");
}

TEST(JsonLines, BadLinesGetAnErrorAndTheRunGoesOn) {
  std::istringstream in("nonsense\n[1]\n{\"refuse\":1}\n\n{\"a\":2}\n");
  std::ostringstream out;
  EXPECT_FALSE(answer_json_lines(in, out, echo));
  EXPECT_EQ(out.str(),
            "{\"error\":\"invalid JSON at byte 0: not JSON here\"}\n"
            "{\"error\":\"each line must be a JSON object\"}\n"
            "{\"error\":\"no\"}\n"
            "{\"error\":\"invalid JSON at byte 0: the text ends inside a value\"}\n"
            "{\"a\":2}\n");
}

}  // namespace
}  // namespace kvasir
