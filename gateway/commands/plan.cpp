#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "config/schema.h"
#include "config/units.h"
#include "gateway/commands/commands.h"
#include "gateway/inspect/kv_plan.h"
#include "gateway/inspect/shown.h"
#include "gateway/model_registry.h"

namespace kvasir {
namespace {

constexpr int kDoesNotFit = 1;
constexpr int kBadInput = 2;

struct Options {
  std::string memory, disk;
  PlanRequest request;
  bool json = false;
};

[[noreturn]] void stop(const std::string& message) {
  fmt::print(stderr, "kvasir plan: {}\n", shown(message, 2000));
  throw CLI::RuntimeError(kBadInput);
}

template <class T>
T value_or_stop(Result<T> result) {
  if (!result) stop(result.error().message);
  return std::move(*result);
}

std::uint64_t bytes_of(const std::string& option, const std::string& text) {
  const auto bytes = parse_bytes(text);
  if (!bytes) stop(fmt::format("{} '{}' is not {}, such as 16GiB", option, text, kBytesForm));
  return *bytes;
}

void run(const Options& options) {
  PlanRequest request = options.request;
  request.memory_is_given = !options.memory.empty();
  request.memory_bytes = request.memory_is_given ? bytes_of("--memory", options.memory) : available_memory();
  if (request.memory_bytes == 0 && !request.memory_is_given)
    stop("this machine does not say what memory it has; give --memory");
  request.disk_bytes = bytes_of("--disk", options.disk);
  request.name = model_name_of_file(request.path);
  const auto file = value_or_stop(GgufFile::open(request.path));
  const KvPlan plan = value_or_stop(make_plan(*file, std::move(request)));
  fmt::print("{}", options.json ? to_json(plan) + "\n" : to_text(plan));
  if (!plan.fits()) throw CLI::RuntimeError(kDoesNotFit);
}

}  // namespace

void add_plan_command(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  options->disk = format_bytes(DiskTierSection().capacity);
  CLI::App* command = app.add_subcommand(
      "plan",
      "What a load of requests takes: weights, KV by token and by request, what fits in which tier, the most requests "
      "and the longest context, for every way to keep KV; and the configuration for it. Exit codes: 0 it fits, 1 it "
      "does not, 2 the model or an option cannot be used");
  PlanRequest& request = options->request;
  command->add_option("--model", request.path, "GGUF file; any part of a split one")->required();
  command->add_option("--context", request.context_tokens, "tokens of one request, prompt and answer (0: the model's)")
      ->capture_default_str();
  command->add_option("--concurrency", request.concurrency, "requests at once")->capture_default_str();
  command->add_option("--memory", options->memory,
                      "for all of the process, such as 16GiB (default: what is available)");
  command->add_option("--disk", options->disk, "capacity of the disk tier (0: none)")->capture_default_str();
  command->add_option("--block-tokens", request.block_tokens, "tokens in a block: 16, 32, 64 or 128")
      ->capture_default_str();
  command->add_option("--kv-type", request.kv_type, "how the cpu backend keeps KV: f16 or int8")->capture_default_str();
  command->add_option("--shared-prefix", request.shared_prefix, "tokens that all requests begin with")
      ->capture_default_str();
  command->add_flag("--json", options->json, "one JSON object");
  command->callback([options] { run(*options); });
}

}  // namespace kvasir
