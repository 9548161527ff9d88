#pragma once

#include <string>
#include <string_view>

namespace kvasir {

// The printable form of byte-level BPE (GPT-2): each byte is one character that is never a space or a control
// character, so that vocabularies can be text files.
char32_t printable_of_byte(unsigned char byte);

// Printable form to bytes. Characters outside of the alphabet stay as they are.
std::string bytes_of_printable(std::string_view printable);

// Bytes to printable form.
std::string printable_of_bytes(std::string_view bytes);

}  // namespace kvasir
