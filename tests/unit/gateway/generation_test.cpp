#include "gateway/generation.h"

#include <gtest/gtest.h>

#include "gateway/api/openai_answers.h"
#include "tests/unit/gateway/fakes.h"

namespace kvasir {
namespace {

using testing::json_of;
using testing::ManualEngine;

// A generation over an engine that the test plays.
class GenerationTest : public ::testing::Test {
 protected:
  GenerationTest() : model_(testing::model_without_engine("m")) {
    auto engine = std::make_unique<ManualEngine>();
    engine_ = engine.get();
    model_->engine = std::move(engine);
  }

  GenerationPlan plan(bool stream) {
    GenerationPlan p;
    p.model = model_.get();
    p.head = {.id = "chatcmpl-1", .model = "m", .system_fingerprint = "fp", .created = 17};
    p.format = make_chat_format();
    p.prompts.push_back({{1, 2, 3, 4}, {}});
    p.stream = stream;
    p.tenant = "t";
    p.route = "/v1/chat/completions";
    p.arrived = Clock::now();
    return p;
  }
  void start(GenerationPlan p) {
    generation_ = std::make_unique<Generation>(std::move(p), metrics_);
    generation_->start([this] { ++wakeups_; });
  }
  Generation::Output step() { return generation_->step(Clock::now()); }

  // The JSON objects of the "data:" lines in `sse`; "[DONE]" is left out and reported.
  static std::vector<Value> events(const std::string& sse, bool* done = nullptr) {
    std::vector<Value> all;
    for (std::size_t at = 0; at < sse.size();) {
      const std::size_t end = sse.find("\n\n", at);
      EXPECT_NE(end, std::string::npos);
      const std::string line = sse.substr(at, end - at);
      EXPECT_EQ(line.substr(0, 6), "data: ");
      if (line == "data: [DONE]") {
        if (done) *done = true;
      } else {
        all.push_back(json_of(line.substr(6)));
      }
      at = end + 2;
    }
    return all;
  }
  static std::string text_of(const Value& body) {
    return *(*body.find("choices")->as_array())[0].find("message")->find("content")->as_string();
  }
  static const Value& choice_of(const Value& body, std::size_t i = 0) { return (*body.find("choices")->as_array())[i]; }

  Metrics metrics_;
  std::unique_ptr<Model> model_;
  ManualEngine* engine_ = nullptr;
  std::unique_ptr<Generation> generation_;
  int wakeups_ = 0;
};

TEST_F(GenerationTest, WholeAnswerHasTextUsageAndCacheStatus) {
  start(plan(false));
  EXPECT_FALSE(step().response);
  engine_->admit(0, 2, 1);
  engine_->say(0, "Hi");
  EXPECT_FALSE(step().response);
  engine_->say(0, "!");
  engine_->calls[0].listener->on_token({testing::ByteTokenizer::kEos, -0.1f, {}});
  engine_->finish(0, FinishReason::stop);
  const Generation::Output output = step();
  ASSERT_TRUE(output.response && output.done);
  const Value body = json_of(output.response->body);
  EXPECT_EQ(text_of(body), "Hi!");
  EXPECT_EQ(*choice_of(body).find("finish_reason")->as_string(), "stop");
  EXPECT_TRUE(choice_of(body).find("logprobs")->is_null());
  EXPECT_EQ(to_json(*body.find("usage")),
            R"({"prompt_tokens":4,"completion_tokens":4,"total_tokens":8,"prompt_tokens_details":{"cached_tokens":3},)"
            R"("completion_tokens_details":{"reasoning_tokens":0}})");
  EXPECT_EQ(output.response->headers[0].value, "kvasir; hit; detail=\"host=2 disk=1 computed=1\"");
  EXPECT_GT(wakeups_, 0);
}

TEST_F(GenerationTest, NoCachedTokensIsAMiss) {
  EXPECT_EQ(cache_status({.prompt_tokens = 5, .cached = {}, .computed = 5}),
            "kvasir; fwd=miss; detail=\"host=0 disk=0 computed=5\"");
}

TEST_F(GenerationTest, StreamHoldsTheHeadUntilAdmission) {
  start(plan(true));
  EXPECT_FALSE(step().head);
  engine_->admit(0, 0, 0);
  const Generation::Output output = step();
  ASSERT_TRUE(output.head);
  EXPECT_EQ(output.head->status, 200u);
  EXPECT_TRUE(output.events.empty());
}

TEST_F(GenerationTest, StreamSendsRoleTextFinishUsageAndDone) {
  GenerationPlan p = plan(true);
  p.head.include_usage = true;
  start(std::move(p));
  engine_->admit(0, 0, 0);
  engine_->say(0, "ab");
  std::string sse = step().events;
  engine_->say(0, "c");
  engine_->finish(0, FinishReason::length);
  const Generation::Output last = step();
  EXPECT_TRUE(last.done);
  EXPECT_FALSE(last.close);
  sse += last.events;
  bool done = false;
  const std::vector<Value> all = events(sse, &done);
  EXPECT_TRUE(done);
  ASSERT_EQ(all.size(), 5u);
  EXPECT_EQ(to_json(*choice_of(all[0]).find("delta")), R"({"role":"assistant","content":""})");
  EXPECT_EQ(to_json(*choice_of(all[1]).find("delta")), R"({"content":"ab"})");
  EXPECT_EQ(to_json(*choice_of(all[2]).find("delta")), R"({"content":"c"})");
  EXPECT_EQ(to_json(*choice_of(all[3]).find("delta")), "{}");
  EXPECT_EQ(*choice_of(all[3]).find("finish_reason")->as_string(), "length");
  EXPECT_TRUE(all[3].find("usage")->is_null());
  EXPECT_TRUE(all[4].find("choices")->as_array()->empty());
  EXPECT_EQ(*all[4].find("object")->as_string(), "chat.completion.chunk");
  EXPECT_NE(all[4].find("usage")->find("prompt_tokens_details"), nullptr);
}

TEST_F(GenerationTest, WithoutIncludeUsageNoEventHasUsage) {
  start(plan(true));
  engine_->admit(0, 0, 0);
  engine_->say(0, "a");
  engine_->finish(0, FinishReason::stop);
  for (const Value& event : events(step().events)) EXPECT_EQ(event.find("usage"), nullptr);
}

TEST_F(GenerationTest, StopStringEndsTheAnswerAndCancelsTheSequence) {
  GenerationPlan p = plan(false);
  p.stops = {"END"};
  p.head.want_logprobs = true;
  start(std::move(p));
  engine_->admit(0, 0, 0);
  engine_->say(0, "abEN");
  EXPECT_FALSE(step().response);
  engine_->say(0, "Dxyz");
  const Generation::Output output = step();
  ASSERT_TRUE(output.response);
  EXPECT_TRUE(engine_->calls[0].cancelled);
  const Value body = json_of(output.response->body);
  EXPECT_EQ(text_of(body), "ab");
  EXPECT_EQ(*choice_of(body).find("finish_reason")->as_string(), "stop");
  EXPECT_EQ(body.find("usage")->find("completion_tokens")->as_number()->text, "5");
  EXPECT_EQ(choice_of(body).find("logprobs")->find("content")->as_array()->size(), 2u);
}

TEST_F(GenerationTest, LogprobsComeWithTheirText) {
  GenerationPlan p = plan(true);
  p.head.want_logprobs = true;
  start(std::move(p));
  engine_->admit(0, 0, 0);
  engine_->say(0, "\xc3");  // half of a character: nothing to send yet
  EXPECT_TRUE(step().events.empty());
  engine_->say(0, "\xa9");
  const std::vector<Value> all = events(step().events);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(*choice_of(all[1]).find("delta")->find("content")->as_string(), "\xc3\xa9");
  const Value::Array& content = *choice_of(all[1]).find("logprobs")->find("content")->as_array();
  ASSERT_EQ(content.size(), 2u);
  EXPECT_EQ(to_json(*content[0].find("bytes")), "[195]");
  EXPECT_EQ(content[0].find("top_logprobs")->as_array()->size(), 2u);
  EXPECT_EQ(content[0].find("logprob")->as_number()->text, "-0.5");
}

TEST_F(GenerationTest, SeveralChoicesCountThePromptOnceAndHaveOwnSeeds) {
  GenerationPlan p = plan(false);
  p.n = 2;
  p.sampling.seed = 7;
  start(std::move(p));
  ASSERT_EQ(engine_->calls.size(), 2u);
  EXPECT_EQ(engine_->calls[0].request.sampling.seed, 7u);
  EXPECT_NE(engine_->calls[1].request.sampling.seed, 7u);
  engine_->admit(0, 0, 0);
  engine_->admit(1, 3, 0);
  engine_->say(1, "b");
  engine_->finish(1, FinishReason::stop);
  engine_->say(0, "aa");
  engine_->finish(0, FinishReason::length);
  const Value body = json_of(step().response->body);
  EXPECT_EQ(*choice_of(body, 0).find("message")->find("content")->as_string(), "aa");
  EXPECT_EQ(*choice_of(body, 1).find("message")->find("content")->as_string(), "b");
  EXPECT_EQ(to_json(*body.find("usage")),
            R"({"prompt_tokens":4,"completion_tokens":3,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0},)"
            R"("completion_tokens_details":{"reasoning_tokens":0}})");
}

TEST_F(GenerationTest, RefusalByTheEngineIsAProperStatusAlsoForStreams) {
  engine_->refuse_from = 1;
  GenerationPlan p = plan(true);
  p.n = 2;
  start(std::move(p));
  const Generation::Output output = step();
  ASSERT_TRUE(output.response && output.done);
  EXPECT_EQ(output.response->status, 429u);
  EXPECT_TRUE(engine_->calls[0].cancelled);
  EXPECT_EQ(*json_of(output.response->body).find("error")->find("code")->as_string(), "rate_limit_exceeded");
  bool has_retry = false;
  for (const HttpHeader& h : output.response->headers) has_retry = has_retry || h.name == "Retry-After";
  EXPECT_TRUE(has_retry);
}

TEST_F(GenerationTest, FailureBeforeTheHeadIsAStatusAndAfterItAnEvent) {
  start(plan(true));
  engine_->finish(0, FinishReason::failed, "deadline");
  EXPECT_EQ(step().response->status, 503u);

  start(plan(true));
  engine_->admit(1, 0, 0);
  engine_->say(1, "a");
  (void)step();
  engine_->finish(1, FinishReason::failed, "the engine stopped");
  const Generation::Output output = step();
  EXPECT_TRUE(output.done && output.close);
  const std::vector<Value> all = events(output.events);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(*all[0].find("error")->find("message")->as_string(), "the engine stopped");
}

TEST_F(GenerationTest, TheEngineKnowsLengthsAndCancelsByItself) {
  start(plan(false));
  engine_->admit(0, 0, 0);
  engine_->say(0, "Hi");
  engine_->finish(0, FinishReason::length);
  EXPECT_TRUE(step().response);
  EXPECT_FALSE(engine_->calls[0].told);
}

TEST_F(GenerationTest, CancelAndDestructionReachTheEngine) {
  start(plan(true));
  generation_->cancel(Clock::now());
  EXPECT_TRUE(engine_->calls[0].cancelled);
  start(plan(false));
  generation_.reset();
  EXPECT_TRUE(engine_->calls[1].cancelled);
  EXPECT_FALSE(engine_->say(1, "x"));           // nobody listens
  engine_->finish(1, FinishReason::cancelled);  // and this is ignored
}

TEST(TokenChannel, RefusesTokensPastItsBoundButNotTheEnd) {
  int wakeups = 0;
  auto channel = std::make_shared<TokenChannel>([&] { ++wakeups; }, 3);
  ChoiceListener listener(channel, 0);
  EXPECT_TRUE(listener.on_token({}));
  EXPECT_TRUE(listener.on_token({}));
  EXPECT_TRUE(listener.on_token({}));
  EXPECT_FALSE(listener.on_token({}));
  listener.on_finish({});
  EXPECT_EQ(wakeups, 1);
  EXPECT_EQ(channel->take().size(), 4u);
  EXPECT_TRUE(listener.on_token({}));
  EXPECT_EQ(wakeups, 2);
  channel->close();
  EXPECT_FALSE(listener.on_token({}));
  EXPECT_EQ(wakeups, 2);
}

TEST_F(GenerationTest, CompletionsFormatHasOffsetsAndEcho) {
  GenerationPlan p = plan(false);
  p.format = make_completions_format();
  p.head.want_logprobs = true;
  p.prompts[0].echo = "say: ";
  start(std::move(p));
  engine_->admit(0, 0, 0);
  engine_->say(0, "hi");
  engine_->finish(0, FinishReason::length);
  const Value body = json_of(step().response->body);
  EXPECT_EQ(*body.find("object")->as_string(), "text_completion");
  EXPECT_EQ(*choice_of(body).find("text")->as_string(), "say: hi");
  EXPECT_EQ(to_json(*choice_of(body).find("logprobs")),
            R"({"tokens":["h","i"],"token_logprobs":[-0.5,-0.5],"top_logprobs":[{"h":-0.5,"?":-1.5},)"
            R"({"i":-0.5,"?":-1.5}],"text_offset":[5,6]})");
}

}  // namespace
}  // namespace kvasir
