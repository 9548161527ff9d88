// Real agents' conversations, turn by turn, with what clients spoil put in: how much of the text that the turn before
// held (its prompt and its reply) the next prompt begins with. In characters; the figures stand in
// gateway/canonical/README.md.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "gateway/canonical/canonicalizer.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;

std::string text_of(const Message& message) {
  std::string out = message.role + "=" + message.content;
  for (const Value& call : message.tool_calls) out += to_json(call);
  return out + ";";
}

struct Spoiled {
  bool clock = false;    // in the system prompt, another each turn
  bool header = false;   // the client's own, in front of it
  bool schemas = false;  // of tools, written in another order each turn
};

std::string tools_at(int turn) {
  const std::string properties =
      turn % 2 ? R"("b":{"type":"string"},"a":{"enum":["y","x"]})" : R"("a":{"enum":["y","x"]},"b":{"type":"string"})";
  const std::string parameters = turn % 2 ? R"("type":"object","properties":{)" + properties + "}"
                                          : R"("properties":{)" + properties + R"(},"type":"object")";
  return R"([{"type":"function","function":{"name":"f","parameters":{)" + parameters + "}}}]";
}

// The prompt of the turn that the first `count` messages lead to.
std::string prompt_at(const Conversation& whole, std::size_t count, int turn, const Spoiled& spoiled,
                      const Canonicalizer& rules) {
  Conversation now = whole;
  now.messages.resize(count);
  std::string& head = now.messages[0].content;
  if (spoiled.clock) head = "It is now 2026-07-26 10:" + std::to_string(10 + turn % 50) + ":07 UTC.\n" + head;
  if (spoiled.header) head = "x-anthropic-billing-header: cch=" + std::to_string(turn) + ";\n" + head;
  now.tools = *parse_json(tools_at(spoiled.schemas ? turn : 0))->as_array();
  rules.apply(now, {});
  std::string out = to_json(now.tools) + "\n";
  for (const Message& message : now.messages) out += text_of(message);
  return out;
}

double reused(const std::vector<Conversation>& conversations, const Spoiled& spoiled, const Canonicalizer& rules) {
  std::uint64_t held = 0, kept = 0;
  for (const Conversation& whole : conversations) {
    std::string before;
    int turn = 0;
    for (std::size_t i = 1; i < whole.messages.size(); ++i) {
      if (whole.messages[i].role != "assistant") continue;
      const std::string prompt = prompt_at(whole, i, turn++, spoiled, rules);
      const auto apart = std::mismatch(before.begin(), before.end(), prompt.begin(), prompt.end());
      held += before.size();
      kept += static_cast<std::uint64_t>(apart.first - before.begin());
      before = prompt + text_of(whole.messages[i]);
    }
  }
  return static_cast<double>(kept) / static_cast<double>(held);
}

TEST(AgentReplay, RulesGiveBackWhatClientsSpoil) {
  const std::filesystem::path file =
      std::filesystem::path(shared_data_dir()) / "agents" / "tau-bench" / "gpt-4o-airline.messages.jsonl";
  std::ifstream in(file, std::ios::binary);
  if (!in) GTEST_SKIP() << "needs the shared data";
  std::vector<Conversation> conversations;
  for (std::string line; conversations.size() < 40 && std::getline(in, line);) {
    conversations.push_back(conversation_of(line));
    ASSERT_EQ(conversations.back().messages[0].role, "system");
  }
  CanonicalConfig none, moving, rounding;
  for (const Rule& rule : canonical_rules()) none.*rule.mode = "off";
  moving.move_volatile = rounding.round_clock = "on";
  const Canonicalizer off(none), defaults, moves(moving), rounds(rounding);
  const std::pair<const char*, Spoiled> cases[] = {
      {"nothing", {}},
      {"clock", {.clock = true}},
      {"header", {.header = true}},
      {"schemas", {.schemas = true}},
      {"all", {.clock = true, .header = true, .schemas = true}},
  };
  for (const auto& [name, spoiled] : cases) {
    const double without = reused(conversations, spoiled, off), by_default = reused(conversations, spoiled, defaults),
                 moved = reused(conversations, spoiled, moves), rounded = reused(conversations, spoiled, rounds);
    std::cout << name << ": off " << without << ", defaults " << by_default << ", with move_volatile " << moved
              << ", with round_clock " << rounded << "\n";
    EXPECT_EQ(without > 0.99, name == cases[0].first) << name;
    EXPECT_EQ(by_default > 0.99, !spoiled.clock) << name;
    EXPECT_GT(moved, 0.96) << name << ": but for the last reply and the values";
    EXPECT_GT(rounded, 0.99) << name;
  }
}

}  // namespace
}  // namespace kvasir
