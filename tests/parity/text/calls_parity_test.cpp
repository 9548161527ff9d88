// For every chat template with tools: what the template prints for a call is what its model is trained to write. It is
// taken as the reply, parsed whole and in random pieces, put back as the client would, and must render to the same
// bytes.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/text/calls/reply_parser.h"
#include "engine/text/chat_template.h"
#include "gateway/api/conversation.h"
#include "gateway/api/template_variables.h"
#include "gateway/call_memory.h"
#include "gateway/json/json.h"
#include "storage/base/prng.h"
#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

constexpr const char* kNow = "2026-07-26T10:00:00";
constexpr const char* kBos = "<s>";
constexpr const char* kEos = "</s>";
constexpr const char* kReasoning = "Let me look that up.";

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Value object(std::initializer_list<std::pair<std::string, Value>> members) {
  Value::Object made;
  for (const auto& [name, value] : members) made.set(name, value);
  return made;
}

struct Family {
  std::string name;
  std::unique_ptr<ChatTemplate> chat_template;
  TemplateFeatures features;
  ReplyFormat format;
};

std::unique_ptr<Family> load_family(const std::string& path) {
  const std::string source = read_file(path);
  auto compiled = ChatTemplate::compile(source);
  if (!compiled) return nullptr;
  auto family = std::make_unique<Family>();
  family->name = std::filesystem::path(path).stem().string();
  family->chat_template = std::move(*compiled);
  family->features = detect_template_features(*family->chat_template, kBos, kEos);
  family->format = detect_reply_format(*family->chat_template, source, kBos, kEos);
  return family;
}

std::string render(const Family& family, const Value::Array& messages, const Value& tools, bool generation_prompt) {
  const Value body = object({{"messages", messages}, {"tools", tools}, {"add_generation_prompt", generation_prompt}});
  FieldReader fields(*body.as_object());
  const Conversation conversation = read_openai_conversation(fields);
  if (!fields.ok()) return "";
  const Value variables = template_variables(conversation, family.features, kBos, kEos);
  const Result<PromptText> prompt = family.chat_template->render(variables, kNow);
  return prompt ? prompt->text() : "";
}

// Content, reasoning and calls of a reply.
struct Reply {
  std::string content, reasoning, all;
  std::vector<std::pair<std::string, std::string>> calls;  // name, arguments
  int broken = 0;
  bool operator==(const Reply&) const = default;
};

Reply collect(const std::vector<ReplyEvent>& events) {
  Reply reply;
  std::string arguments, name;
  for (const ReplyEvent& event : events) {
    reply.all += event.kind == ReplyEvent::Kind::arguments ? "" : event.text;
    switch (event.kind) {
      case ReplyEvent::Kind::content:
        reply.content += event.text;
        break;
      case ReplyEvent::Kind::reasoning:
        reply.reasoning += event.text;
        break;
      case ReplyEvent::Kind::call_begin:
        name = event.name;
        arguments.clear();
        break;
      case ReplyEvent::Kind::arguments:
        arguments += event.text;
        break;
      case ReplyEvent::Kind::call_end:
        reply.calls.emplace_back(name, arguments);
        break;
      case ReplyEvent::Kind::call_broken:
        ++reply.broken;
        break;
      case ReplyEvent::Kind::hidden:
        break;
    }
  }
  return reply;
}

Reply parse(const Family& family, const Value& tools, const std::string& text, bool in_reasoning,
            std::uint64_t seed = 0) {
  ReplyParser parser(family.format, std::make_shared<const ToolSchemas>(*tools.as_array()), in_reasoning);
  std::vector<ReplyEvent> events;
  for (std::size_t at = 0, i = 0; at < text.size(); ++i) {
    const std::size_t bytes = seed == 0 ? text.size() : 1 + uniform64(seed, i) % 7;
    parser.push(std::string_view(text).substr(at, bytes));
    at += bytes;
    for (ReplyEvent& event : parser.take()) events.push_back(std::move(event));
  }
  parser.finish();
  for (ReplyEvent& event : parser.take()) events.push_back(std::move(event));
  return collect(events);
}

// A reply ends before the token that ends its generation.
std::string before_the_end(const std::string& text) {
  std::size_t end = text.size();
  for (const char* token :
       {kEos, "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|eot|>", "<|end_of_msg|>", "<|END_OF_TURN_TOKEN|>", "[e~[",
        "<｜end▁of▁sentence｜>", "<|role_end|>", "<turn|>", "<|end_of_text|>", "<seed:eos>", "<|calls|>", "<sep>",
        "<|observation|>", "<｜hy_eos:opensource｜>", "<|assistant_end|>", "<SPECIAL_12>"})
    end = std::min(end, text.find(token));
  const std::string apertus = "<|tools_suffix|>";  // after it comes what closes the list of results
  if (const std::size_t calls = text.find(apertus); calls < end) end = calls + apertus.size();
  std::string reply = text.substr(0, end);
  const std::string separator = "<|message_sep|>\n\n";
  if (end == text.size() && reply.ends_with(separator)) reply.resize(reply.size() - separator.size());
  return reply;
}

// Where the calls of the last turn begin, in a prompt that does not continue the one it was generated from.
std::size_t calls_begin(const Family& family, const std::string& full) {
  const CallNotation& notation = family.format.calls.front();
  const std::size_t call =
      full.rfind(notation.call_open.empty() ? std::string("{\"name\"") : notation.call_open.front());
  if (notation.section_open.empty()) return call;
  const std::string& section = notation.section_open.front();
  const std::size_t place = full.rfind(section, call);
  const std::size_t after = full.find_first_not_of(" \n", place + section.size());
  return place != std::string::npos && after == call ? place : call;
}

// One turn with calls in a conversation.
struct Turn {
  Value::Array history;
  Value assistant;
  Value::Array after;  // the results
};

struct Outcome {
  int turns = 0, refused = 0, prefix = 0;
  std::string problem;
};

std::string content_of(const Value& message) {
  const Value* content = message.find("content");
  return content && content->as_string() ? *content->as_string() : "";
}

Value client_message(const Value& original, const Reply& reply, const std::string& content) {
  Value::Array calls;
  const Value::Array& given = *original.find("tool_calls")->as_array();
  for (std::size_t i = 0; i < reply.calls.size(); ++i) {
    const Value* id = i < given.size() ? given[i].find("id") : nullptr;
    calls.push_back(
        object({{"id", id ? *id : Value("call_x")},
                {"type", "function"},
                {"function", object({{"name", reply.calls[i].first}, {"arguments", reply.calls[i].second}})}}));
  }
  Value::Object message;
  message.set("role", "assistant");
  message.set("content", content.empty() ? Value() : Value(content));
  if (!reply.reasoning.empty()) message.set("reasoning_content", reply.reasoning);
  message.set("tool_calls", calls);
  return message;
}

std::string check_calls(const Value& assistant, const Reply& reply) {
  const Value::Array& calls = *assistant.find("tool_calls")->as_array();
  if (reply.broken > 0 || reply.calls.size() != calls.size())
    return "calls: " + std::to_string(reply.calls.size()) + " of " + std::to_string(calls.size());
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const Value& function = *calls[i].find("function");
    if (reply.calls[i].first != *function.find("name")->as_string()) return "name " + reply.calls[i].first;
    const auto got = parse_json(reply.calls[i].second), wanted = parse_json(*function.find("arguments")->as_string());
    if (!got || !wanted || !same_json(*got, *wanted)) return "arguments " + reply.calls[i].second;
  }
  return {};
}

void check_turn(const Family& family, const Turn& turn, const Value& tools, bool with_reasoning, Outcome& outcome) {
  Value::Object assistant = *turn.assistant.as_object();
  if (with_reasoning) assistant.set("reasoning_content", kReasoning);
  Value::Array said = turn.history;
  said.push_back(assistant);
  const std::string prompt = render(family, turn.history, tools, true), full = render(family, said, tools, false);
  if (prompt.empty() || full.empty()) {
    ++outcome.refused;
    return;
  }
  const bool continues = full.starts_with(prompt);
  if (with_reasoning && !continues) return;
  const std::size_t start = continues ? prompt.size() : calls_begin(family, full);
  if (start == std::string::npos) {
    ++outcome.refused;
    return;
  }
  const bool opened = continues && family.format.opens_reasoning(prompt);
  const std::string text = before_the_end(full.substr(start));
  // Some print a call as another turn, or the first one only: no reply is like that.
  for (const Value& call : *assistant.find("tool_calls")->as_array())
    if (text.find(*call.find("function")->find("name")->as_string()) == std::string::npos) {
      ++outcome.refused;
      return;
    }
  ++outcome.turns;
  const Reply reply = parse(family, tools, text, opened);
  const auto problem = [&](const std::string& what) {
    if (outcome.problem.empty()) outcome.problem = what + "\nreply: " + text;
  };
  if (reply.all != text) problem("the pieces are not the text");
  for (std::uint64_t seed = 1; seed <= 3; ++seed)
    if (!(parse(family, tools, text, opened, seed) == reply)) problem("cuts change the result");
  if (const std::string wrong = check_calls(assistant, reply); !wrong.empty()) return problem(wrong);
  const std::string content = content_of(assistant);
  const bool said_it = !content.empty() && text.find(content) != std::string::npos;
  if (reply.content != (said_it ? content : "")) problem("content " + reply.content);
  const bool printed = text.find(kReasoning) != std::string::npos;
  if (with_reasoning && reply.reasoning != (printed ? kReasoning : "")) problem("reasoning " + reply.reasoning);
  // The next turn.
  Value::Array original = said, parsed = turn.history;
  parsed.push_back(client_message(assistant, reply, continues ? reply.content : content));
  original.insert(original.end(), turn.after.begin(), turn.after.end());
  parsed.insert(parsed.end(), turn.after.begin(), turn.after.end());
  const std::string next = render(family, parsed, tools, true);
  if (next != render(family, original, tools, true))
    problem("the next turn differs: " + next.substr(std::min(start, next.size()), 400));
  if (continues && next.starts_with(prompt + text)) ++outcome.prefix;
}

std::vector<Turn> turns_of(const Value::Array& messages) {
  std::vector<Turn> turns;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Value* calls = messages[i].find("tool_calls");
    if (!calls || !calls->as_array() || calls->as_array()->empty()) continue;
    Turn turn;
    turn.history.assign(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(i));
    turn.assistant = messages[i];
    for (std::size_t j = i + 1; j < messages.size() && *messages[j].find("role")->as_string() == "tool"; ++j)
      turn.after.push_back(messages[j]);
    if (!turn.after.empty()) turns.push_back(std::move(turn));
  }
  return turns;
}

std::vector<Turn> tau_bench(const std::string& data) {
  std::ifstream rows(data + "/agents/tau-bench/gpt-4o-airline.messages.jsonl");
  std::vector<Turn> turns;
  for (std::string line; std::getline(rows, line);) {
    const auto row = parse_json(line);
    if (!row) continue;
    for (Turn& turn : turns_of(*row->find("messages")->as_array())) turns.push_back(std::move(turn));
  }
  return turns;
}

Value tau_tools(const std::string& data) {
  const auto tools = parse_json(read_file(data + "/schemas/tau_bench_airline_tools.json"));
  return tools ? *tools : Value();
}

std::vector<std::unique_ptr<Family>> families(const std::string& data) {
  std::set<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(data + "/templates"))
    if (entry.path().extension() == ".jinja") paths.insert(entry.path().string());
  std::vector<std::unique_ptr<Family>> all;
  for (const std::string& path : paths)
    if (auto family = load_family(path)) all.push_back(std::move(family));
  return all;
}

TEST(CallsParity, RepliesOfEveryFamilyComeBackByteForByte) {
  const std::string data = testing::shared_data_dir();
  if (data.empty()) GTEST_SKIP() << "needs the shared data";
  const std::vector<Turn> turns = tau_bench(data);
  const Value tools = tau_tools(data);
  ASSERT_GT(turns.size(), 1000u);
  ASSERT_TRUE(tools.as_array());
  const std::size_t wanted = std::getenv("KVASIR_FULL") ? 300 : 12;
  for (const auto& family : families(data)) {
    if (!family->format.calls_are_printed) {
      std::printf("%-48s prints no calls\n", family->name.c_str());
      continue;
    }
    Outcome plain, thinking;
    for (std::size_t i = 0; i < wanted; ++i) {
      const Turn& turn = turns[i * turns.size() / wanted];
      check_turn(*family, turn, tools, false, plain);
      check_turn(*family, turn, tools, true, thinking);
    }
    EXPECT_EQ(plain.problem, "") << family->name;
    EXPECT_EQ(thinking.problem, "") << family->name << ", with reasoning";
    std::printf("%-48s %d turns, %d refused, %d and with reasoning %d continue the first prompt\n",
                family->name.c_str(), plain.turns, plain.refused, plain.prefix, thinking.prefix);
  }
}

// What tau-bench has none of: parallel calls, words beside them, spellings that no serializer gives, other scripts.
TEST(CallsParity, ParallelCallsAndOddArguments) {
  const std::string data = testing::shared_data_dir();
  if (data.empty()) GTEST_SKIP() << "needs the shared data";
  const auto tools = parse_json(R"([
      {"type":"function","function":{"name":"find_city","description":"d","parameters":{"type":"object",
       "properties":{"name":{"type":"string"},"limit":{"type":"integer"}},"required":["name"]}}},
      {"type":"function","function":{"name":"run_code","description":"d","parameters":{"type":"object",
       "properties":{"code":{"type":"string"},"dry":{"type":"boolean"}},"required":["code"]}}}])");
  const auto messages = parse_json(R"([
      {"role":"user","content":"Zürich?"},
      {"role":"assistant","content":"Ich sehe nach.","tool_calls":[
       {"id":"abcdefgh1","type":"function","function":{"name":"find_city",
        "arguments":"{\"name\":\"Zürich 東京\",  \"limit\":3}"}},
       {"id":"abcdefgh2","type":"function","function":{"name":"run_code",
        "arguments":"{\"code\": \"if a < b && c:\\n    print('x > y')\\n\",\"dry\":true}"}}]},
      {"role":"tool","tool_call_id":"abcdefgh1","name":"find_city","content":"[]"},
      {"role":"tool","tool_call_id":"abcdefgh2","name":"run_code","content":"ok"}])");
  ASSERT_TRUE(tools && messages);
  const std::vector<Turn> turns = turns_of(*messages->as_array());
  ASSERT_EQ(turns.size(), 1u);
  int families_checked = 0;
  for (const auto& family : families(data)) {
    if (!family->format.calls_are_printed) continue;
    Outcome outcome;
    check_turn(*family, turns[0], *tools, false, outcome);
    EXPECT_EQ(outcome.problem, "") << family->name;
    families_checked += outcome.turns;
  }
  EXPECT_GE(families_checked, 24);
}

}  // namespace
}  // namespace kvasir
