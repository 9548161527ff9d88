#include "gateway/inspect/kv_plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "config/schema.h"
#include "config/units.h"
#include "engine/model/model_config.h"
#include "gateway/inspect/model_report.h"
#include "gateway/json/json.h"

namespace kvasir {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;
constexpr std::uint64_t kConcurrencyMax = 1'000'000;
constexpr std::uint64_t kRunningMax = 1024;  // limits.requests_running
constexpr std::uint64_t kRunningDefault = 64;
constexpr std::uint64_t kHostDefault = 2048 * kMiB;
constexpr std::uint64_t kHostLeast = 16 * kMiB, kDiskLeast = 64 * kMiB;  // of cache.tiers

Error wrong(std::string message, std::string option) {
  return error(ErrorCode::invalid_argument, std::move(message), std::move(option));
}

Status check(const PlanRequest& r, std::uint64_t model_context) {
  if (r.context_tokens > model_context) {
    return wrong(
        fmt::format("--context {} is more than the model's context of {} tokens", r.context_tokens, model_context),
        "context");
  }
  if (r.concurrency == 0 || r.concurrency > kConcurrencyMax) {
    return wrong(fmt::format("--concurrency {} is not from 1 to {}", r.concurrency, kConcurrencyMax), "concurrency");
  }
  if (r.shared_prefix > r.context_tokens) {
    return wrong(fmt::format("--shared-prefix {} is more than --context {}", r.shared_prefix, r.context_tokens),
                 "shared-prefix");
  }
  if (r.block_tokens != 16 && r.block_tokens != 32 && r.block_tokens != 64 && r.block_tokens != 128) {
    return wrong(fmt::format("--block-tokens {} is none of 16, 32, 64 and 128", r.block_tokens), "block-tokens");
  }
  if (r.kv_type != "f16" && r.kv_type != "int8") {
    return wrong(fmt::format("--kv-type '{}' is none of f16 and int8", r.kv_type), "kv-type");
  }
  if (r.disk_bytes != 0 && r.disk_bytes < kDiskLeast) {
    return wrong(fmt::format("--disk {} is less than the least disk tier, 64MiB (0: none)", format_bytes(r.disk_bytes)),
                 "disk");
  }
  return Ok{};
}

// What a process takes beside weights and pool, on the safe side (measured: about half of it with SmolLM2-135M): a
// constant, the activations of a step of 512 tokens, 64 rows of logits, and the tokenizer.
std::uint64_t process_bytes(const ModelConfig& config) {
  const std::uint64_t activations =
      std::uint64_t{512} * 4 * (8 * std::uint64_t{config.hidden} + 3 * std::uint64_t{config.ffn});
  return 128 * kMiB + activations + std::uint64_t{config.vocabulary} * (64 * 4 + 512);
}

KvPlan::Tier tier_of(const KvLoad& load, std::uint64_t bytes, std::uint64_t blocks) {
  KvPlan::Tier tier;
  tier.bytes = bytes;
  tier.blocks = blocks;
  tier.tokens = blocks * load.block_tokens;
  tier.concurrency_max = load.concurrency_max(blocks);
  tier.fits = blocks >= load.blocks();
  return tier;
}

std::uint64_t pool_bytes(const KvPlan& plan, std::uint64_t weights) {
  const std::uint64_t taken = weights + plan.process_bytes;
  return plan.request.memory_bytes > taken ? plan.request.memory_bytes - taken : 0;
}

KvPlan::Row row_of(const KvPlan& plan, const KvShape& shape, const KvFormat& format, std::uint64_t weights) {
  const KvLoad& load = plan.load;
  KvPlan::Row row;
  row.format = format;
  row.block_bytes = shape.block_bytes(format, load.block_tokens);
  row.token_bytes = shape.token_bytes(format, load.block_tokens);
  row.request_bytes = host_bytes(load.request_blocks(), row.block_bytes);
  row.load_bytes = host_bytes(load.blocks(), row.block_bytes);
  row.weights_bytes = weights;
  const std::uint64_t pool = pool_bytes(plan, weights), disk = plan.request.disk_bytes;
  row.host = tier_of(load, pool, host_blocks(pool, row.block_bytes));
  row.disk = tier_of(load, disk, disk_blocks(disk, row.block_bytes, load.block_tokens));
  row.context_max = std::min(load.context_max(row.host.blocks), plan.model_context);
  return row;
}

std::string quoted(const std::string& text) {
  std::string out;
  append_json_string(out, text);  // a double-quoted scalar of YAML too
  return out;
}

// All that is left of a given memory; of the machine's, no more than the default or what the load needs.
std::uint64_t host_capacity(const KvPlan& plan) {
  const std::uint64_t pool = plan.served().host.bytes / kMiB * kMiB;
  const std::uint64_t need = (plan.served().load_bytes + kMiB - 1) / kMiB * kMiB;
  const std::uint64_t wanted = plan.request.memory_is_given ? pool : std::max(need, std::min(pool, kHostDefault));
  return std::max(wanted, kHostLeast);
}

std::string yaml_of(const KvPlan& plan) {
  const PlanRequest& r = plan.request;
  std::string yaml = fmt::format("models:\n- name: {}\n  path: {}\n", quoted(r.name), quoted(r.path));
  if (r.context_tokens < plan.model_context) yaml += fmt::format("  context_tokens: {}\n", r.context_tokens);
  yaml += fmt::format("cache:\n  block_tokens: {}\n", r.block_tokens);
  if (r.kv_type != CacheConfig().kv_type) yaml += fmt::format("  kv_type: {}\n", r.kv_type);
  yaml += fmt::format("  tiers:\n    host: {{capacity: {}}}\n", format_bytes(host_capacity(plan)));
  yaml += r.disk_bytes == 0 ? "    disk: {path: \"\"}\n"
                            : fmt::format("    disk: {{path: cache, capacity: {}}}\n", format_bytes(r.disk_bytes));
  if (r.concurrency > kRunningDefault) {
    yaml += fmt::format("limits:\n  requests_running: {}\n", std::min(r.concurrency, kRunningMax));
  }
  return yaml;
}

}  // namespace

Result<KvPlan> make_plan(const GgufFile& file, PlanRequest request) {
  const Result<ModelConfig> config = read_model_config(file);
  if (!config) return config.error();
  if (request.context_tokens == 0) request.context_tokens = config->context_tokens;
  if (Status good = check(request, config->context_tokens); !good) return std::move(good).error();
  KvPlan plan;
  plan.load = {request.context_tokens, request.concurrency, request.shared_prefix, request.block_tokens};
  plan.model_context = config->context_tokens;
  plan.process_bytes = process_bytes(*config);
  plan.request = std::move(request);
  const std::uint64_t packed = weights_bytes(file, "cpu"), floats = weights_bytes(file, "reference");
  for (const KvFormat& format : kKvFormats) {
    if (format.name == plan.request.kv_type) plan.served_row = plan.rows.size();
    const std::uint64_t weights = format.served == KvServed::reference ? floats : packed;
    plan.rows.push_back(row_of(plan, KvShape::of(*config), format, weights));
  }
  if (plan.fits()) plan.yaml = yaml_of(plan);
  return plan;
}

}  // namespace kvasir
