#include "config/load.h"

#include <fstream>
#include <iterator>
#include <set>

#include "config/schema_keys.h"
#include "config/secret.h"
#include "config/section.h"
#include "config/units.h"

namespace kvasir {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kKiB = 1ull << 10;
constexpr std::uint64_t kMiB = 1ull << 20;
constexpr std::uint64_t kTiB = 1ull << 40;
constexpr std::uint64_t kConfigBytesMax = 4 * kMiB;
constexpr double kItlFactorLeast = 1, kItlFactorMost = 1000;
constexpr std::size_t kNameBytesMax = 128;
constexpr const char* kNameForm = "1 to 128 letters, digits and . _ - : / characters";

// What the parts of a configuration must agree on, gathered while they are read.
struct Names {
  std::set<std::string> models, tenants, namespaces, key_hashes;
};

bool is_name(const std::string& text) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/";
  return !text.empty() && text.size() <= kNameBytesMax && text.find_first_not_of(kLetters) == std::string::npos;
}

void read_name(Section& section, std::string& name, std::set<std::string>& taken) {
  section.text("name", name);
  if (section.listing()) return;
  if (!is_name(name)) {
    section.problem("name", name.empty() ? "is missing" : "'" + name + "' is no name", kNameForm);
  } else if (!taken.insert(name).second) {
    section.problem("name", "'" + name + "' stands here twice", "each name once");
  }
}

void read_tls(Section& section, TlsConfig& tls) {
  section.text("certificate", tls.certificate);
  section.text("key", tls.key);
  section.choice("min_version", tls.min_version, {"1.2", "1.3"});
  if (tls.certificate.empty() == tls.key.empty()) return;
  section.problem(tls.key.empty() ? "key" : "certificate", "is missing", "both certificate and key, or neither");
}

void read_model(Section& section, Names& names, std::vector<ModelEntry>& models) {
  ModelEntry model;
  read_name(section, model.name, names.models);
  section.text("path", model.path);
  section.choice("backend", model.backend, {"cpu", "reference"});
  section.count("context_tokens", model.context_tokens, 0, 1u << 24);
  if (model.path.empty() && !section.listing()) section.problem("path", "is missing", "a GGUF file");
  models.push_back(std::move(model));
}

bool is_sha256_hex(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// One bearer key; what it leaves in `keys` is the hash alone.
void read_key(Section& section, Names& names, std::vector<KeyConfig>& keys) {
  KeyConfig key;
  section.text("sha256", key.sha256);
  section.secret("key", key.key);
  if (section.listing()) return;
  if (section.has("sha256") == section.has("key")) {
    return section.problem("sha256", "needs sha256 or key", "exactly one of sha256 and key");
  }
  if (section.has("key")) {
    if (key.key.empty()) return section.problem("key", "has no usable value", kSecretForm);
    key.sha256 = sha256_hex(key.key);
    key.key.clear();
  } else if (!is_sha256_hex(key.sha256)) {
    return section.problem("sha256", "is no hash", "64 lower-case hexadecimal digits");
  }
  if (!names.key_hashes.insert(key.sha256).second) {
    return section.problem(section.has("key") ? "key" : "sha256", "the same key stands here twice", "each key once");
  }
  keys.push_back(std::move(key));
}

void read_canonical(Section& section, CanonicalConfig& canonical) {
  for (const auto& [name, mode] :
       {std::pair{"drop_client_headers", &canonical.drop_client_headers}, std::pair{"text_form", &canonical.text_form},
        std::pair{"strip_cache_markers", &canonical.strip_cache_markers},
        std::pair{"tool_layout", &canonical.tool_layout}, std::pair{"sort_schema_keys", &canonical.sort_schema_keys},
        std::pair{"keep_call_arguments", &canonical.keep_call_arguments},
        std::pair{"system_in_place", &canonical.system_in_place}, std::pair{"line_endings", &canonical.line_endings},
        std::pair{"nfc", &canonical.nfc}, std::pair{"round_clock", &canonical.round_clock},
        std::pair{"move_volatile", &canonical.move_volatile}, std::pair{"sort_tools", &canonical.sort_tools}}) {
    section.choice(name, *mode, {"off", "report", "on"});
  }
}

void read_namespace(Section& section, Names& names, std::vector<NamespaceConfig>& namespaces) {
  NamespaceConfig entry;
  read_name(section, entry.name, names.namespaces);
  for (const char* later : {"keep_for", "expire_after", "tiers", "share"}) section.not_yet(later);
  section.section("canonical", [&](Section& canonical) { read_canonical(canonical, entry.canonical); });
  namespaces.push_back(std::move(entry));
}

void read_tenant(Section& section, Names& names, std::vector<TenantConfig>& tenants) {
  TenantConfig tenant;
  read_name(section, tenant.name, names.tenants);
  section.list("keys", [&](Section& key) { read_key(key, names, tenant.keys); });
  section.names("namespaces", tenant.namespaces);
  section.count("weight", tenant.weight, 1, 1000);
  for (const std::string& name : tenant.namespaces) {
    if (names.namespaces.contains(name)) continue;
    section.problem("namespaces", "'" + name + "' is not in the list of namespaces", "a name from namespaces");
  }
  tenants.push_back(std::move(tenant));
}

// The top-level form of a key: it names its tenant and ends up in that tenant's list.
void read_tenant_key(Section& section, Names& names, std::vector<TenantConfig>& tenants) {
  std::vector<KeyConfig> keys;
  read_key(section, names, keys);
  std::string name;
  section.text("tenant", name);
  if (section.listing()) return;
  for (TenantConfig& tenant : tenants) {
    if (tenant.name != name) continue;
    tenant.keys.insert(tenant.keys.end(), keys.begin(), keys.end());
    return;
  }
  section.problem("tenant", name.empty() ? "is missing" : "'" + name + "' is not in the list of tenants",
                  "a name from tenants");
}

void check_tenants_have_keys(Section& top, const std::vector<TenantConfig>& tenants) {
  for (const TenantConfig& tenant : tenants) {
    if (!tenant.keys.empty()) continue;
    top.problem("tenants", "tenant '" + tenant.name + "' has no key, so nobody could be it",
                "at least one key for each tenant, in tenants[].keys or in keys");
  }
}

void read_tiers(Section& section, CacheConfig& cache) {
  section.section("host", [&](Section& host) { host.bytes("capacity", cache.host.capacity, 16 * kMiB, 64 * kTiB); });
  section.section("disk", [&](Section& disk) {
    disk.text("path", cache.disk.path);
    disk.bytes("capacity", cache.disk.capacity, 64 * kMiB, 1024 * kTiB);
    disk.choice("codec", cache.disk.codec, {"exact"});
    disk.choice("write", cache.disk.write, {"on_commit", "on_reuse"});
    disk.count("reader_threads", cache.disk.reader_threads, 1, 64);
    disk.not_yet("write_budget");
  });
}

void read_cache(Section& section, CacheConfig& cache) {
  std::string block_tokens = std::to_string(cache.block_tokens);
  section.choice("block_tokens", block_tokens, {"16", "32", "64", "128"});
  cache.block_tokens = static_cast<std::uint32_t>(*parse_count(block_tokens));
  section.choice("kv_type", cache.kv_type, {"f16", "int8"});
  section.choice("policy", cache.policy, {"lru", "s3fifo", "value"});
  section.secret("secret", cache.secret);
  section.flag("share_numerics", cache.share_numerics);
  section.text("trace_file", cache.trace_file);
  section.bytes("trace_file_size", cache.trace_file_bytes, 1 * kMiB, 1 * kTiB);
  section.section("tiers", [&](Section& tiers) { read_tiers(tiers, cache); });
}

void read_itl_target(Section& section, LatencyTarget& target) {
  std::string text;
  section.text("itl_target", text);
  if (!section.has("itl_target")) return;
  const auto factor = parse_factor(text);
  const auto time = parse_duration(text);
  if (factor && *factor >= kItlFactorLeast && *factor <= kItlFactorMost) {
    target = {*factor, {}};
  } else if (time && *time > milliseconds(0)) {
    target.time = *time;
  } else {
    section.problem("itl_target", "'" + text + "' is no latency", "1x to 1000x, such as 2.5x, or a time such as 50ms");
  }
}

void read_limits(Section& section, LimitsConfig& limits) {
  section.bytes("body_bytes", limits.body_bytes, 1 * kKiB, 1024 * kMiB);
  section.bytes("header_bytes", limits.header_bytes, 1u << 10, 1u << 20);
  section.count("json_depth", limits.json_depth, 8, 512);
  section.count("connections", limits.connections, 1, 1'000'000);
  section.count("requests_running", limits.requests_running, 1, 1024);
  section.count("requests_waiting", limits.requests_waiting, 0, 1'000'000);
  section.count("choices", limits.choices, 1, 128);
  section.count("step_tokens", limits.step_tokens, 1, 65'536);
  read_itl_target(section, limits.itl_target);
  section.choice("speculation", limits.speculation, {"auto", "off"});
  section.count("threads", limits.threads, 0, 1024);
  section.flag("pin_threads", limits.pin_threads);
  section.count("io_threads", limits.io_threads, 1, 64);
  for (const auto& [name, value] :
       {std::pair{"header_timeout", &limits.header_timeout}, std::pair{"body_timeout", &limits.body_timeout},
        std::pair{"write_timeout", &limits.write_timeout}, std::pair{"idle_timeout", &limits.idle_timeout},
        std::pair{"request_timeout", &limits.request_timeout}, std::pair{"drain_timeout", &limits.drain_timeout}}) {
    section.duration(name, *value, milliseconds(100));
  }
}

void read_metrics(Section& section, MetricsConfig& metrics) {
  section.flag("enabled", metrics.enabled);
  section.text("path", metrics.path);
  if (metrics.path.starts_with('/') && metrics.path.find_first_of(" ?#") == std::string::npos) return;
  section.problem("path", "'" + metrics.path + "' is no path", "a path that starts with /");
}

void read_listen(Section& top, std::string& listen) {
  top.text("listen", listen);
  try {
    parse_host_port(listen);
  } catch (const ConfigError& problem) {
    top.problem("listen", problem.what());
  }
}

void read_config(Section& top, Config& config) {
  Names names;
  read_listen(top, config.listen);
  top.section("tls", [&](Section& tls) { read_tls(tls, config.tls); });
  top.list("models", [&](Section& model) { read_model(model, names, config.models); });
  top.list("namespaces", [&](Section& entry) { read_namespace(entry, names, config.namespaces); });
  top.list("tenants", [&](Section& tenant) { read_tenant(tenant, names, config.tenants); });
  top.list("keys", [&](Section& key) { read_tenant_key(key, names, config.tenants); });
  if (!top.listing()) check_tenants_have_keys(top, config.tenants);
  top.section("cache", [&](Section& cache) { read_cache(cache, config.cache); });
  top.section("limits", [&](Section& limits) { read_limits(limits, config.limits); });
  top.section("log", [&](Section& log) {
    log.choice("level", config.log.level, {"trace", "debug", "info", "warn", "error"});
    log.choice("format", config.log.format, {"text", "json"});
  });
  top.section("metrics", [&](Section& metrics) { read_metrics(metrics, config.metrics); });
  top.not_yet("routes");
  top.not_yet("upstreams");
  top.finish();
}

YAML::Node single_document(const std::string& yaml, Problems& problems) {
  try {
    std::vector<YAML::Node> documents = YAML::LoadAll(yaml);
    if (documents.size() > 1) problems.add(0, "", "holds several YAML documents", "one");
    if (documents.empty() || documents[0].IsNull()) {
      problems.add(0, "", "is empty", "at least one key, such as listen");
    } else if (!documents[0].IsMap()) {
      problems.add(documents[0].Mark().line + 1, "", "is not a map of keys", "key: value lines");
    } else {
      return documents[0];
    }
  } catch (const YAML::Exception& failure) {
    problems.add(failure.mark.is_null() ? 0 : failure.mark.line + 1, "", "not YAML: " + failure.msg);
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

}  // namespace

Config parse_config(const std::string& yaml, const std::string& name_for_messages) {
  Reading reading{Problems(name_for_messages)};
  Config config;
  const YAML::Node document = single_document(yaml, reading.problems);
  if (document.IsDefined()) {
    Section top(document, "", reading);
    read_config(top, config);
  }
  if (!reading.problems.empty()) throw ConfigError(reading.problems.message());
  return config;
}

Config load_config(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text(kConfigBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in.is_open() || in.bad()) throw ConfigError(file + ": cannot be read");
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kConfigBytesMax) throw ConfigError(file + ": is over " + format_bytes(kConfigBytesMax));
  return parse_config(text, file);
}

HostPort parse_host_port(const std::string& text) {
  const std::string problem = "'" + text + "' is no address (allowed: HOST:PORT, [IPV6]:PORT, port 0 for a free one)";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) throw ConfigError(problem);
  HostPort address{text.substr(0, colon), 0};
  const auto port = parse_count(std::string_view(text).substr(colon + 1));
  if (!port || *port > 65'535) throw ConfigError(problem);
  address.port = static_cast<std::uint16_t>(*port);
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  } else if (address.host.find(':') != std::string::npos) {
    throw ConfigError(problem);
  }
  if (address.host.empty()) throw ConfigError(problem);
  return address;
}

std::vector<std::string> schema_keys() {
  std::vector<std::string> keys;
  Reading reading{Problems("schema"), &keys};
  Config config;
  Section top(YAML::Node(YAML::NodeType::Undefined), "", reading);
  read_config(top, config);
  return keys;
}

}  // namespace kvasir
