// What must hold of all rules together, on random conversations made of what they look for.
#include <array>
#include <set>

#include "gateway/api/template_variables.h"
#include "gateway/canonical/canonicalizer.h"
#include "storage/base/prng.h"
#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;
using F = TemplateFeatures;

class World {
 public:
  explicit World(std::uint64_t seed) : seed_(seed) {}

  Conversation conversation() {
    Conversation out;
    const std::uint64_t turns = 1 + draw(6);
    for (std::uint64_t i = 0; i < turns; ++i) out.messages.push_back(message(static_cast<std::uint32_t>(i)));
    for (std::uint64_t i = 0, n = draw(4); i < n; ++i) out.tools.push_back(tool());
    return out;
  }
  F features() {
    F features;
    features.late_system = static_cast<F::LateSystem>(draw(4));
    features.alternation_enforced = draw(2);
    features.content = static_cast<F::Content>(draw(4));
    return features;
  }
  CanonicalConfig config() {
    CanonicalConfig config;
    static const std::array<std::string, 3> kModes{"off", "report", "on"};
    for (const Rule& rule : canonical_rules()) config.*rule.mode = kModes[draw(4) ? 2 : draw(3)];
    return config;
  }

 private:
  std::uint64_t draw(std::uint64_t below) { return uniform64(seed_, next_++) % below; }

  std::string words() {
    static const std::array<std::string, 32> kPieces{"Today is ",
                                                     "2026-07-26",
                                                     " 10:00:00",
                                                     " 9:05 PM",
                                                     "T10:00",
                                                     "\n",
                                                     "\r\n",
                                                     "\r",
                                                     "cwd: ",
                                                     "/proj/a",
                                                     "/b",
                                                     "'",
                                                     "e\u0301",
                                                     "[time 1]",
                                                     " now ",
                                                     "1764196886",
                                                     "1764196886123",
                                                     "session id: ",
                                                     "a1b2c3d4",
                                                     "call_HGn16KZh9oNCruxsMJ4gYXan",
                                                     " tokens left",
                                                     "12,345",
                                                     " ",
                                                     "82d1c33a-3015-4a2e-a4e4-210e901e89f9",
                                                     "Sun Jul 26 10:00:00 UTC 2026",
                                                     ", ",
                                                     "July 26, 2026",
                                                     ": ",
                                                     "]",
                                                     "x-anthropic-billing-header: cch=1;\n",
                                                     "words",
                                                     "Token usage: 1/2; 3 remaining"};
    std::string out;
    for (std::uint64_t i = 0, n = draw(9); i < n; ++i) out += kPieces[draw(kPieces.size())];
    return out;
  }

  Message message(std::uint32_t place) {
    static const std::array<std::string, 5> kRoles{"system", "system", "user", "assistant", "tool"};
    Message message = message_of(kRoles[draw(kRoles.size())], words());
    message.place = place;
    if (draw(4) == 0) message.parts = {message.content};
    for (std::uint64_t i = 0, n = message.role == "assistant" ? draw(3) : 0; i < n; ++i)
      message.tool_calls.push_back(*parse_json(
          R"({"id":"c","cache_control":1,"function":{"name":"f","arguments":{"b":1.0,"a":"2026-07-26\r\n"}}})"));
    return message;
  }

  Value tool() {
    static const std::array<std::string, 3> kTools{
        R"({"function":{"parameters":{"required":["b","a"],"enum":["z","y",{"d":1,"c":2}]},"name":"g"},
            "type":"function"})",
        R"({"type":"function","function":{"name":"f","description":"It is now 10:00.\r\n"},"cache_control":{}})",
        R"({"type":"function","function":{"name":"e"}})"};
    return *parse_json(kTools[draw(kTools.size())]);
  }

  const std::uint64_t seed_;
  std::uint64_t next_ = 0;
};

std::string all_of(const Conversation& conversation, const F& features) {
  return to_json(template_variables(conversation, features, "", ""));
}

// The arrays of a value by where they stand, each as its elements' number and scalars in order.
void collect_arrays(const Value& value, std::multiset<std::string>& arrays) {
  if (const Value::Array* array = value.as_array()) {
    std::string scalars;
    for (const Value& element : *array) {
      scalars += element.as_object() || element.as_array() ? "?" : to_json(element);
      collect_arrays(element, arrays);
    }
    arrays.insert(scalars);
  }
  if (const Value::Object* object = value.as_object())
    for (const auto& member : object->members) collect_arrays(member.second, arrays);
}

std::multiset<std::string> arrays_of(const Value::Array& tools) {
  std::multiset<std::string> arrays;
  for (const Value& tool : tools) collect_arrays(tool, arrays);
  return arrays;
}

std::string written_by_model(const Conversation& conversation) {
  std::string out;
  for (const Message& message : conversation.messages)
    if (message.role == "assistant") {
      out += message.content + "\n";
      for (const Value& call : message.tool_calls) out += to_json(*call.find("function")) + "\n";
    }
  return out;
}

TEST(CanonicalProperties, TwiceIsOnce) {
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    World world(seed);
    Conversation conversation = world.conversation();
    const F features = world.features();
    const Canonicalizer rules(world.config());
    rules.apply(conversation, {.features = &features});
    const std::string once = all_of(conversation, features);
    const CanonicalReport again = rules.apply(conversation, {.features = &features});
    ASSERT_EQ(all_of(conversation, features), once) << "seed " << seed << ": " << again.header();
    for (const RuleReport& rule : again.rules) ASSERT_EQ(rule.mode, RuleMode::report) << "seed " << seed;
  }
}

TEST(CanonicalProperties, WhatTheModelWroteAndArraysStay) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    World world(seed);
    Conversation conversation = world.conversation();
    const F features = world.features();
    CanonicalConfig config = world.config();
    config.line_endings = config.nfc = config.move_volatile = config.round_clock = "off";  // these change strings
    const std::string written = written_by_model(conversation);
    const std::multiset<std::string> arrays = arrays_of(conversation.tools);
    Canonicalizer(config).apply(conversation, {.features = &features});
    ASSERT_EQ(written_by_model(conversation), written) << seed;
    ASSERT_EQ(arrays_of(conversation.tools), arrays) << seed;
  }
}

TEST(CanonicalProperties, MessagesKeepTheirOrder) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    World world(seed);
    Conversation conversation = world.conversation();
    const std::string written = written_by_model(conversation);
    const std::size_t messages = conversation.messages.size();
    const F features = world.features();
    Canonicalizer(world.config()).apply(conversation, {.features = &features});
    ASSERT_EQ(written_by_model(conversation), written) << seed;
    ASSERT_LE(conversation.messages.size(), messages);
    for (std::size_t i = 1; i < conversation.messages.size(); ++i)
      ASSERT_LT(conversation.messages[i - 1].place, conversation.messages[i].place) << seed;
  }
}

// By default no word of any message goes but the client's own header.
TEST(CanonicalProperties, DefaultsKeepEveryWord) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    World world(seed);
    Conversation conversation = world.conversation();
    std::string before, after;
    for (const Message& message : conversation.messages) before += message.content;
    CanonicalConfig config;
    config.drop_client_headers = "off";
    Canonicalizer(config).apply(conversation, {});
    for (const Message& message : conversation.messages) after += message.content;
    ASSERT_EQ(before, after) << seed;
  }
}

}  // namespace
}  // namespace kvasir
