#include <string>

#include <gtest/gtest.h>

#include "gateway/api/openai_chat.h"
#include "gateway/api/openai_completions.h"
#include "gateway/api/template_variables.h"
#include "tests/unit/gateway/fakes.h"

namespace kvasir {
namespace {

using testing::json_of;

const LimitsConfig kLimits;

Result<ChatRequest> chat_with(const std::string& members) {
  return parse_chat_request(json_of(R"({"model":"m","messages":[{"role":"user","content":"hi"}])" +
                                    (members.empty() ? "" : "," + members) + "}"),
                            kLimits);
}
Result<ChatRequest> chat_of(const std::string& messages) {
  return parse_chat_request(json_of(R"({"model":"m","messages":)" + messages + "}"), kLimits);
}
Result<CompletionRequest> completion_with(const std::string& members) {
  return parse_completion_request(json_of(R"({"model":"m",)" + members + "}"), kLimits);
}

struct Bad {
  const char* members;
  const char* param;
};

TEST(ChatRequest, RefusesWrongTypesAndRangesByName) {
  const Bad cases[] = {
      {R"("temperature":2.1)", "temperature"},
      {R"("temperature":-0.1)", "temperature"},
      {R"("temperature":"hot")", "temperature"},
      {R"("top_p":1.5)", "top_p"},
      {R"("top_p":true)", "top_p"},
      {R"("min_p":-1)", "min_p"},
      {R"("top_k":-2)", "top_k"},
      {R"("top_k":1.5)", "top_k"},
      {R"("presence_penalty":3)", "presence_penalty"},
      {R"("frequency_penalty":-2.5)", "frequency_penalty"},
      {R"("repetition_penalty":0)", "repetition_penalty"},
      {R"("n":0)", "n"},
      {R"("n":17)", "n"},
      {R"("n":"2")", "n"},
      {R"("max_tokens":0)", "max_tokens"},
      {R"("max_tokens":-5)", "max_tokens"},
      {R"("max_tokens":1e30)", "max_tokens"},
      {R"("max_completion_tokens":0)", "max_completion_tokens"},
      {R"("seed":1.5)", "seed"},
      {R"("seed":9223372036854775808)", "seed"},
      {R"("stop":5)", "stop"},
      {R"("stop":["a","b","c","d","e"])", "stop"},
      {R"("stop":[""])", "stop"},
      {R"("stop":[1])", "stop"},
      {R"("stream":"yes")", "stream"},
      {R"("stream_options":{"include_usage":true})", "stream_options"},
      {R"("stream":true,"stream_options":5)", "stream_options"},
      {R"("stream":true,"stream_options":{"include_usage":1})", "stream_options"},
      {R"("logprobs":3)", "logprobs"},
      {R"("top_logprobs":2)", "top_logprobs"},
      {R"("logprobs":true,"top_logprobs":21)", "top_logprobs"},
      {R"("logit_bias":[])", "logit_bias"},
      {R"("logit_bias":{"a":1})", "logit_bias"},
      {R"("logit_bias":{"5":101})", "logit_bias"},
      {R"("logit_bias":{"-5":1})", "logit_bias"},
      {R"("response_format":{"type":"json_object"})", "response_format"},
      {R"("response_format":{"type":"json_schema","json_schema":{}})", "response_format"},
      {R"("response_format":5)", "response_format"},
      {R"("tools":5)", "tools"},
      {R"("tools":[{"type":"function"}])", "tools"},
      {R"("tools":[{"type":"function","function":{"name":"a b"}}])", "tools"},
      {R"("tool_choice":"required")", "tool_choice"},
      {R"("modalities":["audio"])", "modalities"},
      {R"("audio":{})", "audio"},
      {R"("functions":[])", "functions"},
      {R"("chat_template_kwargs":5)", "chat_template_kwargs"},
      {R"("chat_template_kwargs":{"messages":[]})", "chat_template_kwargs"},
      {R"("cache_salt":5)", "cache_salt"},
      {R"("ignore_eos":1)", "ignore_eos"},
  };
  for (const Bad& bad : cases) {
    const Result<ChatRequest> request = chat_with(bad.members);
    ASSERT_FALSE(request.ok()) << bad.members;
    EXPECT_EQ(request.error().param, bad.param) << bad.members;
    EXPECT_NE(request.error().message.find(bad.param), std::string::npos) << request.error().message;
    EXPECT_EQ(request.error().code, ErrorCode::invalid_argument);
  }
}

TEST(ChatRequest, RefusesWrongMessagesByTheirPath) {
  const Bad cases[] = {
      {"[]", "messages"},
      {"5", "messages"},
      {"null", "messages"},
      {"[5]", "messages[0]"},
      {R"([{"content":"a"}])", "messages[0].role"},
      {R"([{"role":"boss","content":"a"}])", "messages[0].role"},
      {R"([{"role":"user"}])", "messages[0].content"},
      {R"([{"role":"user","content":5}])", "messages[0].content"},
      {R"([{"role":"user","content":null}])", "messages[0].content"},
      {R"([{"role":"user","content":"a"},{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}])",
       "messages[1].content"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content"},
      {R"([{"role":"user","content":["a"]}])", "messages[0].content"},
      {R"([{"role":"assistant"}])", "messages[0].content"},
      {R"([{"role":"assistant","content":null,"tool_calls":[{}]}])", "messages[0].tool_calls"},
      {R"([{"role":"tool","content":"a"}])", "messages[0].tool_call_id"},
      {R"([{"role":"user","content":"a","name":5}])", "messages[0].name"},
  };
  for (const Bad& bad : cases) {
    const Result<ChatRequest> request = chat_of(bad.members);
    ASSERT_FALSE(request.ok()) << bad.members;
    EXPECT_EQ(request.error().param, bad.param) << bad.members;
  }
}

TEST(ChatRequest, ReadsAllThatItKnows) {
  const Result<ChatRequest> request = chat_with(
      R"("temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.1,"presence_penalty":1,
         "frequency_penalty":-1,"repetition_penalty":1.1,
         "n":2,"max_tokens":7,"seed":-3,"stop":["a","b"],"stream":true,"stream_options":{"include_usage":true},
         "logprobs":true,
         "top_logprobs":5,"logit_bias":{"12":-100,"7":3.5},"cache_salt":"s","user":"u","metadata":{},"store":false,
         "what":"ever",
         "chat_template_kwargs":{"enable_thinking":false},"reasoning_effort":"low",
         "response_format":{"type":"text"},"tool_choice":"auto")");
  ASSERT_TRUE(request.ok()) << request.error().message;
  const GenerationOptions& options = request->options;
  EXPECT_EQ(options.sampling.temperature, 0.5f);
  EXPECT_EQ(options.sampling.top_k, 40);
  EXPECT_EQ(options.sampling.seed, static_cast<std::uint64_t>(-3));
  EXPECT_TRUE(options.has_seed && options.stream && options.include_usage && options.sampling.want_logprobs);
  EXPECT_EQ(options.sampling.logprobs, 5u);
  ASSERT_EQ(options.sampling.logit_bias.size(), 2u);
  EXPECT_EQ(options.sampling.logit_bias[0], std::pair(12, -100.0f));
  EXPECT_EQ(options.n, 2u);
  EXPECT_EQ(options.max_tokens, 7u);
  EXPECT_EQ(options.stops, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(options.cache_salt, "s");
  EXPECT_NE(request->conversation.template_variables.find("enable_thinking"), nullptr);
}

TEST(ChatRequest, NullMeansAbsent) {
  const Result<ChatRequest> request = chat_with(
      R"("temperature":null,"stop":null,"max_tokens":null,"tools":null,"stream_options":null,"logit_bias":null)");
  ASSERT_TRUE(request.ok()) << request.error().message;
  EXPECT_EQ(request->options.sampling.temperature, 1.0f);
  EXPECT_FALSE(request->options.max_tokens.has_value());
}

TEST(ChatRequest, NewNameOfMaxTokensWins) {
  const Result<ChatRequest> request = chat_with(R"("max_tokens":5,"max_completion_tokens":9)");
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->options.max_tokens, 9u);
}

TEST(ChatRequest, PartsBecomeTextAndDeveloperBecomesSystem) {
  const Result<ChatRequest> request =
      chat_of(R"([{"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},)"
              R"({"role":"user","content":"c"}])");
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->conversation.messages[0].role, "system");
  EXPECT_EQ(request->conversation.messages[0].content, "a\nb");
}

TEST(ChatRequest, ToolCallArgumentsReachTheTemplateAsData) {
  const Result<ChatRequest> request = chat_of(
      R"([{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function",
           "function":{"name":"f","arguments":"{\"b\":1.0,\"a\":2}"}}]},
          {"role":"tool","tool_call_id":"1","content":"ok"}])");
  ASSERT_TRUE(request.ok()) << request.error().message;
  const Value variables = template_variables(request->conversation, {}, "<s>", "</s>");
  const Value& call = (*(*variables.find("messages")->as_array())[0].find("tool_calls")->as_array())[0];
  EXPECT_EQ(to_json(*call.find("function")->find("arguments")), R"({"b":1.0,"a":2})");
  EXPECT_TRUE(variables.find("tools")->is_null());
  EXPECT_EQ(*variables.find("bos_token")->as_string(), "<s>");
}

TEST(CompletionRequest, TakesAllFourKindsOfPrompt) {
  EXPECT_EQ(std::get<std::string>(completion_with(R"("prompt":"a")")->prompts[0]), "a");
  EXPECT_EQ(completion_with(R"("prompt":["a","b"])")->prompts.size(), 2u);
  EXPECT_EQ(std::get<1>(completion_with(R"("prompt":[1,2,3])")->prompts[0]), (std::vector<TokenId>{1, 2, 3}));
  const Result<CompletionRequest> two = completion_with(R"("prompt":[[1,2],[3]])");
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(std::get<1>(two->prompts[1]), (std::vector<TokenId>{3}));
}

TEST(CompletionRequest, RefusesByName) {
  const Bad cases[] = {
      {R"("x":1)", "prompt"},
      {R"("prompt":5)", "prompt"},
      {R"("prompt":[])", "prompt"},
      {R"("prompt":[1,"a"])", "prompt"},
      {R"("prompt":[[]])", "prompt"},
      {R"("prompt":[1.5])", "prompt"},
      {R"("prompt":{"a":1})", "prompt"},
      {R"("prompt":"a","logprobs":6)", "logprobs"},
      {R"("prompt":"a","logprobs":true)", "logprobs"},
      {R"("prompt":"a","suffix":"b")", "suffix"},
      {R"("prompt":"a","best_of":2)", "best_of"},
      {R"("prompt":"a","echo":1)", "echo"},
      {R"("prompt":"a","echo":true,"logprobs":1)", "logprobs"},
  };
  for (const Bad& bad : cases) {
    const Result<CompletionRequest> request = completion_with(bad.members);
    ASSERT_FALSE(request.ok()) << bad.members;
    EXPECT_EQ(request.error().param, bad.param) << bad.members;
  }
  EXPECT_TRUE(completion_with(R"("prompt":"a","n":2,"best_of":2,"suffix":"","logprobs":5)").ok());
}

TEST(CompletionRequest, IdsThatFitNoTokenAreKeptForTheCheckAgainstTheModel) {
  const Result<CompletionRequest> request = completion_with(R"("prompt":[1,-7,99999999999])");
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(std::get<1>(request->prompts[0]), (std::vector<TokenId>{1, -1, -1}));
}

TEST(Requests, BodyMustBeAnObjectWithAModel) {
  EXPECT_FALSE(parse_chat_request(json_of("[]"), kLimits).ok());
  EXPECT_FALSE(parse_completion_request(json_of("5"), kLimits).ok());
  const Result<ChatRequest> no_model =
      parse_chat_request(json_of(R"({"messages":[{"role":"user","content":"a"}]})"), kLimits);
  ASSERT_FALSE(no_model.ok());
  EXPECT_EQ(no_model.error().param, "model");
}

}  // namespace
}  // namespace kvasir
