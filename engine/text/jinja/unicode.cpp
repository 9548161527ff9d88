#include "engine/text/jinja/unicode.h"

#include <algorithm>

#include <locale.h>
#include <wctype.h>

#include "engine/text/utf8.h"
#include "storage/base/assert.h"

namespace kvasir::jinja {
namespace {

// Character properties of glibc's C.UTF-8 locale, which is built in since 2.35.
locale_t unicode_locale() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  KVASIR_ASSERT(locale != nullptr);
  return locale;
}

std::string map_chars(std::string_view text, auto map) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Char c = first_char(text);
    if (c.length == 1 && c.code == 0xFFFD) {
      out += text.front();
    } else {
      map(out, c.code);
    }
    text.remove_prefix(c.length);
  }
  return out;
}

bool has_case(std::string_view text, bool (*wanted)(char32_t), bool (*other)(char32_t)) {
  bool any = false;
  while (!text.empty()) {
    const Char c = first_char(text);
    if (other(c.code)) return false;
    any |= wanted(c.code);
    text.remove_prefix(c.length);
  }
  return any;
}

void append_upper(std::string& out, char32_t c) {
  if (c == U'ß') {
    out += "SS";
  } else {
    utf8_append(out, static_cast<char32_t>(towupper_l(static_cast<wint_t>(c), unicode_locale())));
  }
}

void append_lower(std::string& out, char32_t c) {
  utf8_append(out, static_cast<char32_t>(towlower_l(static_cast<wint_t>(c), unicode_locale())));
}

}  // namespace

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

Char first_char(std::string_view text) {
  const std::size_t length = utf8_length(text);
  return length ? Char{utf8_decode(text), length} : Char{0xFFFD, 1};
}

Char last_char(std::string_view text) {
  for (std::size_t n = 1; n <= std::min<std::size_t>(4, text.size()); ++n) {
    const std::string_view tail = text.substr(text.size() - n);
    if (utf8_length(tail) == n) return {utf8_decode(tail), n};
  }
  return {0xFFFD, 1};
}

std::size_t leading_space(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size()) {
    const Char c = first_char(text.substr(n));
    if (!is_space(c.code)) break;
    n += c.length;
  }
  return n;
}

std::size_t trailing_space(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size()) {
    const Char c = last_char(text.substr(0, text.size() - n));
    if (!is_space(c.code)) break;
    n += c.length;
  }
  return n;
}

Category category_of(char32_t c) {
  if (c >= U'0' && c <= U'9') return Category::decimal;
  if (c == U'²' || c == U'³' || c == U'¹' || (c >= U'¼' && c <= U'¾')) return Category::numeric;
  const auto wide = static_cast<wint_t>(c);
  // glibc counts the digits of other scripts as letters; those are rare enough in templates.
  return iswalpha_l(wide, unicode_locale()) ? Category::letter : Category::other;
}

bool is_upper(char32_t c) { return iswupper_l(static_cast<wint_t>(c), unicode_locale()) != 0; }
bool is_lower(char32_t c) { return iswlower_l(static_cast<wint_t>(c), unicode_locale()) != 0; }

bool is_upper_text(std::string_view text) { return has_case(text, is_upper, is_lower); }
bool is_lower_text(std::string_view text) { return has_case(text, is_lower, is_upper); }

bool is_printable(char32_t c) {
  if (c == U' ') return true;
  if (is_space(c) || c == 0xAD || (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E)) return false;
  if ((c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c >= 0xE000 && c <= 0xF8FF) || c >= 0xE0000) return false;
  return iswprint_l(static_cast<wint_t>(c), unicode_locale()) != 0;
}

std::string to_upper(std::string_view text) { return map_chars(text, append_upper); }
std::string to_lower(std::string_view text) { return map_chars(text, append_lower); }

std::string to_capitalized(std::string_view text) {
  if (text.empty()) return {};
  const std::size_t first = first_char(text).length;
  return to_upper(text.substr(0, first)) + to_lower(text.substr(first));
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace kvasir::jinja
