#include "gateway/stats_collector.h"

#include <array>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <utility>

#include <unistd.h>

#include "gateway/model_registry.h"
#include "gateway/trace_recorder.h"
#include "gateway/version.h"

namespace kvasir {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::initializer_list<std::pair<const char*, std::string_view>>;

// One metric family under construction.
class FamilyBuilder {
 public:
  FamilyBuilder(const char* name, const char* help, MetricType type) : family_{name, help, type, {}} {}
  template <class Number>
  FamilyBuilder& add(Labels labels, Number value) {
    prometheus::ClientMetric metric;
    for (const auto& [name, text] : labels) metric.label.push_back({name, std::string(text)});
    (family_.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = static_cast<double>(value);
    family_.metric.push_back(std::move(metric));
    return *this;
  }
  const MetricFamily& family() const { return family_; }

 private:
  MetricFamily family_;
};

struct ModelStats {
  std::string_view model;
  EngineStats stats;
  std::uint64_t block_bytes = 0;
};
using AllStats = std::vector<ModelStats>;
using Families = std::vector<MetricFamily>;

void add_family(Families& out, const char* name, const char* help, MetricType type, const AllStats& all, auto value) {
  FamilyBuilder family(name, help, type);
  for (const ModelStats& m : all) family.add({{"model", m.model}}, value(m.stats));
  out.push_back(family.family());
}

void add_tokens(Families& out, const AllStats& all) {
  FamilyBuilder prompt("kvasir_prompt_tokens_total", "Prompt tokens by where their KV came from", MetricType::Counter);
  for (const ModelStats& m : all) {
    for (std::size_t tier = 0; tier < kTierCount; ++tier)
      prompt.add({{"model", m.model}, {"source", to_string(static_cast<Tier>(tier))}},
                 m.stats.prompt_tokens_cached[tier]);
    prompt.add({{"model", m.model}, {"source", "computed"}}, m.stats.prompt_tokens_computed);
  }
  out.push_back(prompt.family());
  add_family(out, "kvasir_generated_tokens_total", "Tokens generated", MetricType::Counter, all,
             [](const EngineStats& s) { return s.tokens_generated; });
  add_family(out, "kvasir_drafted_tokens_total", "Guesses of next tokens that were checked", MetricType::Counter, all,
             [](const EngineStats& s) { return s.tokens_drafted; });
  add_family(out, "kvasir_accepted_tokens_total", "Tokens that came without a step of their own, having been guessed",
             MetricType::Counter, all, [](const EngineStats& s) { return s.tokens_accepted; });
  add_family(out, "kvasir_recomputed_tokens_total", "Tokens computed again after a preemption", MetricType::Counter,
             all, [](const EngineStats& s) { return s.tokens_recomputed; });
}

void add_engine(Families& out, const AllStats& all) {
  add_family(out, "kvasir_steps_total", "Steps of the engine", MetricType::Counter, all,
             [](const EngineStats& s) { return s.steps; });
  add_family(out, "kvasir_preemptions_total", "Sequences pushed out of the batch for memory", MetricType::Counter, all,
             [](const EngineStats& s) { return s.preemptions; });
  add_family(out, "kvasir_sequences_running", "Sequences in the batch", MetricType::Gauge, all,
             [](const EngineStats& s) { return s.running; });
  add_family(out, "kvasir_sequences_waiting", "Sequences queued", MetricType::Gauge, all,
             [](const EngineStats& s) { return s.waiting; });
  add_family(out, "kvasir_sequences_loading", "Sequences waiting for blocks from disk", MetricType::Gauge, all,
             [](const EngineStats& s) { return s.loading; });
}

constexpr std::array kStepParts{"step", "decode", "prefill_token", "decode_context_token", "prefill_context_token"};

void add_pace(Families& out, const AllStats& all) {
  FamilyBuilder parts("kvasir_step_model_seconds", "What each of these adds to a step, as learned from the latest ones",
                      MetricType::Gauge);
  for (const ModelStats& m : all)
    for (std::size_t part = 0; part < kStepParts.size(); ++part)
      parts.add({{"model", m.model}, {"part", kStepParts[part]}}, m.stats.step_seconds_parts[part]);
  out.push_back(parts.family());
  add_family(out, "kvasir_prefill_budget_tokens", "Prefill tokens that the last step with prefill might have had",
             MetricType::Gauge, all, [](const EngineStats& s) { return s.prefill_budget; });
}

void add_tenants(Families& out, const AllStats& all) {
  FamilyBuilder tokens("kvasir_tenant_computed_tokens_total", "Tokens computed for a tenant, prefill and decode",
                       MetricType::Counter);
  FamilyBuilder waiting("kvasir_tenant_sequences_waiting", "Sequences of a tenant that are queued", MetricType::Gauge);
  FamilyBuilder oldest("kvasir_tenant_oldest_waiting_seconds", "Age of a tenant's oldest queued sequence",
                       MetricType::Gauge);
  const TimePoint now = Clock::now();
  for (const ModelStats& m : all) {
    for (const TenantStats& tenant : m.stats.tenants) {
      const Labels labels{{"model", m.model}, {"tenant", tenant.tenant}};
      tokens.add(labels, tenant.tokens_computed);
      waiting.add(labels, tenant.waiting);
      oldest.add(labels, tenant.oldest_waiting ? seconds_between(*tenant.oldest_waiting, now) : 0.0);
    }
  }
  for (const FamilyBuilder* family : {&tokens, &waiting, &oldest}) out.push_back(family->family());
}

void add_blocks(Families& out, const AllStats& all) {
  FamilyBuilder blocks("kvasir_blocks", "Blocks by tier and state", MetricType::Gauge);
  FamilyBuilder bytes("kvasir_tier_bytes", "Bytes of blocks held by a tier", MetricType::Gauge);
  FamilyBuilder evictions("kvasir_evictions_total", "Blocks dropped from a tier", MetricType::Counter);
  for (const ModelStats& m : all) {
    const PrefixCacheStats& cache = m.stats.cache;
    blocks.add({{"model", m.model}, {"tier", "host"}, {"state", "free"}}, cache.host.free);
    blocks.add({{"model", m.model}, {"tier", "host"}, {"state", "filling"}}, cache.host.filling);
    blocks.add({{"model", m.model}, {"tier", "host"}, {"state", "leased"}}, cache.host.leased);
    blocks.add({{"model", m.model}, {"tier", "host"}, {"state", "cached"}}, cache.host.cached);
    blocks.add({{"model", m.model}, {"tier", "disk"}, {"state", "stored"}}, cache.disk_blocks);
    bytes.add({{"model", m.model}, {"tier", "host"}}, cache.host_bytes);
    bytes.add({{"model", m.model}, {"tier", "disk"}}, cache.disk_bytes);
    for (std::size_t tier = 0; tier < kTierCount; ++tier)
      for (std::size_t reason = 0; reason < kEvictionReasonCount; ++reason)
        evictions.add({{"model", m.model},
                       {"tier", to_string(static_cast<Tier>(tier))},
                       {"reason", to_string(static_cast<EvictionReason>(reason))}},
                      cache.evictions[tier][reason]);
  }
  for (const FamilyBuilder* family : {&blocks, &bytes, &evictions}) out.push_back(family->family());
}

void add_cache(Families& out, const AllStats& all) {
  FamilyBuilder corrupt("kvasir_corrupt_records_total", "Records on disk that were not used, by what was wrong",
                        MetricType::Counter);
  for (const ModelStats& m : all)
    for (std::size_t fault = 0; fault < kRecordFaultCount; ++fault)
      corrupt.add({{"model", m.model}, {"reason", to_string(static_cast<RecordFault>(fault))}},
                  m.stats.cache.record_faults[fault]);
  out.push_back(corrupt.family());
  const auto counter = [&](const char* name, const char* help, auto value) {
    add_family(out, name, help, MetricType::Counter, all, [&](const EngineStats& s) { return value(s.cache); });
  };
  counter("kvasir_blocks_committed_total", "Full blocks made visible",
          [](const PrefixCacheStats& c) { return c.blocks_committed; });
  counter("kvasir_blocks_duplicate_total", "Blocks computed twice at the same time",
          [](const PrefixCacheStats& c) { return c.blocks_duplicate; });
  counter("kvasir_disk_blocks_written_total", "Blocks written to the disk tier",
          [](const PrefixCacheStats& c) { return c.disk_blocks_written; });
  counter("kvasir_disk_blocks_durable_total", "Blocks that survive a crash",
          [](const PrefixCacheStats& c) { return c.disk_blocks_durable; });
  counter("kvasir_disk_blocks_loaded_total", "Blocks read from the disk tier",
          [](const PrefixCacheStats& c) { return c.disk_blocks_loaded; });
  counter("kvasir_disk_writes_skipped_total", "Blocks not written: queue full or disk full",
          [](const PrefixCacheStats& c) { return c.disk_writes_skipped; });
  counter("kvasir_disk_written_bytes_total", "Bytes of blocks written to the disk tier",
          [](const PrefixCacheStats& c) { return c.disk_bytes_written; });
  counter("kvasir_disk_read_bytes_total", "Bytes of blocks read from the disk tier",
          [](const PrefixCacheStats& c) { return c.disk_bytes_read; });
}

void add_disk(Families& out, const DiskStats& disk) {
  const auto one = [&](const char* name, const char* help, MetricType type, auto value) {
    out.push_back(FamilyBuilder(name, help, type).add({}, value).family());
  };
  one("kvasir_disk_physical_bytes", "Bytes of the disk tier's folder as du counts them", MetricType::Gauge,
      disk.physical_bytes);
  one("kvasir_disk_writable", "1 while the disk tier takes writes", MetricType::Gauge, disk.writable ? 1 : 0);
  one("kvasir_disk_records", "Records in the disk tier", MetricType::Gauge, disk.records);
  one("kvasir_disk_write_errors_total", "Writes that the disk refused", MetricType::Counter, disk.write_errors);
  one("kvasir_disk_records_reclaimed_total", "Records dropped to make room", MetricType::Counter,
      disk.records_reclaimed);
  one("kvasir_disk_records_reappended_total", "Records kept by writing them again", MetricType::Counter,
      disk.records_reappended);
}

void add_capacity(Families& out, const AllStats& all, const DiskTier* disk) {
  FamilyBuilder capacity("kvasir_tier_capacity_bytes", "What a tier may hold", MetricType::Gauge);
  for (const ModelStats& m : all)
    capacity.add({{"model", m.model}, {"tier", "host"}}, m.stats.cache.host.total * m.block_bytes);
  if (disk) capacity.add({{"tier", "disk"}}, disk->stats().capacity_bytes);
  out.push_back(capacity.family());
  if (disk) add_disk(out, disk->stats());
}

void add_recorder(Families& out, const TraceRecorder::Counts& counts) {
  FamilyBuilder requests(
      "kvasir_trace_requests_total",
      "Requests for cache.trace_file: recorded, dropped because they came too fast, or failed to write",
      MetricType::Counter);
  requests.add({{"result", "recorded"}}, counts.recorded);
  requests.add({{"result", "dropped"}}, counts.dropped);
  requests.add({{"result", "failed"}}, counts.failed);
  out.push_back(requests.family());
}

std::uint64_t resident_bytes() {
  unsigned long size = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (!file) return 0;
  const int fields = std::fscanf(file, "%lu %lu", &size, &resident);
  std::fclose(file);
  return fields == 2 ? resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

void add_process(Families& out) {
  out.push_back(FamilyBuilder("kvasir_build_info", "The running build; always 1", MetricType::Gauge)
                    .add({{"version", kVersion}, {"revision", kRevision}}, 1)
                    .family());
  out.push_back(FamilyBuilder("kvasir_process_resident_bytes", "Resident memory of the process", MetricType::Gauge)
                    .add({}, resident_bytes())
                    .family());
}

}  // namespace

void StatsCollector::watch(const ModelRegistry* models, const DiskTier* disk, const TraceRecorder* recorder) {
  const std::lock_guard lock(mutex_);
  models_ = models;
  disk_ = disk;
  recorder_ = recorder;
}

Families StatsCollector::Collect() const {
  const std::lock_guard lock(mutex_);
  Families out;
  AllStats all;
  if (models_)
    for (const auto& model : models_->models())
      all.push_back({model->name, model->engine->stats(), model->engine->backend().block_bytes});
  add_tokens(out, all);
  add_engine(out, all);
  add_pace(out, all);
  add_tenants(out, all);
  add_blocks(out, all);
  add_cache(out, all);
  add_capacity(out, all, disk_);
  if (recorder_) add_recorder(out, recorder_->counts());
  add_process(out);
  std::erase_if(out, [](const MetricFamily& family) { return family.metric.empty(); });
  return out;
}

}  // namespace kvasir
