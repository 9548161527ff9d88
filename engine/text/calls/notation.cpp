// What a printed turn with known calls shows of its notation.
#include <algorithm>

#include "engine/text/calls/json_scanner.h"
#include "engine/text/calls/probe.h"

namespace kvasir {
namespace {

using Body = CallNotation::Body;
constexpr auto kNone = std::string_view::npos;
constexpr std::string_view kChannelEnd = "<|message|>";  // of a message's header: " to=user<|message|>"

// The end of the JSON value that starts at `place`; kNone when there is none.
std::size_t json_end(std::string_view text, std::size_t place) {
  JsonScanner scanner;
  for (std::size_t i = place; i < text.size(); ++i) {
    const JsonScanner::State state = scanner.push(text[i]);
    if (state == JsonScanner::State::broken) return kNone;
    if (state == JsonScanner::State::complete) return i + 1;
  }
  return kNone;
}

std::size_t common_suffix(std::string_view a, std::string_view b) {
  std::size_t n = 0;
  while (n < std::min(a.size(), b.size()) && a[a.size() - n - 1] == b[b.size() - n - 1]) ++n;
  return n;
}

// From the first marker's beginning on; what has none stays as it is.
std::string_view from_marker(std::string_view text) {
  const std::size_t place = text.find_first_of("<[");
  return place == kNone ? text : text.substr(place);
}

std::string_view from_last_marker(std::string_view text) {
  const std::size_t place = text.rfind('<');
  return place == kNone ? text : text.substr(place);
}

// The key of the member whose value begins at `place`: `"key": `.
std::string key_before(std::string_view text, std::size_t place) {
  std::string_view before = trimmed(text.substr(0, place));
  if (!before.ends_with(':')) return {};
  before = trimmed(before.substr(0, before.size() - 1));
  if (!before.ends_with('"')) return {};
  before.remove_suffix(1);
  const std::size_t open = before.rfind('"');
  return open == kNone ? std::string() : std::string(before.substr(open + 1));
}

// Where the arguments of one call stand in a turn.
struct Span {
  std::size_t name = kNone, name_end = kNone;
  std::size_t begin = kNone, end = kNone;  // of the arguments' JSON object
  std::size_t key1 = kNone, text1 = kNone, key2 = kNone, text2 = kNone;
};

std::optional<Span> find_call(std::string_view turn, std::string_view name, std::size_t from) {
  Span span;
  span.key1 = turn.find(kKey1, turn.find(name, from));
  if (span.key1 == kNone) return std::nullopt;
  span.name = turn.rfind(name, span.key1);
  span.name_end = span.name + name.size();
  span.text1 = turn.find(kText1, span.key1);
  span.key2 = turn.find(kKey2, span.key1);
  span.text2 = turn.find(kText2, span.key1);
  if (span.name == kNone || span.text1 == kNone || span.key2 == kNone || span.text2 == kNone) return std::nullopt;
  span.begin = turn.rfind('{', span.key1);
  if (span.begin != kNone) span.end = json_end(turn, span.begin);
  return span;
}

std::optional<CallNotation> envelope(std::string_view turn, const Span& first, const Span* second) {
  if (first.name == 0 || turn[first.name - 1] != '"') return std::nullopt;
  const std::size_t begin = turn.rfind('{', first.name);
  const std::size_t end = begin == kNone ? kNone : json_end(turn, begin);
  if (end == kNone || end < first.text2) return std::nullopt;
  CallNotation notation;
  const std::string name_field = key_before(turn, first.name - 1);
  if (name_field.empty()) {
    notation.body = Body::keyed;
  } else {
    notation.name_field = name_field;
    const bool as_text = turn[first.key1 - 1] == '"' && turn[first.key1 - 2] == '\\';
    notation.arguments_field = key_before(turn, as_text ? turn.rfind('"', first.begin) : first.begin);
    const std::size_t id = turn.find(kCallId1, begin);
    if (id < end) notation.id_field = key_before(turn, id - 1);
  }
  std::string_view open = trimmed(turn.substr(0, begin));
  std::size_t last = end;
  if (second)
    if (const std::size_t start = turn.rfind('{', second->name); start != kNone) last = json_end(turn, start);
  std::string_view close = last == kNone ? std::string_view() : trimmed(turn.substr(last));
  if (open.ends_with('[')) {
    open.remove_suffix(1);
    if (close.starts_with(']')) close.remove_prefix(1);
  }
  notation.call_open = markers_of(open);
  notation.call_close = markers_of(close);
  notation.bare = notation.call_open.empty();
  if (notation.bare) notation.call_close.clear();
  return notation;
}

// What stands around the calls: `opening` before the first name, `between` from the end of its arguments to the
// second name, `ending` after the last arguments.
void read_frame(CallNotation& notation, std::string_view opening, std::string_view between, std::string_view ending,
                bool two) {
  std::string_view call_open = from_marker(opening);
  if (two) call_open = from_marker(opening.substr(opening.size() - common_suffix(opening, between)));
  std::string_view section_open = opening.substr(0, opening.size() - call_open.size());
  if (const std::size_t channel = call_open.rfind(kChannelEnd); channel != kNone) {  // each call is a message
    call_open.remove_prefix(channel + kChannelEnd.size());
    section_open = {};
  }
  notation.section_open = markers_of(section_open);
  notation.call_open = markers_of(call_open);
  if (!two) {
    notation.call_close = markers_of(ending);
    return;
  }
  std::string_view call_close = trimmed(between.substr(0, between.size() - call_open.size()));
  ending = trimmed(ending);
  if (!ending.starts_with(call_close)) {
    std::size_t common = 0;
    while (common < ending.size() && ending[common] == call_close[common]) ++common;
    call_close = ending.substr(0, ending.substr(0, common).rfind('>') + 1);
  }
  notation.call_close = markers_of(call_close);
  notation.section_close = markers_of(ending.substr(call_close.size()));
}

// The name's header of one call: from before its id, if one stands there, to the arguments.
std::size_t header_begin(std::string_view turn, const Span& span, std::string_view id, std::size_t from) {
  const std::size_t place = turn.find(id, from);
  return place < span.name ? place : span.name;
}

void read_header(CallNotation& notation, std::string_view first, std::string_view second, bool two) {
  std::string_view end = first;
  if (two) end = first.substr(first.size() - common_suffix(first, second));
  notation.header_end = trimmed(from_marker(end));
}

std::optional<CallNotation> json_after_header(std::string_view turn, const Span& first, const Span* second) {
  CallNotation notation;
  notation.body = Body::json;
  const std::size_t header1 = header_begin(turn, first, kCallId1, 0);
  if (header1 != first.name)
    notation.id_end = trimmed(turn.substr(header1 + kCallId1.size(), first.name - header1 - kCallId1.size()));
  const std::string_view opening = turn.substr(0, header1);
  std::string_view between, second_header, ending = turn.substr(first.end);
  if (second) {
    const std::size_t header2 = header_begin(turn, *second, kCallId2, first.end);
    between = turn.substr(first.end, header2 - first.end);
    second_header = turn.substr(second->name_end, second->begin - second->name_end);
    ending = turn.substr(second->end);
  }
  read_header(notation, turn.substr(first.name_end, first.begin - first.name_end), second_header, second != nullptr);
  read_frame(notation, opening, between, ending, second != nullptr);
  return notation;
}

std::optional<CallNotation> gemma(std::string_view turn, const Span& first, const Span* second) {
  const std::string_view between = turn.substr(first.key1 + kKey1.size(), first.text1 - first.key1 - kKey1.size());
  if (first.key1 == 0 || turn[first.key1 - 1] != '{' || !between.starts_with(':')) return std::nullopt;
  CallNotation notation;
  notation.body = Body::gemma;
  notation.header_end = "{";
  notation.quote = between.substr(1);
  const std::size_t quoted = first.text2 + kText2.size() + notation.quote.size();
  if (notation.quote.empty() || quoted > turn.size() || !turn.substr(quoted).starts_with('}')) return std::nullopt;
  const std::string_view opening = turn.substr(0, first.name);
  std::string_view close = turn.substr(quoted + 1);
  if (second) {
    close = turn.substr(quoted + 1, second->name - quoted - 1);
    close.remove_suffix(common_suffix(close, opening));
  }
  notation.call_open = markers_of(from_marker(opening));
  notation.call_close = markers_of(close);
  return notation;
}

// Elements: what stands between name, keys and values.
std::optional<CallNotation> parameters(std::string_view turn, const Span& first, const Span* second) {
  const auto piece = [turn](std::size_t begin, std::size_t end) { return turn.substr(begin, end - begin); };
  if (first.text1 < first.key1 || first.key2 < first.text1 || first.text2 < first.key2) return std::nullopt;
  const std::string_view before_key1 = piece(first.name_end, first.key1);
  const std::string_view after_key1 = piece(first.key1 + kKey1.size(), first.text1);
  const std::string_view before_key2 = piece(first.text1 + kText1.size(), first.key2);
  CallNotation notation;
  notation.body = Body::parameters;
  const std::string_view common = before_key1.substr(before_key1.size() - common_suffix(before_key1, before_key2));
  std::string_view open = from_last_marker(common);
  std::string_view close = before_key2.substr(0, before_key2.size() - open.size());
  if (const std::size_t named = close.find(kKey1); named != kNone) {  // <k>v</k>: the mark stands before each tag
    const std::size_t tag = close.rfind("</", named);
    if (tag == kNone) return std::nullopt;
    notation.value_tree = true;
    notation.value_open = close.substr(0, tag);
    notation.value_close = close.substr(0, named);
    open = common.substr(common.size() - std::min(common.size(), notation.value_open.size() + 1));
    close = before_key2.substr(0, before_key2.size() - open.size());
  }
  const std::string_view before_params = before_key1.substr(0, before_key1.size() - open.size());
  notation.parameter_open = trimmed(open);
  if (!notation.value_tree) notation.value_close = trimmed(close);
  notation.value_lines = !notation.value_tree && close.starts_with('\n') && after_key1.ends_with('\n');
  const std::string_view key_text = trimmed(after_key1);
  const std::size_t tag_end = key_text.find_first_of(">\"");
  if (tag_end == kNone || notation.parameter_open.empty() || notation.value_close.empty()) return std::nullopt;
  notation.key_end = key_text.substr(0, tag_end + 1);
  if (const std::string_view left = trimmed(key_text.substr(tag_end + 1)); !left.empty() && !notation.value_tree) {
    // `" string="true">` and `" type="string"<|sep|>` have attributes before the end; `</key><value>` has none.
    const std::size_t quote = left.rfind('"');
    notation.value_open = quote == kNone ? left : left.substr(quote + 1);
    if (notation.value_open == ">" && quote == kNone) {
      notation.key_end += ">";
      notation.value_open.clear();
    }
  }
  const std::size_t value_end = first.text2 + kText2.size();
  std::string_view between, second_params, ending = turn.substr(value_end);
  const auto without_close = [&](std::string_view text) {
    const std::string closing =
        notation.value_tree ? notation.value_close + std::string(kKey2) + ">" : notation.value_close;
    const std::size_t place = text.find(closing);
    return place == kNone ? text : text.substr(place + closing.size());
  };
  if (second) {
    between = without_close(piece(value_end, second->name));
    const std::string_view header = piece(second->name_end, second->key1);
    second_params = header.substr(0, header.size() - std::min(header.size(), open.size()));
    ending = turn.substr(second->text2 + kText2.size());
  }
  read_header(notation, before_params, second_params, second != nullptr);
  read_frame(notation, turn.substr(0, first.name), between, without_close(ending), second != nullptr);
  if (notation.call_open.empty() || notation.call_close.empty()) return std::nullopt;
  return notation;
}

}  // namespace

Markers markers_of(std::string_view text) {
  Markers markers;
  while (!text.empty()) {
    const std::size_t line = text.find('\n');
    const std::string_view marker = trimmed(text.substr(0, line));
    if (!marker.empty()) markers.emplace_back(marker);
    text.remove_prefix(line == kNone ? text.size() : line + 1);
  }
  return markers;
}

std::optional<CallNotation> read_notation(std::string_view turn, bool two) {
  const std::optional<Span> first = find_call(turn, kCallName1, 0);
  const std::optional<Span> second = two && first ? find_call(turn, kCallName2, first->text2) : std::nullopt;
  if (!first || (two && !second)) return std::nullopt;
  const Span* other = second ? &*second : nullptr;
  if (auto notation = envelope(turn, *first, other)) return notation;
  if (first->end != kNone && first->end > first->text2 && (!other || other->end != kNone))
    return json_after_header(turn, *first, other);
  if (auto notation = gemma(turn, *first, other)) return notation;
  return parameters(turn, *first, other);
}

}  // namespace kvasir
