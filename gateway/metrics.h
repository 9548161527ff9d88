#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "gateway/canonical/report.h"
#include "storage/tiers/disk_tier.h"

namespace kvasir {

class ModelRegistry;
class TraceRecorder;

// What is known of one call that generated, when it ended.
struct RequestRecord {
  std::string id, tenant, model, route;
  std::uint32_t status = 200;  // 499: the client went away
  bool stream = false;
  PromptUsage prompt;
  std::uint64_t completion_tokens = 0;
  double duration_seconds = 0;
  std::optional<double> first_token_seconds = {};  // arrival of the body's last byte to the first token
  std::optional<double> queue_seconds = {};
};

// Prometheus metrics of the process. Thread-safe. What the engines and the disk tier count themselves is read from
// their stats at each scrape; here are only the histograms and what the gateway alone sees.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // From now on text() also shows the stats of these. They outlive the metrics or are taken out with watch(nullptr,
  // ...).
  void watch(const ModelRegistry* models, const DiskTier* disk, const TraceRecorder* recorder = nullptr);

  void observe_inter_token(const std::string& model, double seconds);
  void observe_request(const RequestRecord& record);                  // also writes the log line of the call
  void count_response(std::string_view route, std::uint32_t status);  // `route` is one of a bounded set
  void count_canonical(const CanonicalReport& report);
  void connection_opened();
  void connection_closed();

  std::string text() const;  // exposition format 0.0.4

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Which source a first token is put down to: the one that gave most of the prompt, the deeper one where two are equal.
std::string_view dominant_source(const PromptUsage& usage);

}  // namespace kvasir
