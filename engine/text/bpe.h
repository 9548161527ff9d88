#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "storage/base/ids.h"

namespace kvasir {

// Which two tokens may become one, and in what order: the heart of byte-pair encoding. Immutable after building; any
// thread may use it.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank;  // smaller goes first
    TokenId merged;
  };

  explicit MergeTable(std::size_t merges_expected);
  // The first merge of a pair stays.
  void add(TokenId left, TokenId right, Merge merge);
  const Merge* find(TokenId left, TokenId right) const;

  // Merges `symbols` until no pair is left that can be, always the best rank, the leftmost first, and appends them to
  // `out`. O(n log n). `symbols` is left changed, so that the caller can reuse its memory.
  void merge_all(std::vector<TokenId>& symbols, std::vector<TokenId>& out) const;

 private:
  struct Entry {
    std::uint64_t pair;
    Merge merge;
  };
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  std::size_t slot_of(std::uint64_t pair) const;
  void merge_short(std::vector<TokenId>& symbols) const;
  void merge_long(std::vector<TokenId>& symbols) const;

  std::vector<Entry> entries_;  // open addressing, a power of two
};

}  // namespace kvasir
