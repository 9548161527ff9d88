#include <fmt/format.h>

#include "gateway/inspect/kv_plan.h"
#include "gateway/inspect/lines.h"
#include "gateway/inspect/shown.h"
#include "gateway/json_writer.h"

namespace kvasir {
namespace {

std::string requests(std::uint64_t n) { return n == 1 ? "1 request" : grouped(n) + " requests"; }

std::string served_text(KvServed served) {
  switch (served) {
    case KvServed::cpu:
      return "cpu backend";
    case KvServed::reference:
      return "reference backend";
    case KvServed::planned:
      return "not in this build";
  }
  return "";
}

std::string verdict(const KvPlan& plan) {
  const std::string load =
      fmt::format("{} of {} tokens", requests(plan.load.concurrency), grouped(plan.load.context_tokens));
  const bool one = plan.load.concurrency == 1;
  if (plan.fits()) return load + (one ? ": it fits" : ": they fit");
  return fmt::format("{}: {} not fit; {} at this context, or {} tokens each, do", load, one ? "it does" : "they do",
                     requests(plan.served().host.concurrency_max), grouped(plan.served().context_max));
}

void print_load(const KvPlan& plan, Lines& lines) {
  const KvLoad& load = plan.load;
  lines.heading("Load");
  lines.row("a request", fmt::format("{} tokens, {} blocks of {}", grouped(load.context_tokens),
                                     grouped(load.request_blocks()), load.block_tokens));
  lines.row("at once", fmt::format("{}, {} blocks", requests(load.concurrency), grouped(load.blocks())));
  if (load.shared_tokens > 0) {
    lines.row("shared", fmt::format("the first {} tokens: {} whole blocks", grouped(load.shared_tokens),
                                    grouped(load.shared_blocks())));
  }
}

void print_memory(const KvPlan& plan, Lines& lines) {
  lines.heading("Memory");
  lines.row("all", shown_bytes(plan.request.memory_bytes) +
                       (plan.request.memory_is_given ? "" : " (what this machine has available)"));
  lines.row("weights", fmt::format("{} (cpu backend; reference: {})", shown_bytes(plan.served().weights_bytes),
                                   shown_bytes(plan.rows[1].weights_bytes)));
  lines.row("process", fmt::format("{} set aside: activations, tokenizer, buffers", shown_bytes(plan.process_bytes)));
  lines.row("KV pool", fmt::format("{}: the host tier (cpu backend, {})", shown_bytes(plan.served().host.bytes),
                                   plan.request.kv_type));
  lines.row("disk tier", plan.request.disk_bytes == 0 ? "none" : shown_bytes(plan.request.disk_bytes));
}

void print_rows(const KvPlan& plan, Lines& lines) {
  lines.heading("KV");
  std::vector<std::vector<std::string>> table = {{"kept as", "a token", "a request", "all at once", "host: tokens",
                                                  "requests", "longest context", "disk: tokens", "requests",
                                                  "served by"}};
  for (const KvPlan::Row& row : plan.rows) {
    table.push_back({std::string(row.format.name), shown_bytes(row.token_bytes), shown_bytes(row.request_bytes),
                     shown_bytes(row.load_bytes), grouped(row.host.tokens), grouped(row.host.concurrency_max),
                     grouped(row.context_max), grouped(row.disk.tokens), grouped(row.disk.concurrency_max),
                     served_text(row.format.served)});
  }
  lines.table(table);
  lines.sentence("requests: the most of this context that the tier holds; longest context: of " +
                 requests(plan.load.concurrency) + " at once, at most the model's");
}

void write(JsonWriter& json, const KvPlan::Tier& tier) {
  json.begin_object().member("bytes", tier.bytes).member("blocks", tier.blocks).member("tokens", tier.tokens);
  json.member("concurrency_max", tier.concurrency_max).member("fits", tier.fits).end_object();
}

void write(JsonWriter& json, const KvPlan::Row& row) {
  json.begin_object().member("format", row.format.name).member("served_by", served_text(row.format.served));
  json.member("served", row.format.served != KvServed::planned).member("block_bytes", row.block_bytes);
  json.member("token_bytes", row.token_bytes).member("request_bytes", row.request_bytes);
  json.member("load_bytes", row.load_bytes).member("weights_bytes", row.weights_bytes).key("host");
  write(json, row.host);
  json.key("disk");
  write(json, row.disk);
  json.member("context_max", row.context_max).end_object();
}

}  // namespace

std::string to_text(const KvPlan& plan) {
  Lines lines;
  lines.heading(shown(plan.request.path, 1000) + ": " + verdict(plan));
  print_load(plan, lines);
  print_memory(plan, lines);
  print_rows(plan, lines);
  std::string text = lines.take();
  if (!plan.yaml.empty()) text += "\nConfiguration\n" + plan.yaml;
  return text;
}

std::string to_json(const KvPlan& plan) {
  const PlanRequest& r = plan.request;
  JsonWriter json;
  json.begin_object().member("path", r.path).member("fits", plan.fits()).member("context_tokens", r.context_tokens);
  json.member("concurrency", r.concurrency).member("shared_prefix", r.shared_prefix);
  json.member("block_tokens", r.block_tokens)
      .member("kv_type", r.kv_type)
      .member("memory_bytes", r.memory_bytes)
      .member("disk_bytes", r.disk_bytes);
  json.member("model_context_tokens", plan.model_context).member("process_bytes", plan.process_bytes);
  json.member("request_blocks", plan.load.request_blocks()).member("shared_blocks", plan.load.shared_blocks());
  json.member("load_blocks", plan.load.blocks()).key("formats").begin_array();
  for (const KvPlan::Row& row : plan.rows) write(json, row);
  json.end_array();
  plan.yaml.empty() ? json.null_member("yaml") : json.member("yaml", plan.yaml);
  return json.end_object().take();
}

}  // namespace kvasir
