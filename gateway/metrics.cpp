#include "gateway/metrics.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "gateway/log.h"
#include "gateway/stats_collector.h"

namespace kvasir {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;
const Buckets kSecondsBuckets{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                              1,     2.5,    5,     10,   25,    60,   120, 300,  600};
const Buckets kGapBuckets{0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02,
                          0.03,   0.05,  0.075,  0.1,   0.25,   0.5,  1,     2.5};

prometheus::Family<prometheus::Histogram>& histogram(prometheus::Registry& registry, const char* name,
                                                     const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

void log_request(const RequestRecord& r) {
  LogFields fields{{"id", r.id},
                   {"tenant", r.tenant},
                   {"model", r.model},
                   {"route", r.route},
                   {"status", std::to_string(r.status)},
                   {"stream", r.stream ? "1" : "0"},
                   {"prompt_tokens", std::to_string(r.prompt.prompt_tokens)},
                   {"cached_host", std::to_string(r.prompt.cached[0])},
                   {"cached_disk", std::to_string(r.prompt.cached[1])},
                   {"completion_tokens", std::to_string(r.completion_tokens)},
                   {"duration_seconds", fmt::format("{:.4f}", r.duration_seconds)}};
  if (r.first_token_seconds) fields.emplace_back("ttft_seconds", fmt::format("{:.4f}", *r.first_token_seconds));
  log_event("request", fields);
}

}  // namespace

std::string_view dominant_source(const PromptUsage& usage) {
  const std::uint32_t host = usage.cached[0], disk = usage.cached[1];
  if (disk > 0 && disk >= host && disk >= usage.computed) return "disk";
  return host > 0 && host >= usage.computed ? "host" : "computed";
}

class Metrics::Impl {
 public:
  prometheus::Registry registry;
  StatsCollector stats;
  prometheus::Family<prometheus::Histogram>& first_token =
      histogram(registry, "kvasir_time_to_first_token_seconds",
                "Arrival of the request to its first token, by the source of most of its prompt");
  prometheus::Family<prometheus::Histogram>& inter_token =
      histogram(registry, "kvasir_inter_token_latency_seconds", "Gap between successive tokens of one answer");
  prometheus::Family<prometheus::Histogram>& queue =
      histogram(registry, "kvasir_request_queue_seconds", "Arrival of the request to its first step");
  prometheus::Family<prometheus::Histogram>& duration =
      histogram(registry, "kvasir_request_duration_seconds", "Arrival of the request to the end of its answer");
  prometheus::Family<prometheus::Counter>& requests = prometheus::BuildCounter()
                                                          .Name("kvasir_http_requests_total")
                                                          .Help("HTTP responses by route and status")
                                                          .Register(registry);
  prometheus::Family<prometheus::Counter>& canonical_changes =
      prometheus::BuildCounter()
          .Name("kvasir_canonical_changes_total")
          .Help("What the canonical rules changed in prompts; mode report: would have changed")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& canonical_requests =
      prometheus::BuildCounter()
          .Name("kvasir_canonical_requests_total")
          .Help("Generating requests in whose prompt a canonical rule changed something")
          .Register(registry);
  prometheus::Gauge& connections = prometheus::BuildGauge()
                                       .Name("kvasir_http_connections")
                                       .Help("Open client connections")
                                       .Register(registry)
                                       .Add({});
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

void Metrics::watch(const ModelRegistry* models, const DiskTier* disk, const TraceRecorder* recorder) {
  impl_->stats.watch(models, disk, recorder);
}

void Metrics::observe_inter_token(const std::string& model, double seconds) {
  impl_->inter_token.Add({{"model", model}}, kGapBuckets).Observe(std::max(0.0, seconds));
}

void Metrics::observe_request(const RequestRecord& record) {
  const std::string source(dominant_source(record.prompt));
  if (record.first_token_seconds)
    impl_->first_token.Add({{"model", record.model}, {"source", source}}, kSecondsBuckets)
        .Observe(*record.first_token_seconds);
  if (record.queue_seconds) impl_->queue.Add({{"model", record.model}}, kSecondsBuckets).Observe(*record.queue_seconds);
  impl_->duration.Add({{"model", record.model}}, kSecondsBuckets).Observe(record.duration_seconds);
  log_request(record);
}

void Metrics::count_response(std::string_view route, std::uint32_t status) {
  impl_->requests.Add({{"route", std::string(route)}, {"status", std::to_string(status)}}).Increment();
}

void Metrics::count_canonical(const CanonicalReport& report) {
  for (const RuleReport& rule : report.rules) {
    const prometheus::Labels labels{{"rule", std::string(rule.rule)}, {"mode", std::string(to_string(rule.mode))}};
    impl_->canonical_changes.Add(labels).Increment(static_cast<double>(rule.changes.count()));
    impl_->canonical_requests.Add(labels).Increment();
  }
}

void Metrics::connection_opened() { impl_->connections.Increment(); }
void Metrics::connection_closed() { impl_->connections.Decrement(); }

std::string Metrics::text() const {
  std::ostringstream out;
  const prometheus::TextSerializer serializer;
  std::vector<prometheus::MetricFamily> families = impl_->registry.Collect();
  for (prometheus::MetricFamily& family : impl_->stats.Collect()) families.push_back(std::move(family));
  serializer.Serialize(out, families);
  return out.str();
}

}  // namespace kvasir
