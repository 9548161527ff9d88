#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "config/units.h"
#include "engine/kv_sizes.h"
#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "gateway/commands/commands.h"
#include "gateway/inspect/shown.h"
#include "gateway/simulate/simulation.h"
#include "gateway/simulate/simulation_report.h"
#include "gateway/simulate/trace_reader.h"
#include "storage/simulator/scale.h"

namespace kvasir {
namespace {

constexpr int kBadInput = 2;

struct Options {
  std::vector<std::string> traces, policies, capacities, tiers;
  std::string model, chart;
  std::uint32_t block_tokens = 0, scale = 1, threads = 0;
  std::uint64_t seed = 1;
  double find = 0, prefill_rate = 0;
  std::uint32_t first_token_ms = 500, output_token_ms = 20;
  bool pinned = false, json = false;
};

[[noreturn]] void stop(const std::string& message) {
  fmt::print(stderr, "kvasir simulate: {}\n", shown(message, 2000));
  throw CLI::RuntimeError(kBadInput);
}

template <class T>
T value_or_stop(Result<T> result) {
  if (!result) stop(result.error().message);
  return std::move(*result);
}

std::vector<Trace> read_traces(const Options& options) {
  TraceReadOptions read{options.block_tokens, std::chrono::milliseconds(options.first_token_ms),
                        std::chrono::milliseconds(options.output_token_ms)};
  std::vector<Trace> traces;
  for (const std::string& path : options.traces) {
    traces.push_back(value_or_stop(read_trace(path, read)));
    if (options.scale > 1) traces.back() = scale_trace(traces.back(), options.scale, options.seed);
  }
  return traces;
}

// Bytes of a block as the CPU backend keeps KV. All traces must agree on the tokens of a block.
std::uint64_t block_bytes_of(const std::string& model, const std::vector<Trace>& traces) {
  const auto file = value_or_stop(GgufFile::open(model));
  const ModelConfig config = value_or_stop(read_model_config(*file));
  for (const Trace& trace : traces)
    if (trace.block_tokens != traces.front().block_tokens)
      stop("with --model the traces must have blocks of the same number of tokens");
  return KvShape::of(config).block_bytes(kKvFormats[0], traces.front().block_tokens);
}

std::uint64_t blocks_in(const std::string& option, const std::string& text, std::uint64_t block_bytes) {
  const auto bytes = parse_bytes(text);
  if (!bytes) stop(fmt::format("{} '{}' is not {}", option, text, kBytesForm));
  if (block_bytes == 0) stop(fmt::format("{} '{}': bytes need --model, which tells a block's", option, text));
  return *bytes / block_bytes;
}

CapacityRequest capacity_of(const std::string& text, std::uint64_t block_bytes) {
  if (text.ends_with('%')) {
    double percent = 0;
    const char* const end = text.data() + text.size() - 1;
    const auto [at, failed] = std::from_chars(text.data(), end, percent);
    if (failed != std::errc() || at != end || !(percent > 0) || percent > 100)
      stop(fmt::format("--capacity '{}' is not above 0% and up to 100%", text));
    return {.share = percent / 100};
  }
  if (const auto blocks = parse_count(text)) return {.share = std::nullopt, .blocks = *blocks};
  return {.share = std::nullopt, .blocks = blocks_in("--capacity", text, block_bytes)};
}

TierCapacities tiers_of(const std::vector<std::string>& texts, std::uint64_t block_bytes) {
  TierCapacities tiers;
  for (const std::string& text : texts) {
    const std::string name = text.substr(0, text.find('='));
    if (name == text || (name != "host" && name != "disk"))
      stop(fmt::format("--tier '{}' is not host=SIZE or disk=SIZE", text));
    const std::uint64_t blocks = blocks_in("--tier " + name, text.substr(name.size() + 1), block_bytes);
    (name == "host" ? tiers.host : tiers.disk) =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(blocks, UINT32_MAX));
  }
  if (tiers.host == 0) stop("--tier host= must have room for a block");
  return tiers;
}

SimulationRequest request_of(const Options& options, std::uint64_t block_bytes) {
  SimulationRequest request;
  for (const std::string& name : options.policies) {
    const auto kind = policy_kind(name);
    if (!kind) stop(fmt::format("--policy '{}' is not lru, s3fifo or value", name));
    request.policies.push_back(*kind);
  }
  if (!options.tiers.empty()) request.tiers = tiers_of(options.tiers, block_bytes);
  if (options.find > 0) request.find = options.find;
  for (const std::string& text : options.capacities) request.capacities.push_back(capacity_of(text, block_bytes));
  request.regime = options.pinned ? Regime::pinned : Regime::unpinned;
  request.threads = options.threads > 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  return request;
}

// On a terminal one line that is written over; for others nothing.
void tell_progress(std::uint64_t done, std::uint64_t all) {
  static const bool terminal = isatty(STDERR_FILENO) == 1;
  if (!terminal || all == 0) return;
  fmt::print(stderr, "\r{} of {} requests, {} %", grouped(done), grouped(all), 100 * done / all);
  std::fflush(stderr);
}

void end_progress() {
  if (isatty(STDERR_FILENO) == 1) fmt::print(stderr, "\r\033[K");
}

void run(const Options& options) {
  const std::vector<Trace> traces = read_traces(options);
  SimulationUnits units{.prefill_tokens_per_second = options.prefill_rate, .scale = options.scale};
  if (!options.model.empty()) units.block_bytes = block_bytes_of(options.model, traces);
  const std::vector<SimulationRow> rows = simulate(traces, request_of(options, units.block_bytes), tell_progress);
  end_progress();
  if (!options.chart.empty()) {
    std::ofstream chart(options.chart);
    chart << to_svg(rows);
    chart.close();
    if (!chart) stop("cannot write " + options.chart);
  }
  if (!options.json) {
    fmt::print("{}", to_text(rows, units));
    return;
  }
  for (const SimulationRow& row : rows) fmt::print("{}\n", to_json(row, units));
}

}  // namespace

void add_simulate_command(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  options->policies = {"lru", "s3fifo", "value"};
  options->capacities = {"1%", "5%", "10%"};
  CLI::App* command = app.add_subcommand(
      "simulate",
      "What a cache would hit on recorded requests: replays traces through the server's own index and eviction "
      "policies, beside the optimum that knows the future. Exit codes: 0 done, 2 a trace or an option cannot be used");
  command->add_option("--trace", options->traces, "trace files: JSON lines, also compressed with Zstandard")
      ->required();
  command->add_option("--policy", options->policies, "lru, s3fifo, value")->delimiter(',')->capture_default_str();
  CLI::Option* capacity =
      command->add_option("--capacity", options->capacities,
                          "shares of a trace's unique blocks (5%), blocks (2000), or with --model bytes (8GiB)");
  capacity->delimiter(',')->capture_default_str();
  CLI::Option* find =
      command->add_option("--find", options->find, "the smallest capacity that hits this share, as 0.9");
  find->check(CLI::Range(0.0, 1.0))->excludes(capacity);
  command->add_option("--tier", options->tiers, "host=8GiB and disk=100GiB: a pool above a disk; needs --model")
      ->delimiter(',')
      ->excludes(capacity)
      ->excludes(find);
  command->add_option("--model", options->model, "GGUF file that tells the bytes of a block");
  command->add_flag("--pinned", options->pinned,
                    "running requests hold their blocks, as in the pool; without it, as in the tiers below");
  command->add_option("--scale", options->scale, "so many times the sessions, each at its own pace")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "of the places in time of further sessions")->capture_default_str();
  command->add_option("--block-tokens", options->block_tokens, "tokens of a block (0: told by the trace)");
  command->add_option("--first-token-ms", options->first_token_ms, "how long to the first token, where not recorded")
      ->capture_default_str();
  command->add_option("--output-token-ms", options->output_token_ms, "and for each token, where not recorded")
      ->capture_default_str();
  command->add_option("--prefill-rate", options->prefill_rate, "tokens per second; tells the prefill seconds saved");
  command->add_option("--threads", options->threads, "replays at once (0: one per core)");
  command->add_option("--chart", options->chart, "write the curves to this SVG file");
  command->add_flag("--json", options->json, "a JSON object per trace, capacity and policy instead of tables");
  command->callback([options] { run(*options); });
}

}  // namespace kvasir
