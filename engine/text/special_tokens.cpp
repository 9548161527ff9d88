#include "engine/text/special_tokens.h"

namespace kvasir {

std::uint32_t SpecialTokens::child(std::uint32_t node, unsigned char byte) const {
  for (const auto& [label, target] : nodes_[node].next)
    if (label == byte) return target;
  return 0;
}

void SpecialTokens::add(std::string_view text, TokenId id, bool is_control) {
  starts_[static_cast<unsigned char>(text.front())] = true;
  std::uint32_t node = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    std::uint32_t target = child(node, byte);
    if (target == 0) {
      target = static_cast<std::uint32_t>(nodes_.size());
      nodes_[node].next.emplace_back(byte, target);
      nodes_.emplace_back();
    }
    node = target;
  }
  if (nodes_[node].id) return;  // the first of equal texts stays
  nodes_[node].id = id;
  nodes_[node].is_control = is_control;
}

std::optional<SpecialTokens::Match> SpecialTokens::longest_at(std::string_view text, std::size_t control_bytes) const {
  std::optional<Match> longest;
  std::uint32_t node = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    node = child(node, static_cast<unsigned char>(text[i]));
    if (node == 0) break;
    const Node& here = nodes_[node];
    if (here.id && (!here.is_control || i + 1 <= control_bytes)) longest = Match{*here.id, i + 1};
  }
  return longest;
}

}  // namespace kvasir
