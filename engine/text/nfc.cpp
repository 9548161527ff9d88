#include "engine/text/nfc.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "engine/text/utf8.h"

namespace kvasir {
namespace {

#include "engine/text/nfc_table.inc"

// Lead byte of U+0300: below that everything is in form NFC and nothing combines.
constexpr unsigned char kFirstLead = 0xCC;

// Hangul syllables are put together by arithmetic (Unicode, section 3.12).
constexpr char32_t kSyllables = 0xAC00, kLeading = 0x1100, kVowels = 0x1161, kTrailing = 0x11A7;
constexpr char32_t kLeadingCount = 19, kVowelCount = 21, kTrailingCount = 28;
constexpr char32_t kSyllableCount = kLeadingCount * kVowelCount * kTrailingCount;

// A byte that is no part of a character, beside the characters.
constexpr char32_t kBrokenByte = 0x110000;

struct Tables {
  std::unordered_map<char32_t, std::pair<char32_t, char32_t>> parts;
  std::unordered_map<std::uint64_t, char32_t> composed;
  std::unordered_map<char32_t, std::uint8_t> orders;
  // Characters that may change or be changed by what is before them.
  std::vector<bool> unstable = std::vector<bool>(kBrokenByte);

  static std::uint64_t pair(char32_t a, char32_t b) { return std::uint64_t{a} << 32 | b; }

  Tables() {
    for (std::size_t i = 0; i < std::size(kComposed); i += 3) {
      parts[kComposed[i]] = {kComposed[i + 1], kComposed[i + 2]};
      composed[pair(kComposed[i + 1], kComposed[i + 2])] = kComposed[i];
      unstable[kComposed[i + 2]] = true;
    }
    for (std::size_t i = 0; i < std::size(kDecomposed); i += 3) {
      parts[kDecomposed[i]] = {kDecomposed[i + 1], kDecomposed[i + 2]};
      unstable[kDecomposed[i]] = true;
    }
    for (std::size_t i = 0; i < std::size(kOrders); i += 3)
      for (char32_t c = kOrders[i]; c <= kOrders[i + 1]; ++c) {
        orders[c] = static_cast<std::uint8_t>(kOrders[i + 2]);
        unstable[c] = true;
      }
    for (char32_t c = kVowels; c < kVowels + kVowelCount; ++c) unstable[c] = true;
    for (char32_t c = kTrailing + 1; c < kTrailing + kTrailingCount; ++c) unstable[c] = true;
  }
};

const Tables& tables() {
  static const Tables instance;
  return instance;
}

// A character and its canonical combining class.
struct Mark {
  char32_t c;
  std::uint8_t order;
};

void decompose(char32_t c, std::vector<Mark>& out) {
  const Tables& t = tables();
  if (c >= kSyllables && c < kSyllables + kSyllableCount) {
    const char32_t i = c - kSyllables;
    out.push_back({kLeading + i / (kVowelCount * kTrailingCount), 0});
    out.push_back({kVowels + i % (kVowelCount * kTrailingCount) / kTrailingCount, 0});
    if (i % kTrailingCount != 0) out.push_back({kTrailing + i % kTrailingCount, 0});
    return;
  }
  if (const auto it = t.parts.find(c); it != t.parts.end()) {
    decompose(it->second.first, out);
    if (it->second.second != 0) decompose(it->second.second, out);
    return;
  }
  const auto it = t.orders.find(c);
  out.push_back({c, it == t.orders.end() ? std::uint8_t{0} : it->second});
}

// The character that `a` and then `b` make, or 0.
char32_t compose(char32_t a, char32_t b) {
  if (a >= kLeading && a < kLeading + kLeadingCount && b >= kVowels && b < kVowels + kVowelCount)
    return kSyllables + ((a - kLeading) * kVowelCount + (b - kVowels)) * kTrailingCount;
  const bool open = a >= kSyllables && a < kSyllables + kSyllableCount && (a - kSyllables) % kTrailingCount == 0;
  if (open && b > kTrailing && b < kTrailing + kTrailingCount) return a + (b - kTrailing);
  const auto it = tables().composed.find(Tables::pair(a, b));
  return it == tables().composed.end() ? 0 : it->second;
}

// Sorts each run of marks by class, keeping the order of equal ones.
void reorder(std::vector<Mark>& marks) {
  for (auto at = marks.begin(); at != marks.end();) {
    at = std::find_if(at, marks.end(), [](const Mark& m) { return m.order != 0; });
    const auto end = std::find_if(at, marks.end(), [](const Mark& m) { return m.order == 0; });
    std::stable_sort(at, end, [](const Mark& a, const Mark& b) { return a.order < b.order; });
    at = end;
  }
}

void append(std::string& out, char32_t c) {
  if (c >= kBrokenByte) {
    out += static_cast<char>(c - kBrokenByte);
  } else {
    utf8_append(out, c);
  }
}

// Puts together what combines with the last character of class 0 and is not blocked by a mark of its own or a higher
// class in between.
void recompose(std::vector<Mark>& marks) {
  std::size_t kept = 0, starter = marks.size();
  std::uint8_t last_order = 0;
  for (const Mark mark : marks) {
    const bool adjacent = starter < kept && starter + 1 == kept;
    const bool free = starter < kept && (adjacent || (last_order != 0 && last_order < mark.order));
    const char32_t together = free ? compose(marks[starter].c, mark.c) : 0;
    if (together != 0) {
      marks[starter].c = together;
      continue;
    }
    if (mark.order == 0) starter = kept;
    last_order = mark.order;
    marks[kept++] = mark;
  }
  marks.resize(kept);
}

// The character at the start of `text`, or a broken byte; and its length.
std::pair<char32_t, std::size_t> character_at(std::string_view text) {
  const std::size_t length = utf8_length(text);
  if (length == 0) return {kBrokenByte + static_cast<unsigned char>(text[0]), 1};
  return {utf8_decode(text), length};
}

bool is_stable(char32_t c) { return c >= kBrokenByte || !tables().unstable[c]; }

}  // namespace

bool is_nfc_quick(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < kFirstLead; });
}

std::string to_nfc(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::vector<Mark> marks;
  std::size_t stable = 0;  // where the last stable character begins: what comes before it is done
  for (std::size_t at = 0; at < text.size();) {
    const auto [c, length] = character_at(text.substr(at));
    if (is_stable(c)) {
      out += text.substr(stable, at - stable);
      stable = at;
      at += length;
      continue;
    }
    // From the stable character before to the next one.
    marks.clear();
    for (at = stable; at < text.size();) {
      const auto [next, bytes] = character_at(text.substr(at));
      if (at != stable && is_stable(next)) break;
      decompose(next, marks);
      at += bytes;
    }
    reorder(marks);
    recompose(marks);
    for (const Mark& mark : marks) append(out, mark.c);
    stable = at;
  }
  out += text.substr(stable);
  return out;
}

}  // namespace kvasir
