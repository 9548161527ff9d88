#include "engine/text/jinja/format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "engine/text/jinja/unicode.h"
#include "engine/text/utf8.h"

namespace kvasir::jinja {
namespace {

void append_hex_escape(std::string& out, char32_t c) {
  constexpr char kHex[] = "0123456789abcdef";
  const int digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
  out += digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += kHex[c >> shift & 15];
}

std::string repr_char(char32_t c, char quote) {
  if (c == U'\\') return "\\\\";
  if (c == static_cast<unsigned char>(quote)) return std::string("\\") + quote;
  if (c == U'\n') return "\\n";
  if (c == U'\r') return "\\r";
  if (c == U'\t') return "\\t";
  std::string out;
  if (is_printable(c)) {
    utf8_append(out, c);
  } else {
    append_hex_escape(out, c);
  }
  return out;
}

void append_repr_text(TextBuilder& out, const Text& text) {
  const std::string_view bytes = text.bytes();
  const char quote = bytes.find('\'') != bytes.npos && bytes.find('"') == bytes.npos ? '"' : '\'';
  out.append(std::string_view(&quote, 1), false);
  for (std::size_t at = 0; at < bytes.size();) {
    const Char c = first_char(bytes.substr(at));
    out.append(repr_char(c.code, quote), text.from_template_at(at));
    at += c.length;
  }
  out.append(std::string_view(&quote, 1), false);
}

void append_repr_list(Interpreter& in, TextBuilder& out, const List& list) {
  const bool tuple = list.kind == List::Kind::tuple || list.kind == List::Kind::group;
  const bool view = is_view(list.kind);
  if (view) out.append(name_of(list.kind) + "(", false);
  out.append(tuple ? "(" : "[", false);
  for (std::size_t i = 0; i < list.items.size() && in.charge(); ++i) {
    if (i) out.append(", ", false);
    append_repr(in, out, list.items[i]);
  }
  out.append(tuple ? list.items.size() == 1 ? ",)" : ")" : view ? "])" : "]", false);
}

void append_repr_dict(Interpreter& in, TextBuilder& out, const Dict& dict) {
  out.append("{", false);
  for (std::size_t i = 0; i < dict.entries.size() && in.charge(); ++i) {
    if (i) out.append(", ", false);
    append_repr(in, out, dict.entries[i].first);
    out.append(": ", false);
    append_repr(in, out, dict.entries[i].second);
  }
  out.append("}", false);
}

// What prints the same everywhere; empty for strings and containers. Digits and such words count as template text:
// they cannot forge a control token, but may be part of one that the template writes.
std::string scalar_text(const Val& value) {
  if (const bool* b = std::get_if<bool>(&value)) return *b ? "True" : "False";
  if (const auto* i = std::get_if<std::int64_t>(&value)) return std::to_string(*i);
  if (const auto* d = std::get_if<double>(&value)) return format_real(*d);
  if (const auto* n = std::get_if<WrittenPtr>(&value)) return (*n)->text;
  if (const Object* o = as_object(value)) return "<" + o->type_name() + ">";
  return is_none(value) ? "None" : "";
}

}  // namespace

std::string format_real(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 32> buffer;
  const auto written =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  std::string_view text(buffer.data(), static_cast<std::size_t>(written.ptr - buffer.data()));
  std::string out;
  if (text.front() == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const std::size_t e = text.find('e');
  std::string digits(text.substr(0, e));
  std::erase(digits, '.');
  int exponent = 0;
  const std::size_t sign = text[e + 1] == '+' ? 1 : 0;
  std::from_chars(text.data() + e + 1 + sign, text.data() + text.size(), exponent);
  if (exponent < -4 || exponent >= 16) {
    out += digits.substr(0, 1);
    if (digits.size() > 1) out += "." + digits.substr(1);
    const std::string number = std::to_string(std::abs(exponent));
    return out + (exponent < 0 ? "e-" : "e+") + (number.size() < 2 ? "0" : "") + number;
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() < whole) digits.append(whole - digits.size(), '0');
  return out + digits.substr(0, whole) + "." + (digits.size() > whole ? digits.substr(whole) : "0");
}

void append_repr(Interpreter& in, TextBuilder& out, const Val& value) {
  if (!in.charge_bytes(out.size() > in.limits().output_bytes_max ? out.size() : 0)) return;
  if (const Text* text = as_text(value)) {
    if (in.charge_bytes(text->size())) append_repr_text(out, *text);
  } else if (const List* list = as_list(value)) {
    append_repr_list(in, out, *list);
  } else if (const Dict* dict = as_dict(value)) {
    append_repr_dict(in, out, *dict);
  } else if (is_undefined(value)) {
    out.append("Undefined", true);
  } else {
    out.append(scalar_text(value), true);
  }
}

void append_text(Interpreter& in, TextBuilder& out, const Val& value) {
  if (const Text* text = as_text(value)) {
    out.append(*text);
  } else if (!is_undefined(value)) {
    append_repr(in, out, value);
  }
}

Text to_text(Interpreter& in, const Val& value) {
  if (const Text* text = as_text(value)) return *text;
  TextBuilder out;
  append_text(in, out, value);
  return out.take();
}

Text escape_html(const Text& text) {
  TextBuilder out;
  const std::string_view bytes = text.bytes();
  std::size_t done = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const char* entity = nullptr;
    switch (bytes[at]) {
      case '&':
        entity = "&amp;";
        break;
      case '<':
        entity = "&lt;";
        break;
      case '>':
        entity = "&gt;";
        break;
      case '\'':
        entity = "&#39;";
        break;
      case '"':
        entity = "&#34;";
        break;
      default:
        continue;
    }
    out.append(text, done, at);
    out.append(entity, text.from_template_at(at));
    done = at + 1;
  }
  out.append(text, done, bytes.size());
  Text escaped = out.take();
  escaped.set_markup(true);
  return escaped;
}

}  // namespace kvasir::jinja
