#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "config/load.h"
#include "config/schema_keys.h"

// config/kvasir.yaml is the documentation of the configuration. These hold it to the code.
namespace kvasir {
namespace {

const std::string kFile = std::string(KVASIR_SOURCE_DIR) + "/config/kvasir.yaml";

std::vector<std::string> lines_of_file() {
  std::ifstream in(kFile);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The file with its "#setting" lines in force instead of the empty lists above them.
std::string with_examples() {
  std::string text;
  for (const std::string& line : lines_of_file()) {
    if (line.ends_with(": []")) continue;
    const bool prose = line.starts_with("# ") && !line.starts_with("#  ");
    text += (line.starts_with("#") && !prose ? line.substr(1) : line) + "\n";
  }
  return text;
}

void collect_keys(const YAML::Node& node, const std::string& path, std::set<std::string>& keys) {
  if (node.IsMap()) {
    for (const auto& entry : node) {
      const std::string key = path.empty() ? entry.first.Scalar() : path + "." + entry.first.Scalar();
      keys.insert(key);
      collect_keys(entry.second, key, keys);
    }
  }
  if (node.IsSequence()) {
    for (const auto& entry : node) collect_keys(entry, path + "[]", keys);
  }
}

// Every value of a configuration as text, so that two can be compared and a difference shown.
std::string described(const Config& c) {
  std::ostringstream out;
  out << c.listen << "\n"
      << c.tls.certificate << "|" << c.tls.key << "|" << c.tls.min_version << "\n"
      << c.models.size() << c.tenants.size() << c.namespaces.size() << "\n"
      << c.cache.block_tokens << c.cache.kv_type << c.cache.policy << "|" << c.cache.secret << "|"
      << c.cache.share_numerics << " host " << c.cache.host.capacity << " disk " << c.cache.disk.path << "|"
      << c.cache.disk.capacity << c.cache.disk.codec << c.cache.disk.write << c.cache.disk.reader_threads << "\nlimits";
  const LimitsConfig& l = c.limits;
  for (const std::uint64_t value :
       {l.body_bytes, std::uint64_t{l.header_bytes}, std::uint64_t{l.json_depth}, std::uint64_t{l.connections},
        std::uint64_t{l.requests_running}, std::uint64_t{l.requests_waiting}, std::uint64_t{l.choices},
        std::uint64_t{l.step_tokens}, std::uint64_t{l.threads}, std::uint64_t{l.pin_threads},
        std::uint64_t{l.io_threads}}) {
    out << " " << value;
  }
  for (const auto value :
       {l.header_timeout, l.body_timeout, l.write_timeout, l.idle_timeout, l.request_timeout, l.drain_timeout}) {
    out << " " << value.count() << "ms";
  }
  out << " itl " << l.itl_target.factor << "x" << l.itl_target.time.count() << "ms" << l.speculation;
  out << "\n" << c.log.level << c.log.format << "\n" << c.metrics.enabled << c.metrics.path;
  out << "\n" << c.cache.trace_file << c.cache.trace_file_bytes;
  return out.str();
}

TEST(KvasirYaml, HoldsTheDefaults) { EXPECT_EQ(described(load_config(kFile)), described(Config{})); }

TEST(KvasirYaml, ItsExamplesAreAConfiguration) {
  ::setenv("HR_KEY", "one", 1);
  std::string text = with_examples();
  const std::string file_key = "key: file:/etc/kvasir/hr.key\n";
  const auto at = text.find(file_key);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, file_key.size(), "key: ${HR_KEY_2}\n");
  ::setenv("HR_KEY_2", "two", 1);
  const Config config = parse_config(text, "kvasir.yaml with its examples");
  EXPECT_EQ(config.models.size(), 1u);
  ASSERT_EQ(config.tenants.size(), 1u);
  EXPECT_EQ(config.tenants[0].keys.size(), 4u);
}

// What a reader of the file would miss, and what the file tells that is not so.
TEST(KvasirYaml, HoldsEveryKeyOfTheSchemaAndNoOther) {
  std::set<std::string> in_file;
  collect_keys(YAML::Load(with_examples()), "", in_file);
  const std::set<std::string> not_yet{"routes",
                                      "upstreams",
                                      "cache.tiers.disk.write_budget",
                                      "namespaces[].keep_for",
                                      "namespaces[].expire_after",
                                      "namespaces[].tiers",
                                      "namespaces[].share"};
  std::set<std::string> in_schema;
  for (const std::string& key : schema_keys()) {
    if (!not_yet.contains(key)) in_schema.insert(key);
  }
  EXPECT_EQ(in_file, [&] {
    auto expected = in_schema;
    for (const char* list : {"keys[]", "models[]", "namespaces[]", "tenants[]"}) expected.erase(list);
    return expected;
  }());
}

}  // namespace
}  // namespace kvasir
