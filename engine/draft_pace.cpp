#include "engine/draft_pace.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "storage/base/assert.h"

namespace kvasir {
namespace {

constexpr double kGainLeast = 1.03;    // times the tokens a second without drafts
constexpr double kRowFirst = 0.15;     // of a single decode's step: what each row more is taken to cost at first
constexpr double kForgotten = 0.003;   // of what was learned of other numbers of drafts, with each step
constexpr double kOffMost = 0.4;       // logarithm: a step counts as no further off what was expected
constexpr double kSecondsMoved = 0.1;  // how far one step moves what was learned
constexpr double kSecondsMovedByDrafts = 0.01, kStretchMoved = 0.15;
constexpr double kAlikeWithin = 2, kAlikeLeast = 0.2;  // numbers of drafts so far apart are moved by so much less

double stretch_first(std::uint32_t decodes, std::size_t drafted) {
  return 1 + kRowFirst * static_cast<double>(drafted) / (1 + kRowFirst * (decodes - 1));
}

}  // namespace

DraftPace::DraftPace() {
  for (std::size_t c = 0; c < kClasses; ++c)
    for (std::size_t d = 0; d <= kDraftsMost; ++d) steps_[c].stretch_by[d] = stretch_first(1u << c, d);
}

std::size_t DraftPace::class_of(std::uint32_t decodes) {
  return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(decodes - 1)), kClasses - 1);
}

double DraftPace::stretch(std::uint32_t decodes, std::uint32_t drafted) const {
  KVASIR_ASSERT(decodes > 0 && drafted <= kDraftsMost);
  return steps_[class_of(decodes)].stretch_by[drafted];
}

void DraftPace::share(std::uint32_t decodes, std::uint32_t tokens_left, double stretch_most,
                      std::span<DraftOffer> offers) const {
  std::vector<double> chances;  // that an offer's next draft is right, all before it included
  for (const DraftOffer& offer : offers) chances.push_back(offer.most > 0 ? offer.drafts->chance(0) : 0);
  std::array<std::size_t, kDraftsMost> order;
  std::uint32_t best = 0;
  double best_rate = kGainLeast * decodes, expected = decodes;
  for (std::uint32_t drafted = 1; drafted <= std::min(kDraftsMost, tokens_left); ++drafted) {
    const auto likeliest = static_cast<std::size_t>(std::max_element(chances.begin(), chances.end()) - chances.begin());
    if (offers.empty() || chances[likeliest] <= 0) break;
    expected += chances[likeliest];
    order[drafted - 1] = likeliest;
    DraftOffer& offer = offers[likeliest];
    ++offer.granted;
    chances[likeliest] = offer.granted < offer.most ? chances[likeliest] * offer.drafts->chance(offer.granted) : 0;
    const double longer = stretch(decodes, drafted);
    if (longer > stretch_most || expected / longer <= best_rate) continue;
    best = drafted;
    best_rate = expected / longer;
  }
  for (DraftOffer& offer : offers) offer.granted = 0;
  for (std::uint32_t i = 0; i < best; ++i) ++offers[order[i]].granted;
}

// What one number of drafts shows holds for others too, the more the closer they are.
void DraftPace::learn(std::uint32_t decodes, std::uint32_t drafted, double seconds) {
  KVASIR_ASSERT(decodes > 0 && drafted <= kDraftsMost);
  Steps& steps = steps_[class_of(decodes)];
  if (steps.seconds == 0) steps.seconds = seconds / steps.stretch_by[drafted];
  const double off = std::log(seconds / (steps.seconds * steps.stretch_by[drafted]));
  const double bounded = std::clamp(off, -kOffMost, kOffMost);
  steps.seconds *= std::exp((drafted == 0 ? kSecondsMoved : kSecondsMovedByDrafts) * bounded);
  if (drafted == 0) return;
  const double moved = std::max(kStretchMoved, 1.0 / ++steps.drafted);
  for (std::uint32_t d = 1; d <= kDraftsMost; ++d) {
    const double away = std::abs(static_cast<double>(d) - drafted);
    double& stretch = steps.stretch_by[d];
    stretch =
        std::max(1.0, stretch * std::exp(std::max(kAlikeLeast, std::exp(-away / kAlikeWithin)) * moved * bounded));
    if (d != drafted) stretch += kForgotten * (stretch_first(decodes, d) - stretch);
  }
}

}  // namespace kvasir
