#pragma once

#include <string>
#include <string_view>

namespace kvasir {

// One server-sent event: "data: ...\n\n". REQUIRES: no line breaks in `data` (compact JSON has none).
void append_sse(std::string& out, std::string_view data);

// A comment: keeps proxies and clients from timing out, ignored by every decoder.
inline constexpr std::string_view kSseHeartbeat = ": keepalive\n\n";

}  // namespace kvasir
