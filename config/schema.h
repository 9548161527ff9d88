#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace kvasir {

// The whole configuration as values, with its defaults. config/load.h fills it from YAML; every key with its default
// stands in config/kvasir.yaml, and a test holds the two together. Fields keep the YAML's names and nesting.
struct TlsConfig {
  std::string certificate;          // PEM file, chain; empty: no TLS
  std::string key;                  // PEM file
  std::string min_version = "1.2";  // 1.2 | 1.3
};

struct ModelEntry {
  std::string name;                  // what clients say in "model"
  std::string path;                  // GGUF file
  std::string backend = "cpu";       // cpu | reference
  std::uint32_t context_tokens = 0;  // 0: the model's own
};

struct KeyConfig {
  std::string sha256;  // lower-case hex of the bearer key's SHA-256
  std::string key;     // or the key itself, by ${ENV} or file:PATH; hashed when loaded, then emptied
};

struct TenantConfig {
  std::string name;
  std::vector<KeyConfig> keys;
  std::vector<std::string> namespaces;  // names from `namespaces`
  std::uint32_t weight = 1;             // share of the engine while tenants compete
};

// What is done to prompts so that those that mean the same are the same (gateway/canonical/rules.h); each rule is on,
// off, or only reports what it would do.
struct CanonicalConfig {
  std::string drop_client_headers = "on";
  std::string text_form = "on";
  std::string strip_cache_markers = "on";
  std::string tool_layout = "on";
  std::string sort_schema_keys = "on";
  std::string keep_call_arguments = "on";
  std::string system_in_place = "on";
  std::string line_endings = "off";
  std::string nfc = "off";
  std::string round_clock = "off";
  std::string move_volatile = "off";
  std::string sort_tools = "off";
};

struct NamespaceConfig {
  std::string name;
  CanonicalConfig canonical;
};

struct HostTierConfig {
  std::uint64_t capacity = 2ull << 30;  // bytes
};

struct DiskTierSection {
  std::string path = "cache";            // folder; empty: no disk tier
  std::uint64_t capacity = 20ull << 30;  // bytes, physically
  std::string codec = "exact";           // exact
  std::string write = "on_commit";       // on_commit | on_reuse
  std::uint32_t reader_threads = 4;
};

struct CacheConfig {
  std::uint32_t block_tokens = 32;  // 16 | 32 | 64 | 128
  std::string kv_type = "f16";      // f16 | int8
  std::string policy = "value";     // lru | s3fifo | value
  std::string secret;               // ${ENV} or file:PATH; empty: made once and kept in the disk tier's folder
  bool share_numerics = false;
  std::string trace_file;                       // empty: requests are not recorded
  std::uint64_t trace_file_bytes = 1ull << 30;  // cache.trace_file_size
  HostTierConfig host;                          // cache.tiers.host
  DiskTierSection disk;                         // cache.tiers.disk
};

// How long the gap between two tokens of a running stream may get while prompts prefill beside it.
struct LatencyTarget {
  double factor = 2.0;               // "2x": times the gap without them
  std::chrono::milliseconds time{};  // "50ms": when not zero, this instead
};

struct LimitsConfig {
  std::uint64_t body_bytes = 32ull << 20;
  std::uint32_t header_bytes = 32u << 10;
  std::uint32_t json_depth = 64;
  std::uint32_t connections = 1024;
  std::uint32_t requests_running = 64;   // sequences in one model's batch
  std::uint32_t requests_waiting = 256;  // queued per model; past it 429
  std::uint32_t choices = 16;            // n
  std::uint32_t step_tokens = 512;
  LatencyTarget itl_target;
  std::string speculation = "auto";  // auto | off
  std::uint32_t threads = 0;         // compute threads; 0: one per core
  bool pin_threads = false;          // each to a core of its own
  std::uint32_t io_threads = 2;
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{60'000};
  std::chrono::milliseconds write_timeout{30'000};  // a client that takes nothing for so long is dropped
  std::chrono::milliseconds idle_timeout{75'000};   // keep-alive
  std::chrono::milliseconds request_timeout{600'000};
  std::chrono::milliseconds drain_timeout{30'000};  // SIGTERM: running requests get this long
};

struct LogConfig {
  std::string level = "info";   // trace | debug | info | warn | error
  std::string format = "text";  // text | json
};

struct MetricsConfig {
  bool enabled = true;
  std::string path = "/metrics";
};

struct Config {
  std::string listen = "127.0.0.1:8080";
  TlsConfig tls;
  std::vector<ModelEntry> models;
  std::vector<TenantConfig> tenants;  // none: everyone is the tenant "default" and no key is asked for
  std::vector<NamespaceConfig> namespaces;
  CacheConfig cache;
  LimitsConfig limits;
  LogConfig log;
  MetricsConfig metrics;
};

}  // namespace kvasir
