#include "gateway/api/template_variables.h"

#include <string>

#include <gtest/gtest.h>

#include "gateway/json/json.h"

namespace kvasir {
namespace {

using F = TemplateFeatures;

// The conversation of a chat request.
Conversation conversation_of(const std::string& body) {
  const auto value = parse_json(body);
  EXPECT_TRUE(value.ok()) << body;
  FieldReader fields(*value->as_object());
  Conversation conversation = read_openai_conversation(fields);
  EXPECT_TRUE(fields.ok()) << (fields.ok() ? "" : fields.error().message);
  return conversation;
}

std::string messages_for(const std::string& messages, const F& features) {
  const Value all = template_variables(conversation_of("{\"messages\":" + messages + "}"), features, "<s>", "</s>");
  return to_json(*all.find("messages"));
}

constexpr const char* kCall = R"([{"role":"user","content":"u"},
  {"role":"assistant","content":null,"tool_calls":[{"id":"call_Abc","type":"function",
   "function":{"name":"f","arguments":"{\"b\" : 1.0,\"a\":2}"}}]},
  {"role":"tool","tool_call_id":"call_Abc","content":[{"type":"text","text":"r1"},{"type":"text","text":"r2"}]}])";

TEST(TemplateVariables, ArgumentsAsAnObjectThatKeepsItsText) {
  const Value all = template_variables(conversation_of(std::string("{\"messages\":") + kCall + "}"),
                                       {.arguments = F::Arguments::object}, "<s>", "</s>");
  const Value& message = (*all.find("messages")->as_array())[1];
  const Value& call = message.find("tool_calls")->as_array()->front();
  const Value::Object* arguments = call.find("function")->find("arguments")->as_object();
  ASSERT_NE(arguments, nullptr);
  EXPECT_EQ(*arguments->source, "{\"b\" : 1.0,\"a\":2}");
  EXPECT_EQ(to_json(*message.find("content")), "\"\"");
  EXPECT_TRUE(all.find("tools")->is_null());
}

TEST(TemplateVariables, WhatTheTemplateUnderstands) {
  const std::string text = messages_for(kCall, {.arguments = F::Arguments::text, .null_content = true});
  EXPECT_NE(text.find(R"("content":null)"), std::string::npos);
  EXPECT_NE(text.find(R"("arguments":"{\"b\" : 1.0,\"a\":2}")"), std::string::npos);
  EXPECT_NE(text.find(R"("content":"r1\nr2","tool_call_id":"call_Abc")"), std::string::npos);
  EXPECT_NE(messages_for(kCall, {.result_names = true}).find(R"("name":"f","tool_call_id")"), std::string::npos);
  EXPECT_NE(messages_for(kCall, {.content = F::Content::parts}).find(R"("content":[{"type":"text","text":"u"}])"),
            std::string::npos);
}

TEST(TemplateVariables, IdsOfALengthStayTheSameIds) {
  const std::string text = messages_for(kCall, {.call_id_length = 9});
  const std::size_t at = text.find("\"id\":\"");
  ASSERT_NE(at, std::string::npos);
  const std::string id = text.substr(at + 6, text.find('"', at + 6) - at - 6);
  EXPECT_EQ(id.size(), 9u);
  EXPECT_NE(text.find("\"tool_call_id\":\"" + id + "\""), std::string::npos);
  EXPECT_EQ(text.find("call_Abc"), std::string::npos);
  EXPECT_EQ(text, messages_for(kCall, {.call_id_length = 9}));
}

TEST(TemplateVariables, ArgumentsThatAreNoObject) {
  const auto arguments = [](const std::string& given) {
    return messages_for(
        R"([{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f")" + given + "}}]}]",
        {});
  };
  EXPECT_NE(arguments(R"(,"arguments":"")").find(R"("arguments":{})"), std::string::npos);
  EXPECT_NE(arguments("").find(R"("arguments":{})"), std::string::npos);
  EXPECT_NE(arguments(R"(,"arguments":"{broken")").find(R"("arguments":"{broken")"), std::string::npos);
  EXPECT_NE(arguments(R"(,"arguments":{"a":1})").find(R"("arguments":{"a":1})"), std::string::npos);
}

TEST(TemplateVariables, ReasoningGoesWhereTheTemplateReadsIt) {
  constexpr const char* kThought = R"([{"role":"assistant","content":"c","reasoning_content":"r"}])";
  EXPECT_EQ(messages_for(kThought, {.reasoning_field = "thinking"}),
            R"([{"role":"assistant","content":"c","reasoning_content":"r","thinking":"r"}])");
  EXPECT_EQ(messages_for(kThought, {.thinking_parts = true}),
            R"([{"role":"assistant","content":[{"type":"thinking","thinking":"r"},{"type":"text","text":"c"}],)"
            R"("reasoning_content":"r"}])");
}

TEST(TemplateVariables, ToolsAndThinking) {
  const Conversation plain =
      conversation_of(R"({"messages":[{"role":"user","content":"u"}],"reasoning_effort":"none"})");
  const F features{.empty_tools_needed = true, .thinking_variable = "enable_thinking"};
  const Value all = template_variables(plain, features, "", "");
  EXPECT_EQ(to_json(*all.find("tools")), "[]");
  EXPECT_EQ(to_json(*all.find("enable_thinking")), "false");
  const Conversation with_tools = conversation_of(
      R"({"messages":[{"role":"user","content":"u"}],"tools":[{"type":"function","function":{"name":"f"}}]})");
  const Value more = template_variables(with_tools, {.tools_variable = "xml_tools"}, "", "");
  EXPECT_EQ(to_json(*more.find("xml_tools")), to_json(*more.find("tools")));
  EXPECT_EQ(more.find("enable_thinking"), nullptr);
}

}  // namespace
}  // namespace kvasir
