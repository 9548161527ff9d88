#pragma once

#include <cstddef>
#include <string_view>

namespace kvasir {

// The forms of times, days and ids in text. Each looks at the start of `text` and gives the bytes of the form that
// stands there, 0 for none; none reads further than a few hundred bytes. Whether a word begins there is the caller's
// business; that it ends there is checked.

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
inline bool is_word(char c) { return is_digit(c) || is_letter(c) || c == '_'; }
inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool starts_with_ignoring_case(std::string_view text, std::string_view lower_case_start);

std::size_t day_form(std::string_view text);    // 2026-07-26, 2026/07/26, 7/26/2026, July 26, 2026, Sun, 26 Jul 2026
std::size_t clock_form(std::string_view text);  // 10:00, 10:00:00.123Z, 9:05 PM EST, 23:59:59 +02:00
std::size_t uuid_form(std::string_view text);
std::size_t call_id_form(
    std::string_view text);  // call_..., toolu_..., msg_..., chatcmpl-...: a known start, then chance

// A time of a day: the day, what stands between, the clock; or as `date` prints it ("Sun Jul 26 10:00:00 UTC 2026").
struct DayAndClock {
  std::size_t size = 0;      // of all of it
  std::size_t day_size = 0;  // the day alone; size when there is no clock, 0 where the clock stands inside the day
};
DayAndClock day_and_clock_form(std::string_view text);

}  // namespace kvasir
