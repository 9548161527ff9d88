#include "engine/text/detokenizer.h"

#include <algorithm>
#include <utility>

#include "engine/text/utf8.h"

namespace kvasir {
namespace {

// Moves the characters that are complete from `held` to the result; with `all`, everything, repaired.
std::string take_complete(std::string& held, bool all) {
  std::string out;
  std::string_view rest = held;
  while (!rest.empty()) {
    if (const std::size_t length = utf8_length(rest)) {
      out += rest.substr(0, length);
      rest.remove_prefix(length);
      continue;
    }
    const std::size_t incomplete = utf8_incomplete(rest);
    if (incomplete != 0 && !all) break;
    out += kReplacementCharacter;
    rest.remove_prefix(utf8_broken_length(rest));
  }
  held.erase(0, held.size() - rest.size());
  return out;
}

}  // namespace

std::string Detokenizer::push(TokenId id) {
  held_ += begun_ ? tokenizer_->bytes(id) : tokenizer_->bytes_after(before_, id);
  skip(id);
  return take_complete(held_, false);
}

void Detokenizer::skip(TokenId id) {
  before_ = id;
  begun_ = false;
}

std::string Detokenizer::finish() { return take_complete(held_, true); }

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, std::string());
}

std::string StopMatcher::push(std::string_view text) {
  if (matched_) return {};
  held_ += text;
  std::size_t begin = 0, end = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t found = held_.find(stop);
    if (found == std::string::npos) continue;
    const std::size_t stops_at = found + stop.size();
    if (stops_at > end || (stops_at == end && found >= begin)) continue;
    begin = found;
    end = stops_at;
    match_ = stop;
  }
  if (end != std::string::npos) {
    matched_ = true;
    held_.resize(begin);
    return std::exchange(held_, {});
  }
  // A suffix of what is held that is a prefix of a stop string may still become it.
  std::size_t keep = 0;
  for (const std::string& stop : stops_) {
    std::size_t n = std::min(stop.size() - 1, held_.size());
    while (n > keep && !std::string_view(held_).ends_with(std::string_view(stop).substr(0, n))) --n;
    keep = std::max(keep, n);
  }
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopMatcher::finish() { return std::exchange(held_, {}); }

}  // namespace kvasir
