#include <algorithm>

#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/unicode.h"
#include "engine/text/utf8.h"

namespace kvasir::jinja {
namespace {

bool is_ascii(const std::string& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Where the byte offset is `count` characters behind `at`.
std::size_t skip_characters(const Text& text, std::size_t at, std::int64_t count) {
  for (; count > 0 && at < text.size(); --count) at += first_char(std::string_view(text.bytes()).substr(at)).length;
  return at;
}

// Byte offset of each character, and the size at the end.
std::vector<std::size_t> offsets_of(const std::string& bytes) {
  std::vector<std::size_t> offsets;
  std::size_t at = 0;
  while (at < bytes.size()) {
    offsets.push_back(at);
    at += first_char(std::string_view(bytes).substr(at)).length;
  }
  offsets.push_back(at);
  return offsets;
}

bool is_sliceable(const Val& value) {
  const List* list = as_list(value);
  return list && !is_unordered(*list);
}

// Python's slice.indices(): the elements from `begin` in steps, `count` of them.
struct Range {
  std::int64_t begin = 0, step = 1, count = 0;
};

std::optional<Range> resolve(Interpreter& in, const Val& from, const Val& to, const Val& step, std::int64_t size) {
  Range range;
  range.step = is_none(step) ? 1 : *as_integer(step);
  if (range.step == 0) return in.fail("a slice cannot have step 0"), std::nullopt;
  if (range.step > size + 1) range.step = size + 1;  // no difference, and no overflow below
  if (range.step < -size - 1) range.step = -size - 1;
  const bool back = range.step < 0;
  const std::int64_t low = back ? -1 : 0, high = back ? size - 1 : size;
  const auto clamp = [&](const Val& bound, std::int64_t otherwise) {
    if (is_none(bound)) return otherwise;
    std::int64_t at = *as_integer(bound);
    if (at < 0) at = std::max(at + size, low);
    return std::clamp(at, low, high);
  };
  range.begin = clamp(from, back ? high : low);
  const std::int64_t end = clamp(to, back ? low : high);
  const std::int64_t span = back ? range.begin - end : end - range.begin;
  const std::int64_t stride = back ? -range.step : range.step;
  range.count = span <= 0 ? 0 : (span + stride - 1) / stride;
  return range;
}

Val slice_text(Interpreter& in, const Text& text, const Range& range, bool ascii) {
  if (range.count == 0) return string_val("");
  if (range.step == 1) {
    const std::size_t begin = ascii ? static_cast<std::size_t>(range.begin) : skip_characters(text, 0, range.begin);
    const std::size_t end =
        ascii ? begin + static_cast<std::size_t>(range.count) : skip_characters(text, begin, range.count);
    return in.text(text.slice(begin, end));
  }
  if (!in.charge(text.size())) return Undefined{};
  const std::vector<std::size_t> offsets = offsets_of(text.bytes());
  TextBuilder out;
  for (std::int64_t i = 0, at = range.begin; i < range.count; ++i, at += range.step)
    out.append(text, offsets[static_cast<std::size_t>(at)], offsets[static_cast<std::size_t>(at) + 1]);
  return in.text(out.take());
}

}  // namespace

Val slice(Interpreter& in, const Val& subject, const Val& from, const Val& to, const Val& step) {
  if (in.failed()) return Undefined{};
  if (const auto* missing = std::get_if<Undefined>(&subject)) return in.fail(message_of(*missing));
  for (const Val* bound : {&from, &to, &step})
    if (!is_none(*bound) && !as_integer(*bound))
      return in.fail("the parts of a slice must be integers, not " + type_name(*bound));
  if (!as_text(subject) && !is_sliceable(subject))
    return in.fail("'" + type_name(subject) + "' object cannot be sliced");
  if (const Text* text = as_text(subject)) {
    const auto size = characters_in(in, *text);
    const auto range = size ? resolve(in, from, to, step, *size) : std::nullopt;
    return range ? slice_text(in, *text, *range, static_cast<std::size_t>(*size) == text->size()) : Undefined{};
  }
  const List* list = as_list(subject);
  const auto range = resolve(in, from, to, step, static_cast<std::int64_t>(list->items.size()));
  if (!range || !in.charge(static_cast<std::uint64_t>(range->count))) return Undefined{};
  std::vector<Val> items;
  for (std::int64_t i = 0, at = range->begin; i < range->count; ++i, at += range->step)
    items.push_back(list->items[static_cast<std::size_t>(at)]);
  return in.list(std::move(items), list->kind);
}

std::optional<std::int64_t> characters_in(Interpreter& in, const Text& text) {
  const bool ascii = is_ascii(text.bytes());
  constexpr std::size_t kDecodedPerStep = 8;
  if (!in.charge_bytes(text.size()) || (!ascii && !in.charge(text.size() / kDecodedPerStep))) return std::nullopt;
  return static_cast<std::int64_t>(ascii ? text.size() : utf8_count(text.bytes()));
}

Val character_at(Interpreter& in, const Text& text, std::int64_t index) {
  const auto size = characters_in(in, text);
  if (!size) return Undefined{};
  const std::int64_t wanted = index < 0 ? index + *size : index;
  if (wanted < 0 || wanted >= *size) return undefined_val("str object has no element " + std::to_string(index));
  const bool ascii = static_cast<std::size_t>(*size) == text.size();
  const std::size_t at = ascii ? static_cast<std::size_t>(wanted) : skip_characters(text, 0, wanted);
  return string_val(text.slice(at, skip_characters(text, at, 1)));
}

std::vector<Val> characters_of(Interpreter& in, const Text& text) {
  std::vector<Val> characters;
  if (!in.charge(text.size())) return characters;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = at + first_char(std::string_view(text.bytes()).substr(at)).length;
    characters.push_back(string_val(text.slice(at, end)));
    at = end;
  }
  return characters;
}

}  // namespace kvasir::jinja
