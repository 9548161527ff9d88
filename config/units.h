#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvasir {

// How the configuration writes amounts. Whole decimal numbers and nothing around them; nullopt: not written so, or too
// large for the type.
std::optional<std::uint64_t> parse_count(std::string_view text);
std::optional<std::uint64_t> parse_bytes(std::string_view text);                 // 512, 512B, 48MiB; KiB to TiB
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);  // 250ms, 90s, 5m, 24h, 7d
std::optional<double> parse_factor(std::string_view text);                       // 2x, 2.5x

// The shortest exact way to write an amount: 2GiB, 1536KiB, 90s.
std::string format_bytes(std::uint64_t bytes);
std::string format_duration(std::chrono::milliseconds duration);

inline constexpr const char* kBytesForm = "a whole number with B, KiB, MiB, GiB or TiB";
inline constexpr const char* kDurationForm = "a whole number with ms, s, m, h or d";

}  // namespace kvasir
