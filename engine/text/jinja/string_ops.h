#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/text/jinja/interpreter.h"

// What string methods and filters share. All keep origins; all fail the rendering when it takes too much.
namespace kvasir::jinja {

enum class Side : std::uint8_t { both, left, right };
// Without `chars`, white space goes.
Text strip(const Text& text, const Text* chars, Side side);

// At most `count` times; negative: all.
Text replace(Interpreter& in, const Text& text, const Text& old, const Text& by, std::int64_t count);

// Python's str.splitlines(): where each line begins and ends, the line end with it if `keep_ends`.
std::vector<std::pair<std::size_t, std::size_t>> split_lines(std::string_view text, bool keep_ends = false);

Text join(Interpreter& in, const Text& separator, const std::vector<Val>& items, bool strict);

// Changes each run by `map`, which may change its size.
template <class Map>
Text map_runs(const Text& text, Map&& map) {
  TextBuilder out;
  std::size_t begin = 0;
  for (const Text::Run& run : text.runs()) {
    out.append(map(std::string_view(text.bytes()).substr(begin, run.end - begin)), run.from_template);
    begin = run.end;
  }
  Text mapped = out.take();
  mapped.set_markup(text.is_markup());
  return mapped;
}

Text upper(const Text& text);
Text lower(const Text& text);
Text capitalize(const Text& text);
Text title(const Text& text);
Text pad(Interpreter& in, const Text& text, std::int64_t width, char32_t fill, Side text_side);

}  // namespace kvasir::jinja
