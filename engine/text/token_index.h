#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "storage/base/ids.h"

namespace kvasir {

inline constexpr TokenId kNoToken = -1;

// A hash of a text from which, and from that of another text, the hash of both in a row is known: so the two tokens of
// a merge, or the two halves of a token, are looked up without joining or reading them again. A polynomial modulo the
// prime 2^61 - 1.
struct TextHash {
  std::uint64_t value = 0;
  std::uint64_t power = 1;  // of the base, to the length of the text

  static TextHash of(std::string_view text);
  TextHash then(char next) const;
  TextHash then(TextHash next) const;
  // This is the hash of a text that begins with the text of `head`: the hash of what comes after. `tail_power` is the
  // power of the result.
  TextHash without(TextHash head, std::uint64_t tail_power) const;
};

// Token ids by text. Immutable after building; any thread may use it. Of equal texts the first stays.
class TokenIndex {
 public:
  explicit TokenIndex(std::size_t tokens_expected);

  // `text` must outlive the index; at most `tokens_expected` texts, of less than 4 GiB each.
  void add(std::string_view text, TokenId id);
  TokenId find(std::string_view text) const { return find(TextHash::of(text), text, {}); }  // or kNoToken
  // The token whose text is `left` and then `right`; `hash` is that of both.
  TokenId find(TextHash hash, std::string_view left, std::string_view right) const;

 private:
  struct Entry {
    const char* text;
    std::uint32_t length;
    TokenId id;
  };
  // Open addressing, a power of two. The tags, bits of the hash (0: empty), lie close together: most looks for a text
  // that is not there end with them.
  std::vector<std::uint32_t> tags_;
  std::vector<Entry> entries_;
  std::size_t count_ = 0;
};

}  // namespace kvasir
