// Precision and recall on real prompts, where the data is there. The figures stand in gateway/canonical/README.md.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "gateway/canonical/volatile_spans.h"
#include "gateway/json/json.h"
#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

std::filesystem::path folder() { return std::filesystem::path(testing::shared_data_dir()) / "prompts"; }

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<Value> rows_of(const std::filesystem::path& file) {
  std::vector<Value> rows;
  std::istringstream in(text_of(file));
  for (std::string line; std::getline(in, line);) rows.push_back(*parse_json(line));
  return rows;
}

const std::string& member(const Value& row, std::string_view name) { return *row.find(name)->as_string(); }

// The kinds of the data that we claim, and what they are here. A uuid behind "chatcmpl-" is part of an id.
const std::map<std::string, std::set<SpanKind>> kClaimed{
    {"iso_date", {SpanKind::day, SpanKind::clock}},
    {"long_date", {SpanKind::day, SpanKind::clock}},
    {"iso_datetime", {SpanKind::clock}},
    {"rfc_date", {SpanKind::clock}},
    {"epoch_s", {SpanKind::clock}},
    {"epoch_ms", {SpanKind::clock}},
    {"uuid", {SpanKind::uuid, SpanKind::id}},
    {"openai_call_id", {SpanKind::id}},
    {"anthropic_tool_id", {SpanKind::id}},
    {"resp_msg_id", {SpanKind::id}},
    {"cwd", {SpanKind::path}},
};

// Rows of the kind cwd are mostly words behind "working directory"; only some name a directory.
bool names_path(const std::string& match) {
  for (std::size_t at = match.find('/'); at != std::string::npos; at = match.find('/', at + 1))
    if (at > 0 && std::string_view(" '\"(:").find(match[at - 1]) != std::string_view::npos) return true;
  return false;
}

bool is_found(const Value& row, const std::set<SpanKind>& kinds) {
  const std::string& text = member(row, "context");
  const std::size_t begin = text.find(member(row, "match")), end = begin + member(row, "match").size();
  for (const Span& span : find_spans(text))
    if (kinds.contains(span.kind) && span.begin < end && span.begin + span.size > begin) return true;
  return false;
}

class VolatileData : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder() / "dynamic_spans.jsonl")) GTEST_SKIP() << "needs the shared data";
  }
};

TEST_F(VolatileData, EveryLabelledFormIsFound) {
  std::map<std::string, std::pair<int, int>> counts;  // found, rows
  for (const Value& row : rows_of(folder() / "dynamic_spans.jsonl")) {
    const auto claimed = kClaimed.find(member(row, "kind"));
    if (claimed == kClaimed.end()) continue;
    if (claimed->first == "cwd" && !names_path(member(row, "match"))) continue;
    auto& [found, rows] = counts[claimed->first];
    ++rows;
    found += is_found(row, claimed->second);
  }
  for (const auto& [kind, count] : counts) {
    std::cout << kind << ": " << count.first << " of " << count.second << "\n";
    EXPECT_EQ(count.first, count.second) << kind;
  }
  EXPECT_EQ(counts.size(), kClaimed.size());
}

// Of what is found in the same texts, nearly all is labelled somewhere; the rest was read: times, ids and numbers since
// 1970 whose own rows the data does not have.
TEST_F(VolatileData, WhatIsFoundIsLabelledOrOfTheForm) {
  const std::vector<Value> rows = rows_of(folder() / "dynamic_spans.jsonl");
  std::set<std::string> labels;
  for (const Value& row : rows) labels.insert(member(row, "match"));
  int found = 0, labelled = 0;
  for (const Value& row : rows)
    for (const Span& span : find_spans(member(row, "context"))) {
      const std::string_view text = span.of(member(row, "context"));
      ++found;
      for (const std::string& label : labels)
        if (label.find(text) != std::string::npos || text.find(label) != std::string_view::npos) {
          ++labelled;
          break;
        }
    }
  std::cout << labelled << " of " << found << " labelled\n";
  EXPECT_GT(found, 600);
  EXPECT_GT(labelled, found * 9 / 10);
}

// Heads of real agents' prompts, read by hand: the directories and the clock are all that is volatile in them.
TEST_F(VolatileData, HeadsOfAgents) {
  std::string all;
  for (const Value& row : rows_of(folder() / "agent_system_prompts.jsonl")) all += member(row, "text") + "\n";
  for (const char* file : {"tau_bench_airline_wiki.md", "mini-swe-agent/default.yaml", "mini-swe-agent/mini.yaml",
                           "mini-swe-agent/swebench.yaml"})
    all += text_of(folder() / file) + "\n";
  std::map<std::string, int> found;
  for (const Span& span : find_spans(all))
    if (span.is_volatile) ++found[std::string(span.of(all))];
  const std::map<std::string, int> expected{{"/test/path", 56}, {"/testbed", 2}, {"2024-05-15 15:00:00 EST", 1}};
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace kvasir
