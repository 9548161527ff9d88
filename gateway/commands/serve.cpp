#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "config/load.h"
#include "gateway/auth.h"
#include "gateway/commands/commands.h"
#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/model_registry.h"
#include "gateway/routes.h"
#include "gateway/server.h"
#include "gateway/tls.h"
#include "gateway/trace_recorder.h"
#include "storage/tiers/disk_tier.h"

namespace kvasir {
namespace {

constexpr int kFailed = 1;
constexpr int kBadConfiguration = 2;

struct ServeOptions {
  std::string config, model, listen, cache_dir, kv_type;
  std::uint32_t threads = 0;
};

[[noreturn]] void fail(int exit_code, const std::string& message) {
  fmt::print(stderr, "kvasir: {}\n", message);
  throw CLI::RuntimeError(exit_code);
}

// Bad input of the operator is a configuration error; what the machine refuses is a failure.
int exit_code_of(const Error& e) { return e.code == ErrorCode::io ? kFailed : kBadConfiguration; }

template <class T>
T value_or_fail(Result<T> result) {
  if (!result) fail(exit_code_of(result.error()), result.error().message);
  return std::move(result).value();
}

ModelEntry entry_for_file(const Config& config, const std::string& path) {
  for (const ModelEntry& entry : config.models)
    if (entry.path == path) return entry;
  ModelEntry entry;
  entry.path = path;
  entry.name = model_name_of_file(path);
  return entry;
}

Config resolve(const ServeOptions& options) {
  try {
    Config config = options.config.empty() ? Config() : load_config(options.config);
    if (!options.model.empty()) config.models = {entry_for_file(config, options.model)};
    if (!options.listen.empty()) config.listen = options.listen;
    if (!options.cache_dir.empty()) config.cache.disk.path = options.cache_dir;
    if (!options.kv_type.empty()) config.cache.kv_type = options.kv_type;
    if (options.threads > 0) config.limits.threads = options.threads;
    (void)parse_host_port(config.listen);
    if (config.models.empty())
      fail(kBadConfiguration, "no model to serve: give --model FILE.gguf, or --config FILE with 'models'");
    return config;
  } catch (const ConfigError& e) {
    fail(kBadConfiguration, e.what());
  }
}

std::unique_ptr<DiskTier> open_disk(const Config& config) {
  if (config.cache.disk.path.empty()) return nullptr;
  DiskTierConfig disk;
  disk.path = config.cache.disk.path;
  disk.capacity_bytes = config.cache.disk.capacity;
  disk.reader_threads = config.cache.disk.reader_threads;
  Result<std::unique_ptr<DiskTier>> tier = DiskTier::open(disk);
  if (!tier) fail(kFailed, fmt::format("the disk tier in {}: {}", disk.path, tier.error().message));
  return std::move(tier).value();
}

std::unique_ptr<TraceRecorder> open_recorder(const CacheConfig& cache) {
  if (cache.trace_file.empty()) return nullptr;
  return value_or_fail(TraceRecorder::open(cache.trace_file, cache.trace_file_bytes));
}

void load_models(const Config& config, DiskTier* disk, TraceRecorder* recorder, ModelRegistry& models) {
  for (const ModelEntry& entry : config.models) {
    spdlog::info("loading model {} from {}", entry.name, entry.path);
    Result<std::unique_ptr<Model>> model = load_model(entry, config, disk, recorder);
    if (!model) fail(kBadConfiguration, model.error().message);
    models.add(std::move(model).value());
  }
}

void print_ready(const Config& config, const ModelRegistry& models, std::uint16_t port) {
  HostPort where = parse_host_port(config.listen);
  if (where.host.find(':') != std::string::npos) where.host = "[" + where.host + "]";
  std::string names;
  for (const auto& model : models.models())
    names += fmt::format("{}model {}, {}", names.empty() ? "" : "; ", model->name, model->summary);
  fmt::print("kvasir ready on {}://{}:{} ({})\n", config.tls.certificate.empty() ? "http" : "https", where.host, port,
             names);
  std::fflush(stdout);
}

// The composition root: everything that lives as long as the server, in the order in which it may go away again.
void serve(const ServeOptions& options) {
  const Config config = resolve(options);
  init_log(config.log);
  std::unique_ptr<TlsContext> tls;
  if (!config.tls.certificate.empty()) tls = value_or_fail(TlsContext::load(config.tls));
  const std::unique_ptr<DiskTier> disk = open_disk(config);
  const std::unique_ptr<TraceRecorder> recorder = open_recorder(config.cache);
  const Authenticator authenticator(config.tenants,
                                    value_or_fail(cache_secret(config.cache.secret, config.cache.disk.path)));
  ModelRegistry models;
  Metrics metrics;
  Routes routes(config, models, authenticator, metrics);
  Server server(config, routes, tls.get());
  value_or_fail(server.listen());
  load_models(config, disk.get(), recorder.get(), models);
  metrics.watch(&models, disk.get(), recorder.get());
  print_ready(config, models, server.port());
  server.run(true, [&models] { models.drain(); });
  metrics.watch(nullptr, nullptr, nullptr);
  spdlog::info("stopped serving; flushing the cache");
}

void run(const ServeOptions& options) {
  try {
    serve(options);
  } catch (const CLI::Error&) {
    throw;
  } catch (const std::exception& e) {
    fail(kFailed, e.what());
  }
}

}  // namespace

void add_serve_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("serve", "Serve models over HTTP until SIGTERM or SIGINT");
  const auto options = std::make_shared<ServeOptions>();
  command->add_option("--config", options->config, "YAML configuration; the flags below win over it");
  command->add_option("--model", options->model, "GGUF file to serve, under its file's name");
  command->add_option("--listen", options->listen, "HOST:PORT (port 0: any free one)");
  command->add_option("--cache-dir", options->cache_dir, "folder of the disk tier");
  command->add_option("--kv-type", options->kv_type, "how the cpu backend keeps KV: f16 or int8")
      ->check(CLI::IsMember({"f16", "int8"}));
  command->add_option("--threads", options->threads, "compute threads (0: one per core)");
  command->callback([options] { run(*options); });
}

}  // namespace kvasir
