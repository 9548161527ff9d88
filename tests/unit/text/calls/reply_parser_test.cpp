// Rules of replies: white space, reasoning, malformed calls, bounds.
#include <chrono>

#include <gtest/gtest.h>

#include "gateway/json/json.h"
#include "tests/support/parsed_reply.h"
#include "tests/unit/text/calls/offered_tools.h"

namespace kvasir {
namespace {

using testing::offered_tools;
using testing::parse_cut;
using testing::ParsedReply;
using testing::random_cuts;
using Calls = std::vector<std::pair<std::string, std::string>>;

// Checks the cuts too.
ParsedReply parse(const ReplyFormat& format, std::string_view text, bool in_reasoning = false) {
  const ReplyParser parser(format, offered_tools(), in_reasoning);
  const ParsedReply whole = parse_cut(parser, text, {});
  EXPECT_EQ(whole.all, text);
  for (std::size_t cut = 1; cut < std::min<std::size_t>(text.size(), 400); ++cut)
    EXPECT_EQ(parse_cut(parser, text, {cut}), whole) << cut << " of " << text;
  for (std::uint64_t seed = 1; seed < 5; ++seed)
    EXPECT_EQ(parse_cut(parser, text, random_cuts(text.size(), seed)), whole);
  return whole;
}

ReplyFormat qwen() { return default_reply_format(); }

ReplyFormat llama() {
  ReplyFormat format;
  CallNotation bare;
  bare.bare = true;
  bare.arguments_field = "parameters";
  CallNotation tagged = bare, code = bare;
  tagged.bare = code.bare = false;
  tagged.call_open = code.call_open = {"<|python_tag|>"};
  code.body = CallNotation::Body::python;
  format.calls = {bare, tagged, code};
  return format;
}

ReplyFormat coder() {
  ReplyFormat format;
  CallNotation notation;
  notation.body = CallNotation::Body::parameters;
  notation.call_open = {"<tool_call>", "<function="};
  notation.call_close = {"</function>", "</tool_call>"};
  notation.header_end = ">";
  notation.parameter_open = "<parameter=";
  notation.key_end = ">";
  notation.value_close = "</parameter>";
  notation.value_lines = true;
  format.calls = {notation};
  return format;
}

TEST(ReplyParser, PlainTextStaysAsItIs) {
  for (const std::string text : {"", "Hello.", "  two spaces\n\nand lines \n", "a < b, <tool> and <tool_call", "\n"})
    EXPECT_EQ(parse(qwen(), text).content, text);
}

TEST(ReplyParser, ReasoningIsSplitOff) {
  const ParsedReply reply = parse(qwen(), "<think>\nTwo and two.\n\nFour.\n</think>\n\nIt is 4.\n");
  EXPECT_EQ(reply.reasoning, "Two and two.\n\nFour.");
  EXPECT_EQ(reply.content, "It is 4.\n");
  EXPECT_EQ(parse(qwen(), "Four.\n</think>\n\n4", true).reasoning, "Four.");
  EXPECT_EQ(parse(qwen(), "Four.\n</think>\n\n4", true).content, "4");
}

TEST(ReplyParser, ReasoningThatSaysNothingIsNone) {
  const ParsedReply reply = parse(qwen(), "<think>\n\n</think>\n\n  4");
  EXPECT_EQ(reply.reasoning, "");
  EXPECT_EQ(reply.content, "  4") << "spaces are the content's";
  EXPECT_EQ(parse(qwen(), "</think>4").content, "4") << "a reply may close what nobody opened";
}

TEST(ReplyParser, ReasoningThatNeverEndsIsReasoning) {
  EXPECT_EQ(parse(qwen(), "<think>hm </thi").reasoning, "hm </thi");
  EXPECT_EQ(parse(qwen(), "hm\n", true).reasoning, "hm\n");
}

TEST(ReplyParser, MarksInsideOfContentAreContent) {
  const std::string text = "Use <think> to think </think> aloud.";
  EXPECT_EQ(parse(qwen(), text).content, text);
}

TEST(ReplyParser, CallsInReasoningAreReasoning) {
  const std::string call = R"(<tool_call>{"name": "add", "arguments": {}}</tool_call>)";
  const ParsedReply reply = parse(qwen(), "<think>I write " + call + "</think>\n" + call);
  EXPECT_EQ(reply.reasoning, "I write " + call);
  EXPECT_EQ(reply.calls, (Calls{{"add", "{}"}}));
}

TEST(ReplyParser, ReasoningMayComeBetweenCalls) {
  const std::string call = R"(<tool_call>{"name": "add", "arguments": {}}</tool_call>)";
  const ParsedReply reply = parse(qwen(), "<think>one</think>" + call + "\n<think>two</think>\n" + call);
  EXPECT_EQ(reply.reasoning, "onetwo");
  EXPECT_EQ(reply.calls.size(), 2u);
}

TEST(ReplyParser, ArgumentsAreTheModelsBytes) {
  const std::string arguments = R"({ "city":"Z\u00fcrich",   "days": 1e0, "x": [ 1.50, -0, true ,null], "x": {} })";
  const ParsedReply reply =
      parse(qwen(), "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": " + arguments + "}\n</tool_call>\n");
  EXPECT_EQ(reply.calls, (Calls{{"get_weather", arguments}}));
  EXPECT_EQ(reply.content, "");
}

TEST(ReplyParser, EnvelopesInOtherForms) {
  const auto calls = [](const std::string& envelope) { return parse(qwen(), "<tool_call>" + envelope).calls; };
  const Calls add{{"add", R"({"n":1})"}};
  EXPECT_EQ(calls(R"({"arguments":{"n":1},"name":"add"})"), add) << "arguments first";
  EXPECT_EQ(calls(R"({"name":"add","parameters":{"n":1}})"), add);
  EXPECT_EQ(calls(R"({"type":"function","name":"add","id":7,"arguments":{"n":1}})"), add);
  EXPECT_EQ(calls(R"({"name":"add","arguments":"{\"n\":1}"})"), add) << "as text";
  EXPECT_EQ(calls(R"({"name":"add"})"), (Calls{{"add", "{}"}})) << "no arguments";
  EXPECT_EQ(calls(R"({"name":"add","arguments":null})"), (Calls{{"add", "{}"}}));
}

TEST(ReplyParser, WhatTheModelNamesACall) {
  const ParsedReply reply = parse(qwen(), R"(<tool_call>{"id": "c-1", "name": "add", "arguments": {}}</tool_call>)");
  EXPECT_EQ(reply.ids, std::vector<std::string>{"c-1"});
}

TEST(ReplyParser, MalformedCallsAreContent) {
  for (const std::string text :
       {R"(Look: <tool_call>{"name": "add", }</tool_call>)",
        R"(<tool_call>{"name": "nobody", "arguments": {}}</tool_call>)",
        R"(<tool_call>{name: "add", "arguments": {}}</tool_call>)", R"(<tool_call>add(1)</tool_call> done)",
        R"(<tool_call>{"arguments": {}}</tool_call>)", R"(<tool_call></tool_call>)", R"(<tool_call>[]</tool_call>)",
        R"(<tool_call>{"name": "add", "arguments": [1]}</tool_call>)",
        R"(<tool_call>{"name": "add", "arguments": "n"}</tool_call>)", R"( <tool_call>{"name": "a)",
        R"(<tool_call>{"name": 3, "arguments": {}}</tool_call>)",
        R"(<tool_call>{"name": "add", "name": "add", "arguments": {}}</tool_call>)"}) {
    const ParsedReply reply = parse(qwen(), text);
    EXPECT_TRUE(reply.calls.empty()) << text;
    std::string content = reply.content;
    if (!reply.broken.empty()) content = reply.broken.front() + content;  // whole answers take it back
    EXPECT_EQ(content, text);
  }
}

// A client of a stream has the arguments up to the break, then the rest as content.
TEST(ReplyParser, ACallThatBreaksAfterItsArgumentsBegan) {
  const ParsedReply reply = parse(qwen(), R"(Hm.<tool_call>{"name": "add", "arguments": {"n": x}}</tool_call> So.)");
  EXPECT_TRUE(reply.calls.empty());
  EXPECT_EQ(reply.broken, std::vector<std::string>{R"(<tool_call>{"name": "add", "arguments": {"n": )"});
  EXPECT_EQ(reply.content, "Hm.x}}</tool_call> So.");
  EXPECT_EQ(reply.stream, R"(Hm.[add:{"n": |x}}</tool_call> So.)");
}

TEST(ReplyParser, ACallThatBreaksAfterItsArguments) {
  const ParsedReply reply = parse(qwen(), R"(<tool_call>{"name": "add", "arguments": {"n": 1}}}</tool_call>)");
  EXPECT_TRUE(reply.calls.empty());
  EXPECT_EQ(reply.stream, R"([add:{"n": 1}|}}</tool_call>)");
}

TEST(ReplyParser, AnUnfinishedCallIsNone) {
  const ParsedReply reply = parse(qwen(), R"(<tool_call>{"name": "add", "arguments": {"n": 1)");
  EXPECT_TRUE(reply.calls.empty());
  EXPECT_EQ(reply.broken.size(), 1u);
  EXPECT_EQ(reply.stream, R"([add:{"n": 1|)");
}

TEST(ReplyParser, OnlyTheClosingMarkMayBeMissingAtTheEnd) {
  for (const std::string end : {"", "\n", "\n</tool", "</tool_call>"})
    EXPECT_EQ(parse(qwen(), R"(<tool_call>{"name": "add", "arguments": {"n": 1}})" + end).calls.size(), 1u) << end;
}

TEST(ReplyParser, ContentAfterAFailedCallMayHoldAnother) {
  const ParsedReply reply =
      parse(qwen(), R"(<tool_call> tags: <tool_call>{"name": "add", "arguments": {}}</tool_call> and text)");
  EXPECT_EQ(reply.content, "<tool_call> tags: and text") << "white space around a call is its marks'";
  EXPECT_EQ(reply.calls, (Calls{{"add", "{}"}}));
}

TEST(ReplyParser, ABareCallIsTheWholeReply) {
  const std::string call = R"({"name": "get_weather", "parameters": {"city": "x"}})";
  EXPECT_EQ(parse(llama(), call).calls, (Calls{{"get_weather", R"({"city": "x"})"}}));
  EXPECT_EQ(parse(llama(), "\n\n" + call + "; " + call).calls.size(), 2u);
  EXPECT_EQ(parse(llama(), "<|python_tag|>" + call).calls.size(), 1u);
  EXPECT_EQ(parse(llama(), "I call " + call).content, "I call " + call);
  for (const std::string json : {R"({"answer": {"name": "add"}})", R"({"name": "Bob", "age": 3})", R"([1, 2])",
                                 R"({"name": "add", "age": 3})", "{", "{}"})
    EXPECT_EQ(parse(llama(), json).content, json) << "JSON is an answer too";
}

TEST(ReplyParser, PythonCalls) {
  EXPECT_EQ(parse(llama(), "<|python_tag|>get_weather.call(city='a \"b\"', days=2)").calls,
            (Calls{{"get_weather", R"({"city": "a \"b\"", "days": 2})"}}));
  EXPECT_EQ(parse(llama(), "<|python_tag|>print(1)").content, "<|python_tag|>print(1)");
}

TEST(ReplyParser, ElementsBecomeJsonByTheSchema) {
  const auto call = [](const std::string& name, const std::string& value) {
    const std::string text = "<tool_call>\n<function=get_weather>\n<parameter=" + name + ">\n" + value +
                             "\n</parameter>\n</function>\n</tool_call>";
    const ParsedReply reply = parse(coder(), text);
    return reply.calls.empty() ? "none" : reply.calls[0].second;
  };
  EXPECT_EQ(call("city", "3"), R"({"city": "3"})");
  EXPECT_EQ(call("city", "\n two\nlines \"x\" \t<b>\\\n"), R"({"city": "\n two\nlines \"x\" \t<b>\\\n"})");
  EXPECT_EQ(call("days", "3"), R"({"days": 3})");
  EXPECT_EQ(call("days", "three"), R"({"days": "three"})");
  EXPECT_EQ(call("days", "{'a': [True, None, 'x']}"), R"({"days": {"a": [true, null, "x"]}})");
  EXPECT_EQ(call("note", "null"), R"({"note": null})");
  EXPECT_EQ(call("note", "nothing"), R"({"note": "nothing"})");
  EXPECT_EQ(call("other", "{\"a\":1.0}"), R"({"other": {"a":1.0}})");
  EXPECT_EQ(call("other", "word"), R"({"other": "word"})");
}

TEST(ReplyParser, ElementsThatBreak) {
  const std::string open = "<tool_call><function=get_weather>";
  const ParsedReply reply = parse(coder(), open + "<parameter=city>\nRome</parameter> or so");
  EXPECT_TRUE(reply.calls.empty());
  EXPECT_EQ(reply.broken, std::vector<std::string>{open + "<parameter=city>\nRome</parameter>"});
  EXPECT_EQ(reply.stream, R"([get_weather:{"city": "Rome"| or so)");
  EXPECT_EQ(parse(coder(), open + "<parameter=city>\nRome").stream, R"([get_weather:{"city": "Rome|)");
  EXPECT_EQ(parse(coder(), "<tool_call><function=nobody></function></tool_call>").content,
            "<tool_call><function=nobody></function></tool_call>");
}

TEST(ReplyParser, ElementsInCdata) {
  ReplyFormat format = coder();
  format.calls[0].cdata = true;
  const std::string text =
      "<tool_call><function=get_weather><parameter=city><![CDATA[a < \"b\"\n]]></parameter>"
      "<parameter=days>3</parameter></function></tool_call>";
  EXPECT_EQ(parse(format, text).calls, (Calls{{"get_weather", R"({"city": "a < \"b\"\n", "days": 3})"}}));
}

TEST(ReplyParser, WhiteSpaceThatTheTemplatePrintsBeforeTheContent) {
  ReplyFormat format = qwen();
  format.content_lead = " ";
  EXPECT_EQ(parse(format, " Hello.").content, "Hello.");
  EXPECT_EQ(parse(format, "  Hello.").content, " Hello.");
  EXPECT_EQ(parse(format, "Hello.").content, "Hello.");
}

TEST(ReplyParser, LongestMarkCounts) {
  ReplyFormat format = qwen();
  format.hidden = {"<a>", "<a><b>"};
  const ParsedReply reply = parse(format, "x<a><b>y<a>z");
  EXPECT_EQ(reply.content, "xyz");
}

TEST(ReplyParser, LineFeedsAfterAMarkGoWithItHoweverTheyCome) {
  ReplyFormat format = qwen();
  format.hidden = {"<a>"};
  const ReplyParser no_tools(format, nullptr, false);
  const std::string text = "x<a>\n\n\ny<a> \n<a>";
  const ParsedReply whole = parse_cut(no_tools, text, {});
  EXPECT_EQ(whole.content, "xy");
  EXPECT_EQ(whole.all, text);
  for (std::size_t cut = 1; cut < text.size(); ++cut) EXPECT_EQ(parse_cut(no_tools, text, {cut}), whole) << cut;
}

// The longest header that counts, cut inside of the mark that ends it.
TEST(ReplyParser, HeadersAreBoundedTheSameForAnyCut) {
  ReplyFormat format;
  CallNotation notation;
  notation.body = CallNotation::Body::json;
  notation.call_open = {"[CALL]"};
  notation.header_end = "[ARGS]";
  format.calls = {notation};
  for (const std::size_t header : {500u, 511u, 512u, 513u, 520u}) {
    const std::string text = "[CALL]add" + std::string(header - 3, ' ') + "[ARGS]{\"a\": 1, \"b\": 2}";
    const ReplyParser parser(format, offered_tools(), false);
    const ParsedReply whole = parse_cut(parser, text, {});
    EXPECT_EQ(whole.calls.size(), header <= 512 ? 1u : 0u) << header;
    EXPECT_EQ(whole.all, text);
    for (std::size_t cut = 1; cut < text.size(); ++cut)
      EXPECT_EQ(parse_cut(parser, text, {cut}), whole) << cut << " at " << header;
  }
}

TEST(ReplyParser, ControlTokensThatAreMarks) {
  const ReplyFormat format = qwen();
  const ReplyParser with(format, offered_tools(), false), without(format, nullptr, false);
  EXPECT_TRUE(with.shows("<tool_call>"));
  EXPECT_FALSE(without.shows("<tool_call>"));
  EXPECT_TRUE(without.shows("</think>"));
  EXPECT_FALSE(with.shows("<|im_end|>"));
  EXPECT_FALSE(with.shows(""));
}

// What a hostile reply can make the parser do is bounded by its length.
TEST(ReplyParser, LinearInAnyText) {
  const auto repeat = [](std::string_view text) {
    std::string all;
    while (all.size() < 400'000) all += text;
    return all;
  };
  const ReplyFormat format = qwen();
  const auto start = std::chrono::steady_clock::now();
  for (const std::string& text :
       {repeat("<tool_call>"), repeat("<"), repeat("<tool_call>{\"a\":\""), repeat(" \n"), repeat("<think>"),
        "<tool_call>{\"name\":\"add\",\"arguments\":" + repeat("["),
        "<tool_call>{\"arguments\":{\"x\":\"" + repeat("a"),
        "<tool_call>" + repeat("{\"name\":\"add\",\"arguments\":{}},"), "<think>" + repeat("\n")}) {
    const ReplyParser parser(format, offered_tools(), false);
    EXPECT_EQ(parse_cut(parser, text, {}).all.size(), text.size());
    EXPECT_EQ(parse_cut(parser, text, random_cuts(text.size(), 1, 5)).all.size(), text.size());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

}  // namespace
}  // namespace kvasir
