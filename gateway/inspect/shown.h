#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kvasir {

// Text of a file that somebody made, as a terminal may see it: control characters, direction marks and what is not
// UTF-8 as \n, \t or \x1b; cut after `bytes_max` bytes, with "..." then.
std::string shown(std::string_view text, std::size_t bytes_max = 200);

std::string grouped(std::uint64_t number);     // 134,515,008
std::string shown_bytes(std::uint64_t bytes);  // 512 B, 22.5 KiB, 93.8 MiB, 1.2 GiB

}  // namespace kvasir
