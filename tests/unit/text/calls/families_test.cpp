// Every family: its template shows its notation, and a reply in it is parsed the same however it is cut.
#include "tests/unit/text/calls/families.h"

#include <gtest/gtest.h>

#include "engine/text/calls/reply_format.h"
#include "gateway/json/json.h"
#include "tests/support/parsed_reply.h"
#include "tests/unit/text/calls/offered_tools.h"

namespace kvasir {
namespace {

using testing::FamilyCase;
using testing::kFamilies;
using testing::offered_tools;
using testing::parse_cut;
using testing::ParsedReply;
using testing::random_cuts;

ReplyFormat format_of(const std::string& source) {
  const auto compiled = ChatTemplate::compile(source);
  EXPECT_TRUE(compiled.ok()) << compiled.error().message << "\n" << source;
  return compiled ? detect_reply_format(**compiled, source, "<s>", "</s>") : default_reply_format();
}

std::string compact(const std::string& json) {
  const Result<Value> value = parse_json(json);
  return value ? to_json(*value) : "no JSON: " + json;
}

class Families : public ::testing::TestWithParam<FamilyCase> {};

TEST_P(Families, BothCallsAndTheContent) {
  const ReplyFormat format = format_of(GetParam().source);
  const ParsedReply reply = parse_cut(ReplyParser(format, offered_tools(), false), GetParam().reply, {});
  EXPECT_EQ(reply.content, "Look.") << format.describe();
  ASSERT_EQ(reply.calls.size(), 2u) << format.describe();
  EXPECT_EQ(reply.calls[0].first, "get_weather");
  EXPECT_EQ(compact(reply.calls[0].second), R"({"city":"Zürich"})");
  EXPECT_EQ(reply.calls[1].first, "add");
  EXPECT_EQ(compact(reply.calls[1].second), R"({"n":3,"of":[1,{"a":null}]})");
  EXPECT_EQ(reply.all, GetParam().reply);
  EXPECT_TRUE(reply.broken.empty());
}

TEST_P(Families, EveryCutGivesTheSame) {
  const ReplyFormat format = format_of(GetParam().source);
  const std::string_view text = GetParam().reply;
  const ReplyParser parser(format, offered_tools(), false);
  const ParsedReply whole = parse_cut(parser, text, {});
  for (std::size_t cut = 1; cut < text.size(); ++cut) EXPECT_EQ(parse_cut(parser, text, {cut}), whole) << cut;
  for (std::uint64_t seed = 1; seed < 30; ++seed)
    EXPECT_EQ(parse_cut(parser, text, random_cuts(text.size(), seed)), whole) << seed;
  EXPECT_EQ(parse_cut(parser, text, random_cuts(text.size(), 1, 1)), whole);
}

// Wherever the reply ends, nothing is lost, cuts make no difference, and no call is made up.
TEST_P(Families, EveryBeginningIsKeptWhole) {
  const ReplyFormat format = format_of(GetParam().source);
  const ReplyParser parser(format, offered_tools(), false);
  const ParsedReply whole = parse_cut(parser, GetParam().reply, {});
  for (std::size_t bytes = 0; bytes < GetParam().reply.size(); ++bytes) {
    const std::string_view text = GetParam().reply.substr(0, bytes);
    const ParsedReply reply = parse_cut(parser, text, {});
    EXPECT_EQ(reply.all, text);
    ASSERT_LE(reply.calls.size(), 2u);
    for (std::size_t i = 0; i < reply.calls.size(); ++i) EXPECT_EQ(reply.calls[i], whole.calls[i]) << text;
    EXPECT_EQ(parse_cut(parser, text, random_cuts(bytes, bytes + 1)), reply) << text;
  }
}

TEST_P(Families, WithoutToolsItIsAllContent) {
  const ReplyFormat format = format_of(GetParam().source);
  const ParsedReply reply = parse_cut(ReplyParser(format, nullptr, false), GetParam().reply, {});
  EXPECT_TRUE(reply.calls.empty());
  EXPECT_TRUE(reply.broken.empty());
  EXPECT_EQ(reply.all, GetParam().reply);
  EXPECT_NE(reply.content.find("Zürich"), std::string::npos);
}

TEST_P(Families, ToolsThatWereNotOfferedAreContent) {
  const ReplyFormat format = format_of(GetParam().source);
  const auto other = std::make_shared<const ToolSchemas>(Value::Array{testing::tool("other", {})});
  const ParsedReply reply = parse_cut(ReplyParser(format, other, false), GetParam().reply, {});
  EXPECT_TRUE(reply.calls.empty());
  EXPECT_TRUE(reply.broken.empty());
  EXPECT_EQ(reply.all, GetParam().reply);
  for (const char* word : {"get_weather", "Zürich", "add"})
    EXPECT_NE(reply.content.find(word), std::string::npos) << reply.content;
}

INSTANTIATE_TEST_SUITE_P(Calls, Families, ::testing::ValuesIn(kFamilies), [](const auto& family) {
  std::string name;
  for (const char c : family.param.name)
    if (std::isalnum(static_cast<unsigned char>(c))) name += c;
  return name;
});

}  // namespace
}  // namespace kvasir
