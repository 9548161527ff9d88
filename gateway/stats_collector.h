#pragma once

#include <mutex>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include "storage/tiers/disk_tier.h"

namespace kvasir {

class ModelRegistry;
class TraceRecorder;

// Shows what engines, caches and the disk tier count themselves, read at each scrape: no number is kept twice.
// Thread-safe.
class StatsCollector final : public prometheus::Collectable {
 public:
  void watch(const ModelRegistry* models, const DiskTier* disk, const TraceRecorder* recorder);
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  mutable std::mutex mutex_;
  const ModelRegistry* models_ = nullptr;
  const DiskTier* disk_ = nullptr;
  const TraceRecorder* recorder_ = nullptr;
};

}  // namespace kvasir
