#pragma once

#include <algorithm>
#include <string_view>

#include "engine/text/calls/json_scanner.h"

namespace kvasir::reply {

inline constexpr std::size_t kHeaderBytesMax = 512;
inline constexpr std::size_t kSpacesMax = 256;  // between markers

inline std::size_t leading_spaces(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && is_json_space(text[n])) ++n;
  return n;
}

inline std::size_t trailing_spaces(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && is_json_space(text[text.size() - n - 1])) ++n;
  return n;
}

// Whether the marker that ends a header lies too far from its start: it is at `place` of `text`, or (npos) has not come
// whole yet. The same for any cut of the text.
inline bool is_header_too_long(std::string_view text, std::size_t place, std::size_t marker_bytes) {
  if (place != std::string_view::npos) return place > kHeaderBytesMax;
  return text.size() >= kHeaderBytesMax + marker_bytes;  // what came of it can only begin past the limit
}

// The length of the longest end of `text` that a longer `marker` begins with.
inline std::size_t partial_at_end(std::string_view text, std::string_view marker) {
  if (marker.empty()) return 0;
  std::size_t n = std::min(text.size(), marker.size() - 1);
  while (n > 0 && !text.ends_with(marker.substr(0, n))) --n;
  return n;
}

inline bool is_proper_prefix(std::string_view text, std::string_view marker) {
  return text.size() < marker.size() && marker.starts_with(text);
}

}  // namespace kvasir::reply
