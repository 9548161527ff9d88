#include <algorithm>

#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/string_ops.h"
#include "engine/text/jinja/unicode.h"
#include "engine/text/utf8.h"

namespace kvasir::jinja {
namespace {

const Text& self_text(const Val& self) { return *std::get<Str>(self); }

// A parameter that must be a string; fails the rendering otherwise.
const Text* text_param(Interpreter& in, const Params& params, std::size_t i) {
  if (!params.ok() || in.failed()) return nullptr;
  if (const Text* text = params[i] ? as_text(*params[i]) : nullptr) return text;
  in.fail("expected a string, not " + (params[i] ? type_name(*params[i]) : "nothing"));
  return nullptr;
}

template <Side side>
Val strip_method(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "strip()", args, {"chars"});
  const Text* chars = params.some(0) ? text_param(in, params, 0) : nullptr;
  if (in.failed() || !in.charge_bytes(self_text(self).size())) return Undefined{};
  return in.text(strip(self_text(self), chars, side));
}

template <Text (*map)(const Text&)>
Val map_method(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "string method", args, {});
  if (!params.ok() || !in.charge_bytes(self_text(self).size())) return Undefined{};
  return in.text(map(self_text(self)));
}

Text swapcase(const Text& text) {
  return map_runs(text, [](std::string_view run) {
    std::string out;
    while (!run.empty()) {
      const Char c = first_char(run);
      const std::string_view character = run.substr(0, c.length);
      out += is_upper(c.code) ? to_lower(character) : to_upper(character);
      run.remove_prefix(c.length);
    }
    return out;
  });
}

// Pieces of white-space separated text; the last piece takes the rest after `most` cuts.
Val split_space(Interpreter& in, const Text& text, std::int64_t most, bool from_right) {
  std::vector<Val> pieces;
  const std::string_view bytes = text.bytes();
  std::size_t begin = leading_space(bytes), end = bytes.size() - (begin == bytes.size() ? 0 : trailing_space(bytes));
  while (begin < end && in.charge()) {
    const std::string_view rest = bytes.substr(begin, end - begin);
    const bool all = most >= 0 && static_cast<std::int64_t>(pieces.size()) >= most;
    std::size_t n = 0;
    while (n < rest.size() && !all) {
      const Char c = from_right ? last_char(rest.substr(0, rest.size() - n)) : first_char(rest.substr(n));
      if (is_space(c.code)) break;
      n += c.length;
    }
    if (all) n = rest.size();
    if (from_right) {
      pieces.push_back(string_val(text.slice(end - n, end)));
      end -= n;
      end -= trailing_space(bytes.substr(begin, end - begin));
    } else {
      pieces.push_back(string_val(text.slice(begin, begin + n)));
      begin += n;
      begin += leading_space(bytes.substr(begin, end - begin));
    }
  }
  if (from_right) std::reverse(pieces.begin(), pieces.end());
  return in.list(std::move(pieces));
}

Val split_by(Interpreter& in, const Text& text, std::string_view separator, std::int64_t most, bool from_right) {
  std::vector<Val> pieces;
  const std::string_view bytes = text.bytes();
  std::size_t begin = 0, end = bytes.size();
  while ((most < 0 || static_cast<std::int64_t>(pieces.size()) < most) && in.charge()) {
    const std::size_t at =
        from_right ? rfind_bytes(bytes.substr(begin, end - begin), separator) : find_bytes(bytes, separator, begin);
    if (at == bytes.npos) break;
    if (from_right) {
      pieces.push_back(string_val(text.slice(at + separator.size(), end)));
      end = at;
    } else {
      pieces.push_back(string_val(text.slice(begin, at)));
      begin = at + separator.size();
    }
  }
  pieces.push_back(string_val(text.slice(begin, end)));
  if (from_right) std::reverse(pieces.begin(), pieces.end());
  return in.list(std::move(pieces));
}

template <bool from_right>
Val split(Interpreter& in, const Val& self, CallArgs& args) {
  Params params(in, "split()", args, {"sep", "maxsplit"});
  const std::int64_t most = params.integer(1, -1);
  const Text* separator = params.some(0) ? text_param(in, params, 0) : nullptr;
  if (in.failed() || !params.ok() || !in.charge_bytes(self_text(self).size())) return Undefined{};
  if (!separator) return split_space(in, self_text(self), most, from_right);
  if (separator->empty()) return in.fail("split(): empty separator");
  return split_by(in, self_text(self), separator->bytes(), most, from_right);
}

Val splitlines(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "splitlines()", args, {"keepends"});
  if (!params.ok() || !in.charge_bytes(self_text(self).size())) return Undefined{};
  std::vector<Val> lines;
  for (const auto& [begin, end] : split_lines(self_text(self).bytes(), params.flag(0)))
    lines.push_back(string_val(self_text(self).slice(begin, end)));
  return in.list(std::move(lines));
}

template <bool from_right>
Val partition(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "partition()", args, {"sep"}, 1);
  const Text* separator = text_param(in, params, 0);
  if (!separator || !in.charge_bytes(self_text(self).size())) return Undefined{};
  if (separator->empty()) return in.fail("partition(): empty separator");
  const Text& text = self_text(self);
  const std::size_t at =
      from_right ? rfind_bytes(text.bytes(), separator->bytes()) : find_bytes(text.bytes(), separator->bytes());
  if (at == std::string::npos) {
    const Val empty = string_val("");
    return in.list(from_right ? std::vector<Val>{empty, empty, self} : std::vector<Val>{self, empty, empty},
                   List::Kind::tuple);
  }
  return in.list({string_val(text.slice(0, at)), string_val(text.slice(at, at + separator->size())),
                  string_val(text.slice(at + separator->size(), text.size()))},
                 List::Kind::tuple);
}

template <bool at_end>
Val remove_affix(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "removeprefix() or removesuffix()", args, {"affix"}, 1);
  const Text* affix = text_param(in, params, 0);
  if (!affix) return Undefined{};
  const Text& text = self_text(self);
  const bool there = at_end ? text.bytes().ends_with(affix->bytes()) : text.bytes().starts_with(affix->bytes());
  if (!there) return self;
  return in.text(at_end ? text.slice(0, text.size() - affix->size()) : text.slice(affix->size(), text.size()));
}

Val replace_method(Interpreter& in, const Val& self, CallArgs& args) {
  Params params(in, "replace()", args, {"old", "new", "count"}, 2);
  const Text* old = text_param(in, params, 0);
  const Text* by = text_param(in, params, 1);
  const std::int64_t count = params.integer(2, -1);
  if (!old || !by || in.failed() || !in.charge_bytes(self_text(self).size())) return Undefined{};
  return in.text(replace(in, self_text(self), *old, *by, count));
}

Val join_method(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "join()", args, {"iterable"}, 1);
  const ListPtr items = params.ok() ? in.items_of(*params[0]) : nullptr;
  return items ? in.text(join(in, self_text(self), items->items, true)) : Undefined{};
}

Val format_method(Interpreter& in, const Val& self, CallArgs& args) { return format_braces(in, self_text(self), args); }

template <Side text_side>
Val justify(Interpreter& in, const Val& self, CallArgs& args) {
  Params params(in, "justification", args, {"width", "fillchar"}, 1);
  const std::int64_t width = params.integer(0, 0);
  const Text* fill = params[1] ? text_param(in, params, 1) : nullptr;
  if (in.failed() || !params.ok()) return Undefined{};
  if (fill && utf8_count(fill->bytes()) != 1) return in.fail("the fill character must be exactly one character");
  return in.text(pad(in, self_text(self), width, fill ? first_char(fill->bytes()).code : U' ', text_side));
}

// Tabs become spaces up to the next column that is a multiple of the size.
Val expandtabs(Interpreter& in, const Val& self, CallArgs& args) {
  Params params(in, "expandtabs()", args, {"tabsize"});
  const std::int64_t size = params.integer(0, 8);
  if (in.failed() || !params.ok()) return Undefined{};
  const Text& text = self_text(self);
  TextBuilder out;
  std::int64_t column = 0;
  for (std::size_t at = 0; at < text.size() && in.charge();) {
    const Char c = first_char(std::string_view(text.bytes()).substr(at));
    const std::int64_t spaces = c.code != U'\t' || size <= 0 ? 0 : size - column % size;
    if (!in.charge_bytes(out.size() > in.limits().output_bytes_max ? out.size() : static_cast<std::size_t>(spaces)))
      break;
    if (c.code == U'\t')
      out.append(std::string(static_cast<std::size_t>(spaces), ' '), text.from_template_at(at));
    else
      out.append(text, at, at + c.length);
    column = c.code == U'\n' || c.code == U'\r' ? 0 : column + (c.code == U'\t' ? spaces : 1);
    at += c.length;
  }
  return in.text(out.take());
}

// Capitals begin words and stand nowhere else.
bool is_title_text(std::string_view text) {
  bool inside = false, any = false;
  while (!text.empty()) {
    const Char c = first_char(text);
    if (is_upper(c.code) ? inside : is_lower(c.code) && !inside) return false;
    inside = is_upper(c.code) || is_lower(c.code);
    any = any || inside;
    text.remove_prefix(c.length);
  }
  return any;
}

bool is_identifier_text(std::string_view text) {
  const bool begins = !text.empty() && category_of(first_char(text).code) != Category::decimal;
  while (!text.empty()) {
    const Char c = first_char(text);
    const Category category = category_of(c.code);
    if (c.code != U'_' && category != Category::letter && category != Category::decimal) return false;
    text.remove_prefix(c.length);
  }
  return begins;
}

bool is_printable_text(std::string_view text) {
  while (!text.empty()) {
    const Char c = first_char(text);
    if (!is_printable(c.code)) return false;
    text.remove_prefix(c.length);
  }
  return true;
}

Text casefold(const Text& text) {
  return map_runs(text, [](std::string_view run) {
    std::string folded = to_lower(run);
    for (std::size_t at = 0; (at = folded.find("ß", at)) != std::string::npos; at += 2) folded.replace(at, 2, "ss");
    return folded;
  });
}

Val format_map(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "format_map()", args, {"mapping"}, 1);
  const Dict* dict = params.ok() ? as_dict(*params[0]) : nullptr;
  if (!dict) return in.fail("format_map() needs a dict");
  CallArgs named;
  for (const auto& [key, value] : dict->entries)
    if (as_text(key)) named.named.emplace_back(as_text(key)->bytes(), value);
  return format_braces(in, self_text(self), named);
}

Val zfill(Interpreter& in, const Val& self, CallArgs& args) {
  Params params(in, "zfill()", args, {"width"}, 1);
  const std::int64_t width = params.integer(0, 0);
  if (in.failed() || !params.ok()) return Undefined{};
  const Text& text = self_text(self);
  const std::size_t sign = text.bytes().starts_with('-') || text.bytes().starts_with('+') ? 1 : 0;
  TextBuilder out;
  out.append(text, 0, sign);
  out.append(pad(in, text.slice(sign, text.size()), width - static_cast<std::int64_t>(sign), U'0', Side::right));
  return in.text(out.take());
}

// Not empty, and all characters are so.
template <bool (*is)(char32_t)>
Val all_are(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "is...()", args, {});
  std::string_view rest = self_text(self).bytes();
  if (!params.ok() || !in.charge_bytes(rest.size())) return Undefined{};
  const bool any = !rest.empty();
  while (!rest.empty()) {
    const Char c = first_char(rest);
    if (!is(c.code)) return false;
    rest.remove_prefix(c.length);
  }
  return any;
}

bool is_alpha(char32_t c) { return category_of(c) == Category::letter; }
bool is_decimal(char32_t c) { return category_of(c) == Category::decimal; }
bool is_numeric(char32_t c) { return category_of(c) == Category::decimal || category_of(c) == Category::numeric; }
bool is_alphanumeric(char32_t c) { return category_of(c) != Category::other; }
bool is_ascii_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

template <bool (*is)(std::string_view)>
Val has_case(Interpreter& in, const Val& self, CallArgs& args) {
  const Params params(in, "is...()", args, {});
  if (!params.ok() || !in.charge_bytes(self_text(self).size())) return Undefined{};
  return is(self_text(self).bytes());
}

struct Row {
  std::string_view name;
  Method method;
};

constexpr Row kRows[] = {
    {"capitalize", map_method<capitalize>},
    {"casefold", map_method<casefold>},
    {"center", justify<Side::both>},
    {"expandtabs", expandtabs},
    {"format", format_method},
    {"format_map", format_map},
    {"isalnum", all_are<is_alphanumeric>},
    {"isalpha", all_are<is_alpha>},
    {"isascii", has_case<is_ascii_text>},
    {"isdecimal", all_are<is_decimal>},
    {"isdigit", all_are<is_decimal>},
    {"isidentifier", has_case<is_identifier_text>},
    {"islower", has_case<is_lower_text>},
    {"isnumeric", all_are<is_numeric>},
    {"isprintable", has_case<is_printable_text>},
    {"isspace", all_are<is_space>},
    {"istitle", has_case<is_title_text>},
    {"isupper", has_case<is_upper_text>},
    {"join", join_method},
    {"ljust", justify<Side::left>},
    {"lower", map_method<lower>},
    {"lstrip", strip_method<Side::left>},
    {"partition", partition<false>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"replace", replace_method},
    {"rjust", justify<Side::right>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"rstrip", strip_method<Side::right>},
    {"split", split<false>},
    {"splitlines", splitlines},
    {"strip", strip_method<Side::both>},
    {"swapcase", map_method<swapcase>},
    {"title", map_method<title>},
    {"upper", map_method<upper>},
    {"zfill", zfill},
};

}  // namespace

Method find_string_method(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return row.method;
  return find_string_search_method(name);
}

}  // namespace kvasir::jinja
