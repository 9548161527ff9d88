#include "engine/text/utf8.h"

namespace kvasir {
namespace {

// Bytes that `lead` announces, and the range of the byte after it (Unicode 15, table 3-7).
struct Lead {
  std::size_t length;
  unsigned char second_min, second_max;
};

Lead lead_of(unsigned char c) {
  if (c < 0x80) return {1, 0, 0};
  if (c < 0xC2) return {0, 0, 0};
  if (c < 0xE0) return {2, 0x80, 0xBF};
  if (c == 0xE0) return {3, 0xA0, 0xBF};
  if (c == 0xED) return {3, 0x80, 0x9F};
  if (c < 0xF0) return {3, 0x80, 0xBF};
  if (c == 0xF0) return {4, 0x90, 0xBF};
  if (c < 0xF4) return {4, 0x80, 0xBF};
  if (c == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

unsigned char byte_at(std::string_view text, std::size_t i) { return static_cast<unsigned char>(text[i]); }

// Leading bytes that fit the character that the first byte announces, at most its length.
std::size_t fitting_bytes(std::string_view text, const Lead& lead) {
  std::size_t n = 1;
  while (n < lead.length && n < text.size()) {
    const unsigned char c = byte_at(text, n);
    const unsigned char low = n == 1 ? lead.second_min : 0x80;
    const unsigned char high = n == 1 ? lead.second_max : 0xBF;
    if (c < low || c > high) break;
    ++n;
  }
  return n;
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const Lead lead = lead_of(byte_at(text, 0));
  return lead.length != 0 && fitting_bytes(text, lead) == lead.length ? lead.length : 0;
}

std::size_t utf8_incomplete(std::string_view text) {
  if (text.empty()) return 0;
  const Lead lead = lead_of(byte_at(text, 0));
  if (lead.length == 0) return 0;
  const std::size_t n = fitting_bytes(text, lead);
  return n < lead.length && n == text.size() ? n : 0;
}

std::size_t utf8_broken_length(std::string_view text) {
  const Lead lead = lead_of(byte_at(text, 0));
  return lead.length == 0 ? 1 : fitting_bytes(text, lead);
}

char32_t utf8_decode(std::string_view text) {
  const std::size_t length = lead_of(byte_at(text, 0)).length;
  constexpr unsigned char kLeadBits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  char32_t c = byte_at(text, 0) & kLeadBits[length];
  for (std::size_t i = 1; i < length; ++i) c = c << 6 | (byte_at(text, i) & 0x3F);
  return c;
}

std::size_t leading_spaces(std::string_view text) {
  const auto is_space = [](char32_t c) {
    return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
  };
  std::size_t n = 0;
  while (const std::size_t length = utf8_length(text.substr(n))) {
    if (!is_space(utf8_decode(text.substr(n)))) break;
    n += length;
  }
  return n;
}

void utf8_append(std::string& out, char32_t c) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    tail(12), tail(6), tail(0);
  }
}

std::size_t utf8_count(std::string_view text) {
  std::size_t n = 0;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    text.remove_prefix(length ? length : 1);
    ++n;
  }
  return n;
}

}  // namespace kvasir
