#pragma once

#include <string>
#include <string_view>

namespace kvasir {

// Unicode's normalization form NFC (Unicode 14), which some tokenizers bring text to before they cut it. Bytes that are
// not UTF-8 stay as they are and count as characters that combine with nothing.

// Surely in the form already, by a look that costs next to nothing; false says nothing.
bool is_nfc_quick(std::string_view text);

// Linear, but for runs of combining marks, which are sorted.
std::string to_nfc(std::string_view text);

}  // namespace kvasir
