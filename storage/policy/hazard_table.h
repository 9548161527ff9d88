#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvasir {

// How soon idle runs of blocks are used again, learned online by class and by age, and what keeping one is worth.
//
// Classes form a tree; each keeps the events (uses) and the exposure (seconds idle) of its runs and of those of all
// classes below it, by log-age bucket, and its hazard is shrunk towards its parent's. A use or a second counts with the
// weight of what is left of the run, so a run of 300 blocks counts as much as one of 3.
//
// The value of a class at an age is the best ratio over all horizons of (chance of a use before) to (expected seconds
// kept until then): the index of the stopping problem that eviction is. Owned by a policy; no locks.
class HazardTable {
 public:
  using ClassId = std::uint16_t;
  static constexpr std::uint32_t kBuckets = 30;  // half octaves from 0.5 s; what is older has no bucket
  // The youngest age in a bucket; of kBuckets: the age from which on a run has no bucket.
  static double border(std::uint32_t bucket);

  // `parents[c]` < c is the parent of class c; that of class 0, the root, is ignored.
  explicit HazardTable(std::vector<ClassId> parents);

  // `weight` of runs in a bucket of a class (and of all above it) from `now` on, or until `now`.
  void enter(ClassId at, std::uint32_t bucket, double weight, double now);
  void leave(ClassId at, std::uint32_t bucket, double weight, double entered, double now);
  void used(ClassId at, std::uint32_t bucket, double weight);  // an event; the leave() is extra

  // Forgets a little, and lets values be computed anew.
  void age_statistics(double now);
  // Uses per second kept, of a run of this class and age. Larger is better kept.
  double value(ClassId at, double age);

  double events(ClassId at) const;
  double open_weight(ClassId at) const;
  ClassId parent(ClassId at) const { return parents_[at]; }
  std::size_t classes() const { return parents_.size(); }

 private:
  struct Cell {
    double events = 0, exposure = 0;
    double open = 0, open_entered = 0;  // weight inside now, and the sum of weight x time of entry
  };
  struct Class {
    std::array<Cell, kBuckets> cells;
    std::array<double, kBuckets> hazard{};
    std::array<double, kBuckets + 1> value{};  // at the borders
    std::uint64_t version = 0;                 // of hazard and value
  };

  void refresh(ClassId at);
  void refresh_hazard(ClassId at);

  std::vector<ClassId> parents_;
  std::vector<Class> classes_;
  std::uint64_t version_ = 1;
  double now_ = 0;
};

}  // namespace kvasir
