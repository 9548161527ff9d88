#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/lookup_drafts.h"

namespace kvasir {

// What a sequence could have checked in a step.
struct DraftOffer {
  const LookupDrafts* drafts = nullptr;
  std::uint32_t most = 0;     // tokens it has a use for
  std::uint32_t granted = 0;  // set by DraftPace::share()
};

// How many drafted tokens a step of decodes checks: as many as bring the most tokens a second, by how likely each is to
// be right and by how much longer steps of such a size took; none unless that is clearly more than without. Owned by
// the scheduler, on the owner thread.
class DraftPace {
 public:
  static constexpr std::uint32_t kDraftsMost = 15;  // of a step, over all sequences

  DraftPace();

  // Of a step with `decodes` sequences, which may take at most `stretch_most` times as long as without drafts.
  void share(std::uint32_t decodes, std::uint32_t tokens_left, double stretch_most, std::span<DraftOffer> offers) const;

  // How many times as long as without drafts the step takes.
  double stretch(std::uint32_t decodes, std::uint32_t drafted) const;

  // A step of decodes alone ended.
  void learn(std::uint32_t decodes, std::uint32_t drafted, double seconds);

 private:
  static constexpr std::size_t kClasses = 8;  // of numbers of decodes: 1, 2, 3 to 4, 5 to 8, ...

  // Steps with about as many decodes. Machine and context change how long they all take, drafts how much longer one is.
  struct Steps {
    double seconds = 0;                                // without drafts
    std::uint32_t drafted = 0;                         // steps that had some
    std::array<double, kDraftsMost + 1> stretch_by{};  // number of drafts
  };

  static std::size_t class_of(std::uint32_t decodes);

  std::array<Steps, kClasses> steps_;
};

}  // namespace kvasir
