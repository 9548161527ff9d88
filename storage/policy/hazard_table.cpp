#include "storage/policy/hazard_table.h"

#include <algorithm>
#include <cmath>

#include "storage/base/assert.h"

namespace kvasir {
namespace {

constexpr double kFirstBorder = 0.5;  // seconds
constexpr double kPriorRuns = 4;      // weight of the parent's hazard, in runs
constexpr double kPriorUse = 0.02;    // chance of a use per bucket before anything is known
constexpr double kForget = 0.99;

using Borders = std::array<double, HazardTable::kBuckets + 1>;
const Borders kBorders = [] {
  Borders borders{};
  for (std::uint32_t k = 1; k < borders.size(); ++k) borders[k] = kFirstBorder * std::exp2((k - 1) / 2.0);
  return borders;
}();

double width(std::uint32_t bucket) { return kBorders[bucket + 1] - kBorders[bucket]; }

}  // namespace

double HazardTable::border(std::uint32_t bucket) { return kBorders[bucket]; }

HazardTable::HazardTable(std::vector<ClassId> parents) : parents_(std::move(parents)), classes_(parents_.size()) {
  for (std::size_t c = 1; c < parents_.size(); ++c) KVASIR_ASSERT(parents_[c] < c);
}

void HazardTable::enter(ClassId at, std::uint32_t bucket, double weight, double now) {
  for (;; at = parents_[at]) {
    Cell& cell = classes_[at].cells[bucket];
    cell.open += weight;
    cell.open_entered += weight * now;
    if (at == 0) return;
  }
}

void HazardTable::leave(ClassId at, std::uint32_t bucket, double weight, double entered, double now) {
  for (;; at = parents_[at]) {
    Cell& cell = classes_[at].cells[bucket];
    cell.open -= weight;
    cell.open_entered -= weight * entered;
    cell.exposure += weight * (now - entered);
    if (at == 0) return;
  }
}

void HazardTable::used(ClassId at, std::uint32_t bucket, double weight) {
  for (;; at = parents_[at]) {
    classes_[at].cells[bucket].events += weight;
    if (at == 0) return;
  }
}

void HazardTable::age_statistics(double now) {
  now_ = now;
  ++version_;
  for (Class& c : classes_)
    for (Cell& cell : c.cells) {
      cell.events *= kForget;
      cell.exposure *= kForget;
    }
}

void HazardTable::refresh_hazard(ClassId at) {
  Class& c = classes_[at];
  const Class* const above = at == 0 ? nullptr : &classes_[parents_[at]];
  for (std::uint32_t k = 0; k < kBuckets; ++k) {
    const Cell& cell = c.cells[k];
    const double prior = above ? above->hazard[k] : -std::log1p(-kPriorUse) / width(k);
    const double prior_events = kPriorRuns * -std::expm1(-prior * width(k));
    const double exposure = cell.exposure + std::max(0.0, cell.open * now_ - cell.open_entered);
    c.hazard[k] = (cell.events + prior_events) / (exposure + prior_events / prior);
  }
}

void HazardTable::refresh(ClassId at) {
  Class& c = classes_[at];
  if (c.version == version_) return;
  if (at != 0) refresh(parents_[at]);
  refresh_hazard(at);
  c.version = version_;
  std::array<double, kBuckets> chance, kept;  // of a use within a bucket, and the seconds until it or the border
  for (std::uint32_t k = 0; k < kBuckets; ++k) {
    chance[k] = -std::expm1(-c.hazard[k] * width(k));
    kept[k] = chance[k] / c.hazard[k];
  }
  for (std::uint32_t k = 0; k < kBuckets; ++k) {
    double used = 0, seconds = 0, idle = 1, best = 0;
    for (std::uint32_t j = k; j < kBuckets; ++j) {
      used += idle * chance[j];
      seconds += idle * kept[j];
      idle *= 1 - chance[j];
      if (used > best * seconds) best = used / seconds;
    }
    c.value[k] = best;
  }
  c.value[kBuckets] = c.value[kBuckets - 1] * kBorders[kBuckets - 1] / kBorders[kBuckets];
}

double HazardTable::value(ClassId at, double age) {
  refresh(at);
  const auto& value = classes_[at].value;
  if (age >= kBorders[kBuckets]) return value[kBuckets] * kBorders[kBuckets] / age;
  std::uint32_t k = 0;
  if (age >= kFirstBorder) k = 1 + static_cast<std::uint32_t>(2 * std::log2(age / kFirstBorder));
  k = std::min(k, kBuckets - 1);
  const double part = std::clamp((age - kBorders[k]) / width(k), 0.0, 1.0);
  return value[k] + (value[k + 1] - value[k]) * part;
}

double HazardTable::events(ClassId at) const {
  double sum = 0;
  for (const Cell& cell : classes_[at].cells) sum += cell.events;
  return sum;
}

double HazardTable::open_weight(ClassId at) const {
  double sum = 0;
  for (const Cell& cell : classes_[at].cells) sum += cell.open;
  return sum;
}

}  // namespace kvasir
