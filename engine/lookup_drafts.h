#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "storage/base/ids.h"

namespace kvasir {

// Guesses a sequence's next tokens from what stands in it already: where its latest tokens occurred before, what came
// after them then may come again. Of the latest occurrences it follows the one that agrees for the longest, of equal
// ones the latest, and stays with it as long as it is right. Every token that comes tells how good the guesses are,
// whether they were used or not, so a reply that repeats nothing costs looking up alone.
//
// follow() takes microseconds a token and is bounded by call. Memory: 4 bytes a token and at most 256 KiB, from the
// first call on. Owned by the sequence, on the owner thread.
class LookupDrafts {
 public:
  static constexpr std::uint32_t kTokensPerCall = 4096;

  explicit LookupDrafts(std::uint32_t prompt_tokens) : prompt_tokens_(prompt_tokens) {}

  // Takes note of the tokens that came since the last call, kTokensPerCall at most. `ids` are all of them, prompt and
  // reply, and only ever grow.
  void follow(std::span<const TokenId> ids);

  // How likely the guess `depth` tokens ahead is right when those before it are; 0 when there is none. REQUIRES: the
  // next call of draft() has the ids that follow() had.
  double chance(std::uint32_t depth) const;

  // Appends `count` guesses. REQUIRES: chance(0) > 0, `ids` are those of the last follow()
  void draft(std::vector<TokenId>& ids, std::uint32_t count) const;

 private:
  static constexpr std::uint32_t kLengthLeast = 2, kLengthMost = 32;
  static constexpr std::size_t kClasses = 6;  // of lengths: 2, 3, 4 to 7, 8 to 15, 16 to 31, 32 and more

  struct Record {  // of the guesses of one class; older ones weigh less
    double right = 0, made = 0;
  };

  static std::size_t class_of(std::uint32_t length);
  std::uint32_t& latest(std::span<const TokenId> ids, std::uint32_t at);
  void judge(std::span<const TokenId> ids, std::uint32_t at);
  void find(std::span<const TokenId> ids, std::uint32_t at);

  std::uint32_t prompt_tokens_;
  std::uint32_t followed_ = 0;           // tokens taken note of
  std::vector<std::uint32_t> latest_;    // by hash of two tokens: where the second was last; 0: nowhere
  std::vector<std::uint32_t> previous_;  // by position: the one before it with the same hash; 0: none
  bool caught_up_ = false;               // with all ids of the last follow()
  std::uint32_t next_ = 0;               // position of the next guess
  std::uint32_t length_ = 0;             // tokens before it that agree, up to kLengthMost; 0: no guess
  std::array<Record, kClasses> records_{};
};

}  // namespace kvasir
