#include "engine/text/bpe.h"

#include <algorithm>
#include <bit>
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

// A doubly linked list of symbols and a heap of candidate merges. A candidate is stale when one of its two symbols has
// changed since; that shows in their ids, because a merge gives the left place a longer token and empties the right
// one.
void MergeTable::merge_long(std::vector<TokenId>& symbols) const {
  KVASIR_ASSERT(symbols.size() < 0xFFFFFFFFu);
  constexpr TokenId kGone = -1;
  constexpr std::uint32_t kNone = 0xFFFFFFFF;
  struct Candidate {
    std::uint32_t rank, at, next;
    TokenId left, right, merged;
    bool operator<(const Candidate& o) const { return rank != o.rank ? rank > o.rank : at > o.at; }
  };
  const auto n = static_cast<std::uint32_t>(symbols.size());
  std::vector<std::uint32_t> previous(n), next(n);
  std::vector<Candidate> candidates;
  const auto candidate = [&](std::uint32_t at, std::uint32_t after) -> const Merge* {
    return at == kNone || after == kNone ? nullptr : find(symbols[at], symbols[after]);
  };
  for (std::uint32_t i = 0; i < n; ++i) {
    previous[i] = i == 0 ? kNone : i - 1;
    next[i] = i + 1 == n ? kNone : i + 1;
    if (const Merge* m = candidate(i, next[i]))
      candidates.push_back({m->rank, i, next[i], symbols[i], symbols[next[i]], m->merged});
  }
  std::priority_queue<Candidate> heap(std::less<Candidate>(), std::move(candidates));
  while (!heap.empty()) {
    const Candidate best = heap.top();
    heap.pop();
    if (symbols[best.at] != best.left || next[best.at] != best.next || symbols[best.next] != best.right) continue;
    symbols[best.at] = best.merged;
    symbols[best.next] = kGone;
    next[best.at] = next[best.next];
    if (next[best.at] != kNone) previous[next[best.at]] = best.at;
    if (const Merge* m = candidate(previous[best.at], best.at))
      heap.push({m->rank, previous[best.at], best.at, symbols[previous[best.at]], best.merged, m->merged});
    if (const Merge* m = candidate(best.at, next[best.at]))
      heap.push({m->rank, best.at, next[best.at], best.merged, symbols[next[best.at]], m->merged});
  }
  std::erase(symbols, kGone);
}

}  // namespace kvasir
