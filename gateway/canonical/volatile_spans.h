#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kvasir {

// What in a text is of a kind that changes from request to request.
enum class SpanKind : std::uint8_t { clock, day, uuid, id, path, counter };
std::string_view to_string(SpanKind kind);

struct Span {
  SpanKind kind;
  std::size_t begin;
  std::size_t size;
  std::size_t day_size = 0;  // of a clock: its leading day; 0: it has none, or not in front
  bool is_volatile = false;  // not of the form alone, but of this request

  std::string_view of(std::string_view text) const { return text.substr(begin, size); }
};

// Finds the spans, in order, none inside another. Form alone makes volatile what is only there by chance or by the
// second: uuids, ids of calls and requests, times of a day with seconds, milliseconds since 1970. Days, clocks without
// seconds, seconds since 1970, paths and counters are volatile where words on the same line just before (or behind a
// counter) say so: "today", "current", "working directory", "tokens left", ...; a knowledge cutoff never is. A path
// that was named so once is volatile wherever it stands.
//
// One pass, two where there are paths; at each byte at most a few hundred others are looked at, whatever the text.
std::vector<Span> find_spans(std::string_view text);

}  // namespace kvasir
