#include <algorithm>
#include <cstdio>

#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/string_ops.h"
#include "engine/text/jinja/unicode.h"
#include "engine/text/utf8.h"

namespace kvasir::jinja {
namespace {

// The subject as text, paid for; empty after a failure.
Text subject_text(Interpreter& in, const Val& subject) {
  Text text = to_text(in, subject);
  return in.charge_bytes(text.size()) ? text : Text();
}

template <Text (*map)(const Text&)>
Val map_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter", args, {});
  return params.ok() ? in.text(map(subject_text(in, subject))) : Undefined{};
}

bool is_alphanumeric_ascii(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

Text plain(const Text& text) { return text; }

Text safe(const Text& text) {
  Text markup = text;
  markup.set_markup(true);
  return markup;
}

Text escape(const Text& text) { return text.is_markup() ? text : escape_html(text); }

// Unlike str.title(): words begin behind white space and opening brackets only.
Text title_words(const Text& text) {
  TextBuilder out;
  bool begins = true;
  const std::string_view bytes = text.bytes();
  for (std::size_t at = 0; at < bytes.size();) {
    const Char c = first_char(bytes.substr(at));
    const std::string_view character = bytes.substr(at, c.length);
    out.append(begins ? to_upper(character) : to_lower(character), text.from_template_at(at));
    begins = is_space(c.code) || c.code == U'-' || c.code == U'(' || c.code == U'{' || c.code == U'[' || c.code == U'<';
    at += c.length;
  }
  return out.take();
}

Val trim(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'trim'", args, {"chars"});
  if (!params.ok()) return Undefined{};
  const Text* chars = params.some(0) ? as_text(*params.some(0)) : nullptr;
  if (params.some(0) && !chars) return in.fail("filter 'trim' needs a string, not " + type_name(*params[0]));
  return in.text(strip(subject_text(in, subject), chars, Side::both));
}

Val replace_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  Params params(in, "filter 'replace'", args, {"old", "new", "count"}, 2);
  const std::int64_t count = params.some(2) ? params.integer(2, -1) : -1;
  if (!params.ok() || in.failed()) return Undefined{};
  Text text = subject_text(in, subject);
  text.set_markup(false);
  return in.text(replace(in, text, to_text(in, *params[0]), to_text(in, *params[1]), count));
}

// Width as a number of spaces or as the text itself.
std::optional<Text> indentation(Interpreter& in, const Val* width) {
  if (width)
    if (const Text* text = as_text(*width)) return *text;
  const std::int64_t spaces = width ? as_integer(*width).value_or(-1) : 4;
  constexpr std::int64_t kMost = 1000;
  if (spaces >= 0 && spaces <= kMost) return Text(std::string(static_cast<std::size_t>(spaces), ' '), true);
  in.fail("filter 'indent': the width must be a string or 0 to 1000");
  return std::nullopt;
}

Val indent(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'indent'", args, {"width", "first", "blank"});
  const auto margin = params.ok() ? indentation(in, params[0]) : std::nullopt;
  if (!margin) return Undefined{};
  if (!as_text(subject)) return in.fail("filter 'indent' needs a string, not " + type_name(subject));
  // Jinja adds a line end, so that an open last line counts, and one more line does where there was one.
  TextBuilder all;
  all.append(subject_text(in, subject));
  all.append("\n", true);
  const Text text = all.take();
  TextBuilder out;
  bool first = true;
  for (const auto& [begin, end] : split_lines(text.bytes())) {
    if (!first) out.append("\n", true);
    if (first ? params.flag(1) : params.flag(2) || begin != end) out.append(*margin);
    out.append(text, begin, end);
    first = false;
    if (!in.charge_bytes(margin->size() + end - begin)) return Undefined{};
    if (out.size() > in.limits().output_bytes_max) in.charge_bytes(out.size());
  }
  return in.text(out.take());
}

Val join_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'join'", args, {"d", "attribute"});
  const ListPtr items = params.ok() ? in.items_of(subject) : nullptr;
  if (!items) return Undefined{};
  const Text separator = params[0] ? to_text(in, *params[0]) : Text();
  if (!params.some(1)) return in.text(join(in, separator, items->items, false));
  std::vector<Val> values;
  for (const Val& item : items->items) values.push_back(attribute_path(in, item, *params[1]));
  return in.text(join(in, separator, values, false));
}

Val center(Interpreter& in, const Val& subject, CallArgs& args) {
  Params params(in, "filter 'center'", args, {"width"});
  const std::int64_t width = params.integer(0, 80);
  return in.failed() ? Undefined{} : in.text(pad(in, subject_text(in, subject), width, U' ', Side::both));
}

Val truncate(Interpreter& in, const Val& subject, CallArgs& args) {
  Params params(in, "filter 'truncate'", args, {"length", "killwords", "end", "leeway"});
  const std::int64_t length = params.integer(0, 255), leeway = params.some(3) ? params.integer(3, 5) : 5;
  const Text ending = params[2] ? to_text(in, *params[2]) : Text("...", true);
  const Text text = subject_text(in, subject);
  if (is_undefined(subject)) return string_val("");
  if (!as_text(subject)) return in.fail("filter 'truncate' needs a string, not " + type_name(subject));
  const std::string_view bytes = text.bytes();
  const auto kept = length - static_cast<std::int64_t>(utf8_count(ending.bytes()));
  if (in.failed() || kept < 0) return in.fail("filter 'truncate': the length is less than that of the end");
  if (static_cast<std::int64_t>(utf8_count(bytes)) <= length + leeway) return in.text(text);
  std::size_t end = 0;
  for (std::int64_t i = 0; i < kept; ++i) end += first_char(bytes.substr(end)).length;
  if (!params.flag(1))
    if (const std::size_t space = bytes.substr(0, end).rfind(' '); space != bytes.npos) end = space;
  TextBuilder out;
  out.append(text, 0, end);
  out.append(ending);
  return in.text(out.take());
}

Val wordcount(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'wordcount'", args, {});
  const Text text = subject_text(in, subject);
  std::int64_t words = 0;
  bool inside = false;
  for (std::string_view rest = text.bytes(); !rest.empty();) {
    const Char c = first_char(rest);
    const bool part = category_of(c.code) != Category::other || c.code == U'_';
    words += part && !inside;
    inside = part;
    rest.remove_prefix(c.length);
  }
  return params.ok() ? Val(words) : Undefined{};
}

// Percent-encoded; in a query "/" too, and a space is a plus.
Text url_quoted(const Text& text, bool in_query) {
  return map_runs(text, [&](std::string_view run) {
    constexpr char kHex[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : run) {
      const auto byte = static_cast<unsigned char>(c);
      const bool plain_char = is_alphanumeric_ascii(c) || std::string_view("_.-~").find(c) != std::string_view::npos;
      if (plain_char || (c == '/' && !in_query))
        out += c;
      else if (c == ' ' && in_query)
        out += '+';
      else
        out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
    return out;
  });
}

Val urlencode(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'urlencode'", args, {});
  if (!params.ok()) return Undefined{};
  if (!as_list(subject) && !as_dict(subject)) return in.text(url_quoted(subject_text(in, subject), false));
  TextBuilder out;
  const auto add = [&](const Val& key, const Val& value) {
    if (out.size() != 0) out.append("&", true);
    out.append(url_quoted(subject_text(in, key), true));
    out.append("=", true);
    out.append(url_quoted(subject_text(in, value), true));
  };
  if (const Dict* dict = as_dict(subject)) {
    for (const auto& [key, value] : dict->entries) add(key, value);
    return in.text(out.take());
  }
  for (const Val& pair : as_list(subject)->items) {
    const ListPtr both = in.items_of(pair);
    if (!both || both->items.size() != 2) return in.fail("filter 'urlencode' needs pairs");
    add(both->items[0], both->items[1]);
  }
  return in.text(out.take());
}

// key="value" for what is there, with a space before.
Val xmlattr(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'xmlattr'", args, {"autospace"});
  const Dict* dict = as_dict(subject);
  if (!params.ok() || !dict) return in.fail("filter 'xmlattr' needs a dict");
  TextBuilder out;
  for (const auto& [key, value] : dict->entries) {
    if (is_none(value) || is_undefined(value)) continue;
    const Text name = subject_text(in, key);
    if (name.bytes().find_first_of(" \t\n\r\f\v/>=") != std::string::npos)
      return in.fail("filter 'xmlattr': not a name: '" + name.bytes() + "'");
    if (out.size() != 0 || params.flag(0, true)) out.append(" ", true);
    out.append(escape_html(name));
    out.append("=\"", true);
    out.append(escape(subject_text(in, value)));
    out.append("\"", true);
  }
  return in.text(out.take());
}

Val filesizeformat(Interpreter& in, const Val& subject, CallArgs& args) {
  const Params params(in, "filter 'filesizeformat'", args, {"binary"});
  const auto number = as_numeric(subject);
  if (!params.ok() || !number) return in.fail("filter 'filesizeformat' needs a number, not " + type_name(subject));
  const bool binary = params.flag(0);
  const double base = binary ? 1024 : 1000, bytes = number->real;
  if (bytes == 1) return string_val("1 Byte");
  if (bytes < base) return string_val(std::to_string(static_cast<std::int64_t>(bytes)) + " Bytes");
  constexpr std::string_view kLetters = "kMGTPEZY";
  double unit = base;
  std::size_t i = 0;
  for (; i + 1 < kLetters.size() && bytes >= unit * base; ++i) unit *= base;
  char number_text[64];
  std::snprintf(number_text, sizeof number_text, "%.1f ", bytes / unit);
  const char letter = binary && i == 0 ? 'K' : kLetters[i];
  return string_val(number_text + std::string(1, letter) + (binary ? "iB" : "B"));
}

Val format_filter(Interpreter& in, const Val& subject, CallArgs& args) {
  const Text format = subject_text(in, subject);
  if (args.named.empty()) return format_percent(in, format, in.list(std::move(args.positional), List::Kind::tuple));
  Dict names;
  for (auto& [name, value] : args.named) names.set(string_val(name), std::move(value));
  return format_percent(in, format, in.dict(std::move(names)));
}

constexpr FilterRow kRows[] = {
    {"capitalize", map_filter<capitalize>},
    {"center", center},
    {"e", map_filter<escape>},
    {"escape", map_filter<escape>},
    {"forceescape", map_filter<escape_html>},
    {"filesizeformat", filesizeformat},
    {"format", format_filter},
    {"indent", indent},
    {"join", join_filter},
    {"lower", map_filter<lower>},
    {"replace", replace_filter},
    {"safe", map_filter<safe>},
    {"string", map_filter<plain>},
    {"title", map_filter<title_words>},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", map_filter<upper>},
    {"urlencode", urlencode},
    {"wordcount", wordcount},
    {"xmlattr", xmlattr},
};

}  // namespace

FilterFunction find_string_filter(std::string_view name) {
  for (const FilterRow& row : kRows)
    if (row.name == name) return row.function;
  return nullptr;
}

}  // namespace kvasir::jinja
