#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// What Python's str knows of Unicode. Bytes that are not UTF-8 count as characters without properties.
namespace kvasir::jinja {

bool is_space(char32_t c);                          // str.isspace
std::size_t leading_space(std::string_view text);   // bytes
std::size_t trailing_space(std::string_view text);  // bytes

enum class Category : unsigned char { letter, decimal, numeric, other };
Category category_of(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
// str.isupper and str.islower: at least one letter of that case, none of the other.
bool is_upper_text(std::string_view text);
bool is_lower_text(std::string_view text);
bool is_printable(char32_t c);  // repr() shows it as it is

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
// The first character upper case (in what `to_upper` gives), the rest lower.
std::string to_capitalized(std::string_view text);

// The first character of a non-empty text, and its bytes; a broken byte is U+FFFD of one byte.
struct Char {
  char32_t code;
  std::size_t length;
};
Char first_char(std::string_view text);
Char last_char(std::string_view text);

int hex_value(char c);  // -1: no hexadecimal digit

}  // namespace kvasir::jinja
