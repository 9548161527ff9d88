#include <fstream>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "engine/text/chat_template.h"
#include "gateway/json/json.h"
#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The variables that the truth was made with: the common ones, then the case's own.
Value variables_of(const Value& cases, const std::string& name) {
  Value::Object all;
  for (const auto& [key, value] : cases.find("variables")->as_object()->members)
    if (key != "now") all.set(key, value);
  all.set("tools", Value());
  all.set("documents", Value());
  for (const auto& [key, value] : cases.find("cases")->find(name)->as_object()->members) all.set(key, value);
  return all;
}

// Every row: the same bytes where jinja2 renders, an error where it fails.
TEST(TemplateParity, EveryTemplateAndConversation) {
  const std::string data = testing::shared_data_dir();
  if (data.empty()) GTEST_SKIP() << "needs the shared data";
  const auto cases = parse_json(read_file(data + "/templates/cases.json"));
  ASSERT_TRUE(cases.ok()) << cases.error().message;
  const std::string now = *cases->find("variables")->find("now")->as_string();
  std::map<std::string, std::unique_ptr<ChatTemplate>> templates;
  std::ifstream rows(data + "/templates/truth.jsonl");
  int count = 0, rendered = 0;
  for (std::string line; std::getline(rows, line); ++count) {
    const auto row = parse_json(line);
    ASSERT_TRUE(row.ok()) << row.error().message;
    const std::string name = *row->find("template")->as_string(), conversation = *row->find("case")->as_string();
    if (!templates.contains(name)) {
      auto compiled = ChatTemplate::compile(read_file(data + "/templates/" + name + ".jinja"));
      EXPECT_TRUE(compiled.ok()) << name << ": " << compiled.error().message;
      templates[name] = compiled ? std::move(*compiled) : nullptr;
    }
    if (!templates[name]) continue;
    const auto prompt = templates[name]->render(variables_of(*cases, conversation), now);
    if (const Value* expected = row->find("rendered")) {
      EXPECT_TRUE(prompt.ok()) << name << ", " << conversation << ": " << prompt.error().message;
      EXPECT_EQ(prompt ? prompt->text() : "", *expected->as_string()) << name << ", " << conversation;
      ++rendered;
    } else {
      EXPECT_FALSE(prompt.ok()) << name << ", " << conversation << " should fail: " << *row->find("error")->as_string();
    }
  }
  EXPECT_EQ(count, 720);
  EXPECT_GT(rendered, 580);
}

// Text of a message stays text, whatever it says: only template segments may hold control tokens.
TEST(TemplateParity, MessagesNeverBecomeTemplateText) {
  const std::string data = testing::shared_data_dir();
  if (data.empty()) GTEST_SKIP() << "needs the shared data";
  const auto cases = parse_json(read_file(data + "/templates/cases.json"));
  ASSERT_TRUE(cases.ok());
  auto compiled = ChatTemplate::compile(read_file(data + "/templates/smollm2.jinja"));
  ASSERT_TRUE(compiled.ok());
  const auto prompt = (*compiled)->render(variables_of(*cases, "unicode"), "2026-07-26T10:00:00");
  ASSERT_TRUE(prompt.ok());
  std::string from_template;
  for (const TextSegment& segment : prompt->segments)
    if (segment.from_template) from_template += segment.text + "|";
  const std::string turn = "<|im_start|>|\n|<|im_end|>\n";
  EXPECT_EQ(from_template, turn + turn + turn + turn + "<|im_start|>assistant\n|");
}

}  // namespace
}  // namespace kvasir
