#include "config/load.h"

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/secret.h"
#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

std::string problems_of(const std::string& yaml) {
  try {
    parse_config(yaml, "f.yaml");
  } catch (const ConfigError& problem) {
    return problem.what();
  }
  return "";
}

TEST(LoadConfig, ReadsEveryPart) {
  const Config config = parse_config(R"(
listen: "[::1]:9000"
tls: {certificate: c.pem, key: k.pem, min_version: "1.3"}
models:
- {name: org/m-1, path: m.gguf, backend: reference, context_tokens: 2048}
namespaces: [{name: bot}]
tenants:
- name: hr
  namespaces: [bot]
  keys: [{sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae}]
cache:
  block_tokens: 64
  kv_type: int8
  share_numerics: true
  tiers:
    host: {capacity: 48MiB}
    disk: {path: "", capacity: 1GiB, write: on_reuse, reader_threads: 2}
limits: {body_bytes: 1MiB, header_bytes: 8KiB, requests_waiting: 0, idle_timeout: 250ms, threads: 3,
  pin_threads: true, speculation: off}
log: {level: debug, format: json}
metrics: {enabled: false, path: /internal/metrics}
routes: []
upstreams: []
)",
                                     "f.yaml");
  EXPECT_EQ(config.listen, "[::1]:9000");
  EXPECT_EQ(config.tls.certificate, "c.pem");
  EXPECT_EQ(config.tls.key, "k.pem");
  EXPECT_EQ(config.tls.min_version, "1.3");
  ASSERT_EQ(config.models.size(), 1u);
  EXPECT_EQ(config.models[0].name, "org/m-1");
  EXPECT_EQ(config.models[0].path, "m.gguf");
  EXPECT_EQ(config.models[0].backend, "reference");
  EXPECT_EQ(config.models[0].context_tokens, 2048u);
  ASSERT_EQ(config.namespaces.size(), 1u);
  ASSERT_EQ(config.tenants.size(), 1u);
  EXPECT_EQ(config.tenants[0].namespaces, std::vector<std::string>{"bot"});
  ASSERT_EQ(config.tenants[0].keys.size(), 1u);
  EXPECT_EQ(config.tenants[0].keys[0].sha256, sha256_hex("foo"));
  EXPECT_EQ(config.cache.block_tokens, 64u);
  EXPECT_EQ(config.cache.kv_type, "int8");
  EXPECT_TRUE(config.cache.share_numerics);
  EXPECT_EQ(config.cache.host.capacity, 48u << 20);
  EXPECT_EQ(config.cache.disk.path, "");
  EXPECT_EQ(config.cache.disk.capacity, 1u << 30);
  EXPECT_EQ(config.cache.disk.write, "on_reuse");
  EXPECT_EQ(config.cache.disk.reader_threads, 2u);
  EXPECT_EQ(config.limits.body_bytes, 1u << 20);
  EXPECT_EQ(config.limits.header_bytes, 8u << 10);
  EXPECT_EQ(config.limits.requests_waiting, 0u);
  EXPECT_EQ(config.limits.idle_timeout, milliseconds(250));
  EXPECT_EQ(config.limits.threads, 3u);
  EXPECT_TRUE(config.limits.pin_threads);
  EXPECT_EQ(config.limits.speculation, "off");
  EXPECT_EQ(config.log.level, "debug");
  EXPECT_EQ(config.log.format, "json");
  EXPECT_FALSE(config.metrics.enabled);
  EXPECT_EQ(config.metrics.path, "/internal/metrics");
}

TEST(LoadConfig, UnknownKeyNamesLineKeyNearestAndAllowed) {
  const std::string problems = problems_of("listen: 127.0.0.1:8080\n\ncache:\n  polcy: lru\n");
  EXPECT_EQ(problems,
            "f.yaml:4: cache.polcy: unknown key, did you mean 'policy'? "
            "(allowed: block_tokens, kv_type, policy, secret, share_numerics, trace_file, trace_file_size, tiers)");
}

TEST(LoadConfig, AllProblemsAtOnceInTheOrderOfTheFile) {
  const std::string problems = problems_of(
      "listen: nowhere\n"
      "cache: {policy: magic, block_tokens: 33, kv_type: int4}\n"
      "limits:\n"
      "  threads: many\n"
      "  idle_timeout: 5\n"
      "  body_bytes: 10MB\n"
      "surprise: 1\n");
  EXPECT_THAT(problems, HasSubstr("f.yaml:1: listen: 'nowhere' is no address"));
  EXPECT_THAT(problems, HasSubstr("f.yaml:2: cache.policy: 'magic' is not known (allowed: lru, s3fifo, value)"));
  EXPECT_THAT(problems, HasSubstr("f.yaml:2: cache.kv_type: 'int4' is not known (allowed: f16, int8)"));
  EXPECT_THAT(problems, HasSubstr("f.yaml:2: cache.block_tokens: '33' is not known (allowed: 16, 32, 64, 128)"));
  EXPECT_THAT(problems, HasSubstr("f.yaml:4: limits.threads: 'many' is not allowed (allowed: a whole number from 0 "));
  EXPECT_THAT(problems,
              HasSubstr("f.yaml:5: limits.idle_timeout: '5' is not allowed (allowed: a whole number with ms"));
  EXPECT_THAT(problems, HasSubstr("f.yaml:6: limits.body_bytes: '10MB' is not allowed"));
  EXPECT_THAT(problems, HasSubstr("f.yaml:7: surprise: unknown key (allowed: listen, tls, models"));
  EXPECT_LT(problems.find("f.yaml:1:"), problems.find("f.yaml:7:"));
}

TEST(LoadConfig, LatencyTargetIsAMultipleOrATime) {
  const auto target_of = [](const std::string& text) {
    return parse_config("limits: {itl_target: " + text + "}\n", "f.yaml").limits.itl_target;
  };
  EXPECT_EQ(target_of("2.5x").factor, 2.5);
  EXPECT_EQ(target_of("2.5x").time, std::chrono::milliseconds(0));
  EXPECT_EQ(target_of("3x").factor, 3.0);
  EXPECT_EQ(target_of("50ms").time, std::chrono::milliseconds(50));
}

struct BadCase {
  const char* yaml;
  const char* problem;
};

class BadConfig : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadConfig, IsRefusedWithWords) { EXPECT_THAT(problems_of(GetParam().yaml), HasSubstr(GetParam().problem)); }

INSTANTIATE_TEST_SUITE_P(
    Documents, BadConfig,
    ::testing::Values(BadCase{"", "f.yaml: is empty"}, BadCase{"# only a comment\n", "f.yaml: is empty"},
                      BadCase{"- a\n- b\n", "f.yaml:1: is not a map"}, BadCase{"just words", "is not a map"},
                      BadCase{"listen: a:1\n---\nlisten: b:2\n", "several YAML documents"},
                      BadCase{"cache:\n\tpolicy: lru\n", "f.yaml:2: not YAML"}, BadCase{"a: [1, 2\n", "not YAML"},
                      BadCase{"a: *nobody\n", "f.yaml:1: not YAML"}, BadCase{"a: \"\\xZZ\"\n", "not YAML"},
                      BadCase{"listen: a:1\nlog: {level: info}\nlisten: b:2\n", "f.yaml:3: listen: stands here twice"},
                      BadCase{"log: {level: info, level: warn}\n", "f.yaml:1: log.level: stands here twice"},
                      BadCase{"? [a, b]\n: 1\n", "a key is a list"}));

INSTANTIATE_TEST_SUITE_P(
    Kinds, BadConfig,
    ::testing::Values(BadCase{"cache: 5\n", "f.yaml:1: cache: has a single value (allowed: a map of keys)"},
                      BadCase{"cache:\n", "cache: has nothing (allowed: a map of keys)"},
                      BadCase{"models: {a: b}\n", "models: has a map (allowed: a list)"},
                      BadCase{"models: [a]\n", "models[0]: has a single value (allowed: a map of keys)"},
                      BadCase{"listen: [a]\n", "listen: has a list (allowed: a single value)"},
                      BadCase{"log: {level: {a: b}}\n", "log.level: has a map (allowed: a single value)"},
                      BadCase{"metrics: {enabled: 1}\n", "'1' is not known (allowed: true, false)"},
                      BadCase{"metrics: {path: metrics}\n", "allowed: a path that starts with /"},
                      BadCase{"tenants: &a [*a]\n", "tenants[0]: has a list"}));

INSTANTIATE_TEST_SUITE_P(
    Values, BadConfig,
    ::testing::Values(BadCase{"cache: {tiers: {host: {capacity: 1MiB}}}\n", "cache.tiers.host.capacity: '1MiB'"},
                      BadCase{"cache: {tiers: {disk: {capacity: 1MiB}}}\n", "from 64MiB to"},
                      BadCase{"cache: {tiers: {disk: {codec: fp8}}}\n", "'fp8' is not known (allowed: exact)"},
                      BadCase{"cache: {tiers: {tape: {}}}\n", "cache.tiers.tape: unknown key"},
                      BadCase{"cache: {policy: fifo}\n", "'fifo' is not known (allowed: lru, s3fifo, value)"},
                      BadCase{"limits: {speculation: on}\n", "limits.speculation: 'on'"},
                      BadCase{"limits: {itl_target: 2}\n", "limits.itl_target: '2' is no latency (allowed: 1x to"},
                      BadCase{"limits: {itl_target: 0.5x}\n", "'0.5x' is no latency"},
                      BadCase{"limits: {itl_target: nanx}\n", "'nanx' is no latency"},
                      BadCase{"limits: {itl_target: 0ms}\n", "'0ms' is no latency"},
                      BadCase{"limits: {itl_target: ''}\n", "'' is no latency"},
                      BadCase{"tenants: [{name: t, weight: 0}]\n", "tenants[0].weight: '0' is not allowed"},
                      BadCase{"limits: {requests_running: 0}\n", "from 1 to 1024"},
                      BadCase{"limits: {io_threads: 4294967297}\n", "from 1 to 64"},
                      BadCase{"tls: {certificate: c.pem}\n", "tls.key: is missing"},
                      BadCase{"tls: {key: k.pem}\n", "tls.certificate: is missing"},
                      BadCase{"tls: {min_version: 1.1}\n", "'1.1' is not known (allowed: 1.2, 1.3)"}));

INSTANTIATE_TEST_SUITE_P(
    Entries, BadConfig,
    ::testing::Values(
        BadCase{"models: [{path: m.gguf}]\n", "models[0].name: is missing"},
        BadCase{"models: [{name: m}]\n", "models[0].path: is missing (allowed: a GGUF file)"},
        BadCase{"models: [{name: 'a b', path: p}]\n", "'a b' is no name"},
        BadCase{"models:\n- {name: m, path: a}\n- {name: m, path: b}\n",
                "f.yaml:3: models[1].name: 'm' stands here twice"},
        BadCase{"models: [{name: m, path: p, backend: cuda}]\n", "'cuda' is not known (allowed: cpu, reference)"},
        BadCase{"tenants: [{name: t}]\n", "tenant 't' has no key"},
        BadCase{"tenants: [{name: t, keys: [{sha256: abc}]}]\n", "64 lower-case hexadecimal digits"},
        BadCase{"tenants: [{name: t, keys: [{}]}]\n", "exactly one of sha256 and key"},
        BadCase{"tenants: [{name: t, keys: [{key: hunter2}]}]\n",
                "a secret does not stand in the configuration itself"},
        BadCase{"tenants: [{name: t, keys: [{key: '${KVASIR_TEST_UNSET}'}]}]\n", "KVASIR_TEST_UNSET is not set"},
        BadCase{"cache: {secret: 'file:no/such/file'}\n", "cannot read the file no/such/file"},
        BadCase{"tenants: [{name: t, namespaces: [x]}]\n", "'x' is not in the list of namespaces"},
        BadCase{"keys: [{key: '${HOME}', tenant: nobody}]\n", "'nobody' is not in the list of tenants"},
        BadCase{"keys: [{key: '${HOME}'}]\n", "keys[0].tenant: is missing"}));

INSTANTIATE_TEST_SUITE_P(NotYet, BadConfig,
                         ::testing::Values(BadCase{"routes: [{model: a}]\n",
                                                   "f.yaml:1: routes: is not in this version"},
                                           BadCase{"upstreams: {a: b}\n", "upstreams: is not in this version"},
                                           BadCase{"namespaces: [{name: n, keep_for: 1h}]\n",
                                                   "namespaces[0].keep_for: is not in this version"},
                                           BadCase{"namespaces: [{name: n, share: {host: {maximum: 50%}}}]\n",
                                                   "share: is not in this version"},
                                           BadCase{"cache: {tiers: {disk: {write_budget: 200GiB/day}}}\n",
                                                   "cache.tiers.disk.write_budget: is not in this version"}));

TEST(LoadConfig, SecretsComeFromTheEnvironmentOrAFile) {
  const testing::TempDir dir;
  std::ofstream(dir / "key") << "from-file\n";
  ::setenv("KVASIR_TEST_KEY", "from-environment", 1);
  const Config config = parse_config(
      "tenants:\n- name: a\n  keys: [{key: '${KVASIR_TEST_KEY}'}]\n- name: b\n"
      "keys: [{key: 'file:" +
          (dir / "key") + "', tenant: b}]\ncache: {secret: '${KVASIR_TEST_KEY}'}\n",
      "f.yaml");
  ASSERT_EQ(config.tenants.size(), 2u);
  ASSERT_EQ(config.tenants[0].keys.size(), 1u);
  EXPECT_EQ(config.tenants[0].keys[0].sha256, sha256_hex("from-environment"));
  EXPECT_EQ(config.tenants[0].keys[0].key, "");
  ASSERT_EQ(config.tenants[1].keys.size(), 1u);
  EXPECT_EQ(config.tenants[1].keys[0].sha256, sha256_hex("from-file"));
  EXPECT_EQ(config.cache.secret, "from-environment");
}

TEST(LoadConfig, OneKeyForTwoTenantsIsRefusedAndNotPrinted) {
  ::setenv("KVASIR_TEST_KEY", "hunter2", 1);
  const std::string problems = problems_of(
      "tenants:\n- {name: a, keys: [{key: '${KVASIR_TEST_KEY}'}]}\n- {name: b, keys: [{key: '${KVASIR_TEST_KEY}'}]}\n");
  EXPECT_THAT(problems, HasSubstr("f.yaml:3: tenants[1].keys[0].key: the same key stands here twice"));
  EXPECT_THAT(problems, Not(HasSubstr("hunter2")));
}

TEST(LoadConfig, HostileYamlIsAnErrorAndNotACrash) {
  const std::string deep(100'000, '[');
  EXPECT_NE(problems_of(deep), "");
  EXPECT_NE(problems_of("a: " + std::string(5000, '{')), "");
  EXPECT_NE(problems_of(std::string("\0\x01\xff\xfe", 4)), "");
  EXPECT_NE(problems_of("&a ? *a : *a"), "");
  EXPECT_NE(problems_of("%YAML 9.9\n--- !!binary x"), "");
}

TEST(LoadConfig, FilesThatCannotBeReadAreNamed) {
  const testing::TempDir dir;
  EXPECT_THROW(load_config(dir / "missing.yaml"), ConfigError);
  EXPECT_THROW(load_config(dir.path()), ConfigError);
  std::ofstream(dir / "c.yaml") << "listen: 0.0.0.0:1\n";
  EXPECT_EQ(load_config(dir / "c.yaml").listen, "0.0.0.0:1");
}

TEST(ParseHostPort, TakesNamesAndBothKindsOfAddress) {
  EXPECT_EQ(parse_host_port("127.0.0.1:8080").host, "127.0.0.1");
  EXPECT_EQ(parse_host_port("127.0.0.1:8080").port, 8080);
  EXPECT_EQ(parse_host_port("[::1]:65535").host, "::1");
  EXPECT_EQ(parse_host_port("[::1]:65535").port, 65535);
  EXPECT_EQ(parse_host_port("localhost:0").port, 0);
  for (const char* text : {"", ":", "host", "host:", ":80", "host:65536", "host:-1", "host:8o", "::1:80", "[]:80"}) {
    EXPECT_THROW(parse_host_port(text), ConfigError) << text;
  }
}

}  // namespace
}  // namespace kvasir
