#include "engine/draft_pace.h"

#include <algorithm>
#include <bit>

#include "storage/base/assert.h"

namespace kvasir {
namespace {

constexpr double kGainLeast = 1.03;    // times the tokens a second without drafts
constexpr double kRowFirst = 0.15;     // of a single decode's step: what each row more is taken to cost at first
constexpr double kForgotten = 0.003;   // of what was learned of other numbers of drafts, with each step
constexpr double kOffMost = 1.5;       // a step counts as no longer, nor shorter by more, than this times the expected
constexpr double kSecondsMoved = 0.2;  // how far one step moves what was learned
constexpr double kSecondsMovedByDrafts = 0.01, kStretchMoved = 0.3;

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

// What one number of drafts shows holds for others too, in part.
void DraftPace::learn(std::uint32_t decodes, std::uint32_t drafted, double seconds) {
  KVASIR_ASSERT(decodes > 0 && drafted <= kDraftsMost);
  Steps& steps = steps_[class_of(decodes)];
  if (steps.seconds == 0) steps.seconds = seconds / steps.stretch_by[drafted];
  const double off = std::clamp(seconds / (steps.seconds * steps.stretch_by[drafted]), 1 / kOffMost, kOffMost) - 1;
  steps.seconds *= 1 + (drafted == 0 ? kSecondsMoved : kSecondsMovedByDrafts) * off;
  if (drafted == 0) return;
  const double moved = std::max(kStretchMoved, 1.0 / ++steps.drafted);
  for (std::uint32_t d = 1; d <= kDraftsMost; ++d) {
    double& stretch = steps.stretch_by[d];
    const double alike = d == drafted ? 1 : std::min(1.0, static_cast<double>(d) / drafted) / 2;
    stretch *= 1 + alike * moved * off;
    if (d != drafted) stretch += kForgotten * (stretch_first(decodes, d) - stretch);
  }
  // More drafts take no less, fewer no more.
  const double learned = std::max(1.0, steps.stretch_by[drafted]);
  for (std::uint32_t d = 1; d <= drafted; ++d) steps.stretch_by[d] = std::clamp(steps.stretch_by[d], 1.0, learned);
  for (std::uint32_t d = drafted; d <= kDraftsMost; ++d) steps.stretch_by[d] = std::max(steps.stretch_by[d], learned);
}

}  // namespace kvasir
