#include "engine/text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <queue>

#include "storage/base/assert.h"
#include "storage/base/prng.h"

namespace kvasir {
namespace {

// Up to here a scan for the best pair is faster than a heap.
constexpr std::size_t kShortPiece = 24;

std::uint64_t pair_of(TokenId left, TokenId right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

MergeTable::MergeTable(std::size_t merges_expected)
    : entries_(std::bit_ceil(merges_expected * 2 + 2), Entry{kEmpty, {}}) {}

std::size_t MergeTable::slot_of(std::uint64_t pair) const {
  const std::size_t mask = entries_.size() - 1;
  std::size_t slot = mix64(pair) & mask;
  while (entries_[slot].pair != kEmpty && entries_[slot].pair != pair) slot = (slot + 1) & mask;
  return slot;
}

void MergeTable::add(TokenId left, TokenId right, Merge merge) {
  const std::uint64_t pair = pair_of(left, right);
  Entry& entry = entries_[slot_of(pair)];
  if (entry.pair == kEmpty) entry = {pair, merge};
}

const MergeTable::Merge* MergeTable::find(TokenId left, TokenId right) const {
  const Entry& entry = entries_[slot_of(pair_of(left, right))];
  return entry.pair == kEmpty ? nullptr : &entry.merge;
}

void MergeTable::merge_all(std::vector<TokenId>& symbols, std::vector<TokenId>& out) const {
  if (symbols.size() <= kShortPiece) {
    merge_short(symbols);
  } else {
    merge_long(symbols);
  }
  out.insert(out.end(), symbols.begin(), symbols.end());
}

void MergeTable::merge_short(std::vector<TokenId>& symbols) const {
  const Merge* merges[kShortPiece] = {};  // merges[i]: of symbols i and i + 1
  std::size_t n = symbols.size();
  for (std::size_t i = 0; i + 1 < n; ++i) merges[i] = find(symbols[i], symbols[i + 1]);
  while (n > 1) {
    std::size_t best = n;
    for (std::size_t i = 0; i + 1 < n; ++i)
      if (merges[i] && (best == n || merges[i]->rank < merges[best]->rank)) best = i;
    if (best == n) break;
    symbols[best] = merges[best]->merged;
    std::copy(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 2, symbols.begin() + static_cast<std::ptrdiff_t>(n),
              symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    std::copy(merges + best + 1, merges + n - 1, merges + best);
    --n;
    if (best > 0) merges[best - 1] = find(symbols[best - 1], symbols[best]);
    if (best + 1 < n) merges[best] = find(symbols[best], symbols[best + 1]);
  }
  symbols.resize(n);
}

// A doubly linked list of symbols and a heap of candidates: the rank of a merge and where it would be, in one number. A
// candidate is stale when the two symbols there now have no merge of that rank; if they have, it does not matter which
// candidate says so.
void MergeTable::merge_long(std::vector<TokenId>& symbols) const {
  KVASIR_ASSERT(symbols.size() < 0xFFFFFFFFu);
  constexpr TokenId kGone = -1;
  constexpr std::uint32_t kNone = 0xFFFFFFFF;
  const auto n = static_cast<std::uint32_t>(symbols.size());
  std::vector<std::uint32_t> previous(n), next(n);
  const auto merge_at = [&](std::uint32_t at) -> const Merge* {
    return at == kNone || symbols[at] == kGone || next[at] == kNone ? nullptr : find(symbols[at], symbols[next[at]]);
  };
  const auto candidate = [](const Merge& merge, std::uint32_t at) { return std::uint64_t{merge.rank} << 32 | at; };
  std::vector<std::uint64_t> candidates;
  for (std::uint32_t i = 0; i < n; ++i) {
    previous[i] = i == 0 ? kNone : i - 1;
    next[i] = i + 1 == n ? kNone : i + 1;
    if (const Merge* merge = merge_at(i)) candidates.push_back(candidate(*merge, i));
  }
  std::priority_queue heap(std::greater<std::uint64_t>(), std::move(candidates));
  while (!heap.empty()) {
    const std::uint64_t best = heap.top();
    heap.pop();
    const auto at = static_cast<std::uint32_t>(best);
    const Merge* merge = merge_at(at);
    if (merge == nullptr || candidate(*merge, at) != best) continue;
    const std::uint32_t gone = next[at];
    symbols[at] = merge->merged;
    symbols[gone] = kGone;
    next[at] = next[gone];
    if (next[at] != kNone) previous[next[at]] = at;
    for (const std::uint32_t place : {previous[at], at})
      if (const Merge* m = merge_at(place)) heap.push(candidate(*m, place));
  }
  std::erase(symbols, kGone);
}

}  // namespace kvasir
