#include "engine/text/byte_level.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "engine/text/utf8.h"

namespace kvasir {
namespace {

constexpr bool stands_for_itself(std::uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr char32_t kFirstShifted = 0x100;

// The bytes that have no printable character of their own get U+0100, U+0101, ... in order.
constexpr auto kAlphabet = [] {
  std::array<char32_t, 256> alphabet{};
  char32_t shifted = kFirstShifted;
  for (std::uint32_t byte = 0; byte < 256; ++byte) alphabet[byte] = stands_for_itself(byte) ? byte : shifted++;
  return alphabet;
}();
static_assert(kAlphabet[' '] == U'Ġ' && kAlphabet['\n'] == U'Ċ');

constexpr std::size_t kCodes = 0x144;  // one past the last character of the alphabet
static_assert(*std::max_element(kAlphabet.begin(), kAlphabet.end()) + 1 == kCodes);

constexpr auto kBytes = [] {
  std::array<std::int16_t, kCodes> bytes{};
  for (auto& b : bytes) b = -1;
  for (std::int16_t byte = 0; byte < 256; ++byte) bytes[kAlphabet[static_cast<std::size_t>(byte)]] = byte;
  return bytes;
}();

}  // namespace

char32_t printable_of_byte(unsigned char byte) { return kAlphabet[byte]; }

std::string bytes_of_printable(std::string_view printable) {
  std::string bytes;
  while (!printable.empty()) {
    const std::size_t length = utf8_length(printable);
    const char32_t c = length ? utf8_decode(printable) : kCodes;
    const std::size_t taken = length ? length : 1;
    if (c < kCodes && kBytes[c] >= 0) {
      bytes += static_cast<char>(kBytes[c]);
    } else {
      bytes.append(printable, 0, taken);
    }
    printable.remove_prefix(taken);
  }
  return bytes;
}

std::string printable_of_bytes(std::string_view bytes) {
  std::string printable;
  for (const char byte : bytes) utf8_append(printable, kAlphabet[static_cast<unsigned char>(byte)]);
  return printable;
}

}  // namespace kvasir
