#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kvasir {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// Bytes of the UTF-8 character at the start of `text`, 1 to 4; 0 when there is none (empty, broken, cut off, overlong,
// a surrogate or beyond U+10FFFF).
std::size_t utf8_length(std::string_view text);

// How many bytes at the start of `text`, which utf8_length() rejects, might still become a character with more bytes; 0
// when they never can.
std::size_t utf8_incomplete(std::string_view text);

// Bytes at the start of `text`, which utf8_length() rejects, that one replacement character stands for: the longest
// beginning of a character, at least 1 (Unicode's "maximal subpart"). REQUIRES: !text.empty().
std::size_t utf8_broken_length(std::string_view text);

// The character at the start of `text`. REQUIRES: utf8_length(text) != 0.
char32_t utf8_decode(std::string_view text);

// Bytes of the white space (Unicode's White_Space) at the start of `text`.
std::size_t leading_spaces(std::string_view text);

void utf8_append(std::string& out, char32_t c);

// Number of characters; each byte that is no part of one counts as one.
std::size_t utf8_count(std::string_view text);

}  // namespace kvasir
