// Tool calls and reasoning on their way through a generation: what clients get, whole and streamed.
#include <set>

#include <gtest/gtest.h>

#include "gateway/api/openai_answers.h"
#include "gateway/generation.h"
#include "tests/unit/gateway/fakes.h"

namespace kvasir {
namespace {

using testing::json_of;
using testing::ManualEngine;

const std::string kCall = R"(<tool_call>
{"name": "f", "arguments": {"a":1,  "b": "x"}}
</tool_call>)";
const std::string kBroken = R"(<tool_call>{"name": "f", "arguments": {"a": oops}}</tool_call>)";

class ToolCallsTest : public ::testing::Test {
 protected:
  ToolCallsTest() : model_(testing::model_without_engine("m")) {
    auto engine = std::make_unique<ManualEngine>();
    engine_ = engine.get();
    model_->engine = std::move(engine);
    model_->reply_format = default_reply_format();
  }

  GenerationPlan plan(bool stream) {
    GenerationPlan p;
    p.model = model_.get();
    p.head = {.id = "chatcmpl-1", .model = "m", .system_fingerprint = "fp", .created = 17};
    p.format = make_chat_format();
    p.prompts.push_back({{1, 2, 3, 4}, {}});
    p.stream = stream;
    p.reply.format = &model_->reply_format;
    p.reply.tools = std::make_shared<const ToolSchemas>(*json_of(R"([{"function": {"name": "f"}}])").as_array());
    p.reply.id_seed = 7;
    p.calls = &memory_;
    return p;
  }

  // Every token is a byte, and each is a step of its own.
  std::string run(GenerationPlan p, const std::string& reply, FinishReason reason = FinishReason::stop) {
    const std::uint32_t n = p.n;
    generation_.reset();
    engine_->calls.clear();
    generation_ = std::make_unique<Generation>(std::move(p), metrics_);
    generation_->start([] {});
    std::string out;
    for (std::uint32_t i = 0; i < n; ++i) engine_->admit(i, 0, 0);
    for (const char c : reply) {
      for (std::uint32_t i = 0; i < n; ++i)
        if (!engine_->calls[i].cancelled) engine_->say(i, std::string_view(&c, 1));
      const Generation::Output now = generation_->step(Clock::now());
      out += now.events;
      if (now.done) return now.response ? now.response->body : out;
    }
    for (std::uint32_t i = 0; i < n; ++i) engine_->finish(i, reason);
    const Generation::Output last = generation_->step(Clock::now());
    return last.response ? last.response->body : out + last.events;
  }
  Value whole(const std::string& reply, FinishReason reason = FinishReason::stop) {
    return (*json_of(run(plan(false), reply, reason)).find("choices")->as_array())[0];
  }

  // What a client puts together from a stream's deltas, one choice.
  struct Streamed {
    std::string content, reasoning, finish, role;
    std::vector<ToolCallDelta> calls;
    int first_parts = 0;
  };
  static Streamed put_together(const std::string& sse) {
    Streamed all;
    for (std::size_t at = 0, end = 0; (end = sse.find("\n\n", at)) != std::string::npos; at = end + 2) {
      const std::string data = sse.substr(at + 6, end - at - 6);
      if (data == "[DONE]") break;
      const Value event = json_of(data);
      const Value& choice = (*event.find("choices")->as_array())[0];
      if (const Value* finish = choice.find("finish_reason"); finish->as_string()) all.finish = *finish->as_string();
      add(all, *choice.find("delta"));
    }
    return all;
  }
  static void add(Streamed& all, const Value& delta) {
    if (const Value* role = delta.find("role")) all.role += *role->as_string();
    if (const Value* content = delta.find("content")) all.content += *content->as_string();
    if (const Value* reasoning = delta.find("reasoning_content")) all.reasoning += *reasoning->as_string();
    const Value* calls = delta.find("tool_calls");
    if (!calls) return;
    EXPECT_EQ(calls->as_array()->size(), 1u);
    const Value& call = (*calls->as_array())[0];
    const auto index = static_cast<std::size_t>(*integer_of(*call.find("index")));
    if (const Value* id = call.find("id")) {
      EXPECT_EQ(index, all.calls.size()) << "calls come in order";
      EXPECT_EQ(*call.find("type")->as_string(), "function");
      EXPECT_EQ(*call.find("function")->find("arguments")->as_string(), "");
      all.calls.push_back({0, *id->as_string(), *call.find("function")->find("name")->as_string(), {}});
      ++all.first_parts;
    }
    ASSERT_LT(index, all.calls.size());
    all.calls[index].arguments += *call.find("function")->find("arguments")->as_string();
  }

  Metrics metrics_;
  CallMemory memory_;
  std::unique_ptr<Model> model_;
  ManualEngine* engine_ = nullptr;
  std::unique_ptr<Generation> generation_;
};

TEST_F(ToolCallsTest, WholeAnswer) {
  const Value choice = whole("<think>\nhm\n</think>\n\n" + kCall);
  EXPECT_EQ(*choice.find("finish_reason")->as_string(), "tool_calls");
  const Value& message = *choice.find("message");
  EXPECT_TRUE(message.find("content")->is_null());
  EXPECT_EQ(*message.find("reasoning_content")->as_string(), "hm");
  const Value& call = (*message.find("tool_calls")->as_array())[0];
  EXPECT_EQ(call.find("id")->as_string()->size(), 29u);
  EXPECT_TRUE(call.find("id")->as_string()->starts_with("call_"));
  EXPECT_EQ(*call.find("type")->as_string(), "function");
  EXPECT_EQ(call.find("index"), nullptr);
  EXPECT_EQ(to_json(*call.find("function")), R"({"name":"f","arguments":"{\"a\":1,  \"b\": \"x\"}"})");
}

TEST_F(ToolCallsTest, StreamSaysTheSame) {
  const Streamed all = put_together(run(plan(true), "<think>\nhm\n</think>\n\nSo: " + kCall + "\n" + kCall));
  EXPECT_EQ(all.role, "assistant");
  EXPECT_EQ(all.content, "So:");
  EXPECT_EQ(all.reasoning, "hm");
  EXPECT_EQ(all.finish, "tool_calls");
  ASSERT_EQ(all.calls.size(), 2u);
  EXPECT_EQ(all.first_parts, 2);
  EXPECT_NE(all.calls[0].id, all.calls[1].id);
  for (const ToolCallDelta& call : all.calls) {
    EXPECT_EQ(call.name, "f");
    EXPECT_EQ(call.arguments, R"({"a":1,  "b": "x"})");
  }
}

TEST_F(ToolCallsTest, ArgumentsComeWhileTheyAreWritten) {
  const std::string sse = run(plan(true), kCall);
  EXPECT_GT(std::count(sse.begin(), sse.end(), '\n') / 2, 15) << "a delta for about each byte of the arguments";
}

TEST_F(ToolCallsTest, TheCacheHearsHowTheRequestEnded) {
  run(plan(true), kCall);
  EXPECT_TRUE(engine_->calls[0].request.tells_end);
  EXPECT_EQ(engine_->calls[0].told, RequestEnd::tool_use);
  run(plan(false), "no call");
  EXPECT_EQ(engine_->calls[0].told, RequestEnd::end_turn);
  run(plan(false), kBroken);
  EXPECT_EQ(engine_->calls[0].told, RequestEnd::end_turn);
  GenerationPlan one = plan(false);
  one.reply.parallel_calls = false;
  run(std::move(one), kCall + kCall);
  EXPECT_TRUE(engine_->calls[0].cancelled);
  EXPECT_EQ(engine_->calls[0].told, RequestEnd::tool_use) << "before it was cancelled";
}

TEST_F(ToolCallsTest, NoToolsNoCalls) {
  GenerationPlan p = plan(false);
  p.reply.tools = nullptr;
  const Value choice = (*json_of(run(std::move(p), kCall)).find("choices")->as_array())[0];
  EXPECT_EQ(*choice.find("message")->find("content")->as_string(), kCall);
  EXPECT_EQ(*choice.find("finish_reason")->as_string(), "stop");
  EXPECT_EQ(choice.find("message")->find("tool_calls"), nullptr);
}

TEST_F(ToolCallsTest, AMalformedCallIsContent) {
  const Value choice = whole("Hm. " + kBroken + " So.");
  EXPECT_EQ(*choice.find("message")->find("content")->as_string(), "Hm." + kBroken + " So.");
  EXPECT_EQ(choice.find("message")->find("tool_calls"), nullptr);
  EXPECT_EQ(*choice.find("finish_reason")->as_string(), "stop");
  const Streamed all = put_together(run(plan(true), kBroken + " So."));
  EXPECT_EQ(all.finish, "stop") << "no call is whole";
  ASSERT_EQ(all.calls.size(), 1u);
  EXPECT_EQ(all.calls[0].arguments + "|" + all.content, R"({"a": |oops}}</tool_call> So.)") << "nothing lost or twice";
}

TEST_F(ToolCallsTest, CutOffByTheLengthItIsContent) {
  const Value choice = whole(kCall.substr(0, 45), FinishReason::length);
  EXPECT_EQ(*choice.find("message")->find("content")->as_string(), kCall.substr(0, 45));
  EXPECT_EQ(*choice.find("finish_reason")->as_string(), "length");
  const Value late = whole(kCall + "more", FinishReason::length);
  EXPECT_EQ(*late.find("finish_reason")->as_string(), "length");
  EXPECT_EQ(late.find("message")->find("tool_calls")->as_array()->size(), 1u);
}

TEST_F(ToolCallsTest, OnlyOneCallWhenTheyMustNotBeParallel) {
  for (const bool stream : {false, true}) {
    GenerationPlan p = plan(stream);
    p.reply.parallel_calls = false;
    const std::string out = run(std::move(p), kCall + kCall);
    EXPECT_TRUE(engine_->calls[0].cancelled) << "nothing is generated for nobody";
    EXPECT_NE(out.find(R"("finish_reason":"tool_calls")"), std::string::npos);
    EXPECT_EQ(out.find("\"index\":1"), std::string::npos);
  }
}

TEST_F(ToolCallsTest, StopStringsAreOfTheContent) {
  GenerationPlan p = plan(false);
  p.stops = {"\n", "x"};
  const Value choice = (*json_of(run(std::move(p), "<think>\nx\n</think>\n" + kCall)).find("choices")->as_array())[0];
  EXPECT_EQ(*choice.find("finish_reason")->as_string(), "tool_calls");
  EXPECT_EQ(choice.find("message")->find("tool_calls")->as_array()->size(), 1u);
}

TEST_F(ToolCallsTest, ReasoningTokensAreCounted) {
  const Value body = json_of(run(plan(false), "<think>abc</think>d"));
  EXPECT_EQ(body.find("usage")->find("completion_tokens")->as_number()->text, "19");
  const auto reasoning = *integer_of(*body.find("usage")->find("completion_tokens_details")->find("reasoning_tokens"));
  EXPECT_GE(reasoning, 3);
  EXPECT_LT(reasoning, 13);
}

TEST_F(ToolCallsTest, LogprobsAreOfTheContent) {
  GenerationPlan p = plan(false);
  p.head.want_logprobs = true;
  const Value choice =
      (*json_of(run(std::move(p), "<think>abc</think>de" + kCall + "fg")).find("choices")->as_array())[0];
  std::string tokens;
  for (const Value& token : *choice.find("logprobs")->find("content")->as_array())
    tokens += *token.find("token")->as_string();
  EXPECT_EQ(tokens, "defg");
  EXPECT_EQ(*choice.find("message")->find("content")->as_string(), "defg");
}

TEST_F(ToolCallsTest, IdsOfManyChoicesDiffer) {
  GenerationPlan p = plan(false);
  p.n = 3;
  const Value body = json_of(run(std::move(p), kCall + kCall));
  std::set<std::string> ids;
  for (const Value& choice : *body.find("choices")->as_array())
    for (const Value& call : *choice.find("message")->find("tool_calls")->as_array())
      ids.insert(*call.find("id")->as_string());
  EXPECT_EQ(ids.size(), 6u);
}

TEST_F(ToolCallsTest, IdsAsTheModelWroteThem) {
  const std::string named = R"(<tool_call>{"id": "one", "name": "f", "arguments": {}}</tool_call>)";
  GenerationPlan p = plan(false);
  p.reply.used_ids = std::make_shared<const std::set<std::string>>(std::set<std::string>{"two"});
  const std::string twice = R"(<tool_call>{"id": "two", "name": "f", "arguments": {}}</tool_call>)";
  const Value choice = (*json_of(run(std::move(p), named + named + twice)).find("choices")->as_array())[0];
  const Value::Array& calls = *choice.find("message")->find("tool_calls")->as_array();
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_EQ(*calls[0].find("id")->as_string(), "one");
  EXPECT_TRUE(calls[1].find("id")->as_string()->starts_with("call_")) << "twice in this answer";
  EXPECT_TRUE(calls[2].find("id")->as_string()->starts_with("call_")) << "of an earlier turn";
}

TEST_F(ToolCallsTest, IdsOfTheLengthTheTemplateWants) {
  GenerationPlan p = plan(false);
  p.reply.id_length = 9;
  const Value choice = (*json_of(run(std::move(p), kCall)).find("choices")->as_array())[0];
  EXPECT_EQ((*choice.find("message")->find("tool_calls")->as_array())[0].find("id")->as_string()->size(), 9u);
}

TEST_F(ToolCallsTest, WholeCallsAreRemembered) {
  const Value choice = whole(kCall);
  const std::string id = *(*choice.find("message")->find("tool_calls")->as_array())[0].find("id")->as_string();
  EXPECT_EQ(memory_.arguments(Salt{}, id, "f"), R"({"a":1,  "b": "x"})");
  const std::size_t before = memory_.bytes();
  run(plan(true), kBroken);
  EXPECT_EQ(memory_.bytes(), before);
}

}  // namespace
}  // namespace kvasir
