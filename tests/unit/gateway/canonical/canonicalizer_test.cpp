#include "gateway/canonical/canonicalizer.h"

#include <set>

#include "gateway/canonical/namespace_rules.h"
#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;

const std::string kBody = R"({"messages":[{"role":"system","content":"It is now 2026-07-26 10:00:00."},
    {"role":"user","content":[{"type":"text","text":"hi"}]}],
    "tools":[{"type":"function","function":{"parameters":{"b":1,"a":2},"name":"f"}}]})";

TEST(Canonicalizer, DefaultsDoOnlyWhatKeepsTheMeaning) {
  Conversation conversation = conversation_of(kBody);
  const CanonicalReport report = Canonicalizer().apply(conversation, {});
  EXPECT_EQ(report.header(),
            "text_form;v=1;n=1;at=\"messages[1]\", tool_layout;v=1;n=1;at=\"tools[0]\", "
            "sort_schema_keys;v=1;n=1;at=\"tools[0]\"");
  EXPECT_EQ(words_of(conversation), "system=It is now 2026-07-26 10:00:00.;user=hi;");
}

TEST(Canonicalizer, ReportCountsAndChangesNothing) {
  CanonicalConfig config;
  for (const Rule& rule : canonical_rules()) config.*rule.mode = "report";
  Conversation conversation = conversation_of(kBody);
  const std::string words = words_of(conversation), tools = tools_of(conversation);
  const CanonicalReport report = Canonicalizer(config).apply(conversation, {});
  EXPECT_EQ(words_of(conversation), words);
  EXPECT_EQ(tools_of(conversation), tools);
  EXPECT_EQ(conversation.messages[1].parts.size(), 1u);
  EXPECT_EQ(report.rules.size(), 5u);
  for (const RuleReport& rule : report.rules) EXPECT_EQ(rule.mode, RuleMode::report);
  EXPECT_EQ(to_json(report.json()),
            R"([{"rule":"text_form","version":1,"mode":"report","changes":1,"places":["messages[1]"]},)"
            R"({"rule":"tool_layout","version":1,"mode":"report","changes":1,"places":["tools[0]"]},)"
            R"({"rule":"sort_schema_keys","version":1,"mode":"report","changes":1,"places":["tools[0]"]},)"
            R"({"rule":"round_clock","version":1,"mode":"report","changes":1,"places":["messages[0]"]},)"
            R"({"rule":"move_volatile","version":1,"mode":"report","changes":1,"places":["messages[0]"]}])");
}

TEST(Canonicalizer, OffDoesNothing) {
  CanonicalConfig config;
  for (const Rule& rule : canonical_rules()) config.*rule.mode = "off";
  Conversation conversation = conversation_of(kBody);
  EXPECT_EQ(Canonicalizer(config).apply(conversation, {}).header(), "");
  EXPECT_EQ(conversation.messages[1].parts.size(), 1u);
}

TEST(Canonicalizer, EveryRuleHasANameOfItsOwnAndASetting) {
  std::set<std::string_view> names;
  std::set<const std::string*> settings;
  const CanonicalConfig config;
  for (const Rule& rule : canonical_rules()) {
    EXPECT_TRUE(names.insert(rule.name).second) << rule.name;
    EXPECT_TRUE(settings.insert(&(config.*rule.mode)).second) << rule.name;
    EXPECT_GE(rule.version, 1u);
  }
}

// Header values are short whatever was sent, and hold no words of it.
TEST(Canonicalizer, TheHeaderIsBounded) {
  std::string body = R"({"messages":[{"role":"user","content":"secret"}],"tools":[)";
  for (int i = 0; i < 1000; ++i)
    body +=
        std::string(i ? "," : "") + R"({"function":{"parameters":{"b":1,"a":2},"name":"secret"},"type":"function"})";
  Conversation conversation = conversation_of(body + "]}");
  const CanonicalReport report = Canonicalizer().apply(conversation, {});
  EXPECT_EQ(report.header(),
            "tool_layout;v=1;n=1000;at=\"tools[0] tools[1] tools[2] tools[3]\", "
            "sort_schema_keys;v=1;n=1000;at=\"tools[0] tools[1] tools[2] tools[3]\"");
  EXPECT_EQ(report.rules[0].changes.places().size(), RuleChanges::kPlacesMax);
  EXPECT_EQ(to_json(report.json()).find("secret"), std::string::npos);
}

std::string header_for(const Config& config, const std::string& tenant) {
  Conversation conversation = conversation_of(R"({"messages":[{"role":"user","content":"a\r\n"}]})");
  return NamespaceRules(config).of(tenant).apply(conversation, {}).header();
}

TenantConfig tenant(const std::string& name, std::vector<std::string> namespaces) {
  TenantConfig config;
  config.name = name;
  config.namespaces = std::move(namespaces);
  return config;
}

NamespaceConfig with_line_endings(const std::string& name, const std::string& mode) {
  NamespaceConfig config{name, {}};
  config.canonical.line_endings = mode;
  return config;
}

TEST(NamespaceRules, OfTheTenantsFirstNamespaceElseOfTheDefault) {
  Config config;
  config.tenants = {tenant("a", {"reports", "on"}), tenant("b", {})};
  config.namespaces = {with_line_endings("on", "on"), with_line_endings("reports", "report")};
  const std::string changed = "line_endings;v=1;n=1;at=\"messages[0]\"";
  EXPECT_EQ(header_for(config, "a"), changed + ";mode=report");
  EXPECT_EQ(header_for(config, "b"), "");
  EXPECT_EQ(header_for(config, "default"), "");
  config.namespaces.push_back(with_line_endings("default", "on"));
  EXPECT_EQ(header_for(config, "a"), changed + ";mode=report");
  EXPECT_EQ(header_for(config, "b"), changed);
  EXPECT_EQ(header_for(config, "default"), changed) << "without tenants everyone is that one";
}

}  // namespace
}  // namespace kvasir
