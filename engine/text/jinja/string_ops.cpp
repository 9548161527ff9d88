#include "engine/text/jinja/string_ops.h"

#include <algorithm>

#include "engine/text/jinja/format.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/unicode.h"
#include "engine/text/utf8.h"

namespace kvasir::jinja {
namespace {

bool holds(std::string_view chars, std::string_view character) { return chars.find(character) != chars.npos; }

bool ends_line(char32_t c) {
  return c == '\n' || c == '\r' || c == 0x0B || c == 0x0C || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

Text strip(const Text& text, const Text* chars, Side side) {
  const std::string_view bytes = text.bytes();
  std::size_t begin = 0, end = bytes.size();
  const auto goes = [&](Char c, std::size_t at) {
    return chars ? holds(chars->bytes(), bytes.substr(at, c.length)) : is_space(c.code);
  };
  while (side != Side::right && begin < end) {
    const Char c = first_char(bytes.substr(begin));
    if (!goes(c, begin)) break;
    begin += c.length;
  }
  while (side != Side::left && begin < end) {
    const Char c = last_char(bytes.substr(begin, end - begin));
    if (!goes(c, end - c.length)) break;
    end -= c.length;
  }
  return text.slice(begin, end);
}

Text replace(Interpreter& in, const Text& text, const Text& old, const Text& by, std::int64_t count) {
  const std::string_view bytes = text.bytes();
  TextBuilder out;
  std::size_t done = 0;
  std::size_t from = 0;
  for (std::int64_t n = 0; (count < 0 || n < count) && in.charge(); ++n) {
    const std::size_t at = find_bytes(bytes, old.bytes(), from);
    if (at == bytes.npos) break;
    out.append(text, done, at);
    out.append(by);
    done = at + old.size();
    // Nothing is found between all characters, and at the end.
    if (old.empty() && done == bytes.size()) break;
    from = old.empty() ? done + first_char(bytes.substr(done)).length : done;
    if (!in.charge_bytes(by.size()) || !in.charge_bytes(out.size() > in.limits().output_bytes_max ? out.size() : 0))
      break;
  }
  out.append(text, done, bytes.size());
  Text result = out.take();
  in.charge_bytes(result.size());
  result.set_markup(text.is_markup());
  return result;
}

std::vector<std::pair<std::size_t, std::size_t>> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::pair<std::size_t, std::size_t>> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Char c = first_char(text.substr(at));
    std::size_t next = at + c.length;
    if (ends_line(c.code)) {
      if (c.code == '\r' && next < text.size() && text[next] == '\n') ++next;
      lines.emplace_back(begin, keep_ends ? next : at);
      begin = next;
    }
    at = next;
  }
  if (begin < text.size()) lines.emplace_back(begin, text.size());
  return lines;
}

Text join(Interpreter& in, const Text& separator, const std::vector<Val>& items, bool strict) {
  TextBuilder out;
  for (std::size_t i = 0; i < items.size() && in.charge(); ++i) {
    if (strict && !as_text(items[i])) in.fail("join() needs strings, not " + type_name(items[i]));
    if (i) out.append(separator);
    const std::size_t before = out.size();
    append_text(in, out, items[i]);
    if (!in.charge_bytes(separator.size() + out.size() - before)) break;
    if (out.size() > in.limits().output_bytes_max) in.charge_bytes(out.size());
  }
  return out.take();
}

Text upper(const Text& text) { return map_runs(text, to_upper); }
Text lower(const Text& text) { return map_runs(text, to_lower); }

Text capitalize(const Text& text) {
  if (text.empty()) return text;
  const std::size_t first = first_char(text.bytes()).length;
  TextBuilder out;
  out.append(upper(text.slice(0, first)));
  out.append(lower(text.slice(first, text.size())));
  return out.take();
}

Text title(const Text& text) {
  TextBuilder out;
  bool inside = false;  // of a word
  const std::string_view bytes = text.bytes();
  for (std::size_t at = 0; at < bytes.size();) {
    const Char c = first_char(bytes.substr(at));
    const std::string_view character = bytes.substr(at, c.length);
    out.append(inside ? to_lower(character) : to_upper(character), text.from_template_at(at));
    inside = category_of(c.code) == Category::letter;
    at += c.length;
  }
  return out.take();
}

Text pad(Interpreter& in, const Text& text, std::int64_t width, char32_t fill, Side text_side) {
  const auto size = static_cast<std::int64_t>(utf8_count(text.bytes()));
  std::string character;
  utf8_append(character, fill);
  if (width <= size || !in.charge_bytes(static_cast<std::size_t>(width - size) * character.size())) return text;
  const std::int64_t missing = width - size;
  // As CPython: the odd one goes left when the width is odd.
  const std::int64_t half = missing / 2 + (missing & width & 1);
  const std::int64_t before = text_side == Side::left ? 0 : text_side == Side::right ? missing : half;
  TextBuilder out;
  for (std::int64_t i = 0; i < before; ++i) out.append(character, true);
  out.append(text);
  for (std::int64_t i = before; i < missing; ++i) out.append(character, true);
  return out.take();
}

}  // namespace kvasir::jinja
