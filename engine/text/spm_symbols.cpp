#include "engine/text/spm_symbols.h"

#include <bit>
#include <cmath>

#include "engine/text/utf8.h"

namespace kvasir {
namespace {

constexpr std::size_t kBasic = 0x10000;

// A bound for the memory that a vocabulary takes; Gemma's 262,144 tokens merge in 514,906 ways.
constexpr std::size_t kMergesMax = 1u << 23;

std::size_t character_length(std::string_view text) {
  const std::size_t length = utf8_length(text);
  return length ? length : 1;
}

// Scores as ranks: smaller goes first, equal stays equal.
std::uint32_t rank_of(float score) {
  if (std::isnan(score)) return 0xFFFFFFFF;
  const auto bits = std::bit_cast<std::uint32_t>(score == 0.0f ? 0.0f : score);
  const std::uint32_t ascending = bits >> 31 ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

// A merge that was found, before the table of all is made.
struct FoundMerge {
  TokenId left, right;
  MergeTable::Merge merge;
};

MergeTable table_of(const std::vector<FoundMerge>& found) {
  MergeTable merges(found.size());
  for (const FoundMerge& f : found) merges.add(f.left, f.right, f.merge);
  return merges;
}

// Where the characters of a text end, with the hash of all before.
struct Cut {
  std::size_t at;
  TextHash head;
};

void cuts_of(std::string_view text, std::vector<Cut>& cuts) {
  cuts.clear();
  TextHash hash;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = at + character_length(text.substr(at));
    for (; at < end; ++at) hash = hash.then(text[at]);
    cuts.push_back({at, hash});
  }
}

}  // namespace

bool is_mergeable(const TokenTable& table, TokenId id) {
  const TokenType type = table.type(id);
  return !table.is_control(id) && type != TokenType::byte && table.text(id).size() <= kMatchedBytesMax;
}

SpmSymbols::SpmSymbols(const TokenTable& table)
    : tokens_(static_cast<TokenId>(table.size())), basic_(kBasic, kNoToken), merges_(0) {
  bytes_.fill(kNoToken);
  joins_space_.resize(table.size());
  for (TokenId id = 0; id < tokens_; ++id) {
    const std::string_view text = table.text(id);
    if (text.empty() || !is_mergeable(table, id) || character_length(text) != text.size()) continue;
    if (TokenId& place = place_of(text); place == kNoToken) place = id;
  }
  add_space_joins(table);
}

void SpmSymbols::add_space_joins(const TokenTable& table) {
  for (TokenId id = 0; id < tokens_; ++id) {
    const std::string_view text = table.text(id);
    if (text.find(kSpaceSymbol, 1) == std::string_view::npos || !is_mergeable(table, id)) continue;
    std::size_t length = 0;
    for (std::size_t at = 0; at < text.size(); at += length) {
      length = character_length(text.substr(at));
      if (!text.substr(at + length).starts_with(kSpaceSymbol)) continue;
      joins_space_[static_cast<std::size_t>(intern(text.substr(at, length)))] = true;
    }
  }
}

TokenId& SpmSymbols::place_of(std::string_view character) {
  if (utf8_length(character) == 0) return bytes_[static_cast<unsigned char>(character[0])];
  const char32_t c = utf8_decode(character);
  return c < kBasic ? basic_[c] : others_.try_emplace(c, kNoToken).first->second;
}

TokenId SpmSymbols::of_character(std::string_view character) const {
  if (utf8_length(character) == 0) return bytes_[static_cast<unsigned char>(character[0])];
  const char32_t c = utf8_decode(character);
  if (c < kBasic) return basic_[c];
  const auto it = others_.find(c);
  return it == others_.end() ? kNoToken : it->second;
}

TokenId SpmSymbols::intern(std::string_view character) {
  TokenId& place = place_of(character);
  if (place == kNoToken) {
    place = tokens_ + static_cast<TokenId>(extra_.size());
    extra_.emplace_back(character);
    joins_space_.push_back(false);
  }
  return place;
}

Result<SpmSymbols> SpmSymbols::by_scores(const TokenTable& table, const std::vector<float>& scores) {
  SpmSymbols symbols(table);
  std::vector<FoundMerge> found;
  std::vector<Cut> cuts;
  std::vector<std::uint64_t> powers = {1};  // of the hash's base, by length
  const auto half = [&](std::string_view text, TextHash hash, bool one_character) {
    if (one_character) return symbols.intern(text);
    const TokenId id = table.index().find(hash, text, {});
    return id != kNoToken && is_mergeable(table, id) ? id : kNoToken;
  };
  for (TokenId id = 0; id < symbols.tokens_; ++id) {
    const std::string_view text = table.text(id);
    if (!is_mergeable(table, id)) continue;
    cuts_of(text, cuts);
    if (cuts.size() < 2 || table.find(text) != id) continue;
    const TextHash whole = cuts.back().head;
    while (powers.size() <= text.size()) powers.push_back(TextHash{0, powers.back()}.then('\0').power);
    const auto rank = rank_of(scores.empty() ? 0.0f : scores[static_cast<std::size_t>(id)]);
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      const auto [at, head] = cuts[i];
      const TokenId left = half(text.substr(0, at), head, i == 0);
      if (left == kNoToken) continue;
      const TokenId right = half(text.substr(at), whole.without(head, powers[text.size() - at]), i + 2 == cuts.size());
      if (right != kNoToken) found.push_back({left, right, {rank, id}});
    }
    if (found.size() > kMergesMax)
      return error(ErrorCode::invalid_argument,
                   "vocabulary: its tokens merge in more than " + std::to_string(kMergesMax) + " ways");
  }
  symbols.merges_ = table_of(found);
  return symbols;
}

Result<SpmSymbols> SpmSymbols::by_list(const TokenTable& table, const std::vector<std::string>& merges) {
  SpmSymbols symbols(table);
  std::vector<FoundMerge> found;
  found.reserve(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string_view merge = merges[rank];
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string::npos)
      return error(ErrorCode::invalid_argument, "vocabulary: merge " + std::to_string(rank) + " is not two tokens");
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    const TextHash left_hash = TextHash::of(left), right_hash = TextHash::of(right);
    const TokenId ids[] = {table.index().find(left_hash, left, {}), table.index().find(right_hash, right, {}),
                           table.index().find(left_hash.then(right_hash), left, right)};
    const auto usable = [&](TokenId id) { return id != kNoToken && is_mergeable(table, id); };
    if (usable(ids[0]) && usable(ids[1]) && usable(ids[2]))
      found.push_back({ids[0], ids[1], {static_cast<std::uint32_t>(rank), ids[2]}});
  }
  symbols.merges_ = table_of(found);
  return symbols;
}

}  // namespace kvasir
