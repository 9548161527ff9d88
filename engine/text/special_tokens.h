#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/base/ids.h"

namespace kvasir {

// Finds tokens that are matched as whole texts (control and user-defined tokens) at a place in a text, longest first. A
// trie: the cost of a look depends on the length of the tokens, not on their number. Immutable after building.
class SpecialTokens {
 public:
  struct Match {
    TokenId id;
    std::size_t length;
  };

  // REQUIRES: !text.empty().
  void add(std::string_view text, TokenId id, bool is_control);
  bool may_start(char byte) const { return starts_[static_cast<unsigned char>(byte)]; }

  // The longest token at the start of `text`; control tokens only within its first `control_bytes` bytes.
  std::optional<Match> longest_at(std::string_view text, std::size_t control_bytes) const;

 private:
  struct Node {
    std::vector<std::pair<unsigned char, std::uint32_t>> next;
    std::optional<TokenId> id;
    bool is_control = false;
  };
  std::uint32_t child(std::uint32_t node, unsigned char byte) const;  // 0: none

  std::vector<Node> nodes_{1};
  std::array<bool, 256> starts_{};
};

}  // namespace kvasir
