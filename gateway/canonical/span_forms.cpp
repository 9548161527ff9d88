#include "gateway/canonical/span_forms.h"

#include <algorithm>
#include <array>

namespace kvasir {
namespace {

constexpr std::size_t kIdBytesMax = 128;

bool ends_word(std::string_view text, std::size_t at) { return at >= text.size() || !is_word(text[at]); }

std::size_t digits(std::string_view text, std::size_t at, std::size_t most) {
  std::size_t n = 0;
  while (n < most && at + n < text.size() && is_digit(text[at + n])) ++n;
  return n;
}

int number(std::string_view text, std::size_t at, std::size_t size) {
  int value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value * 10 + (text[at + i] - '0');
  return value;
}

bool at_char(std::string_view text, std::size_t at, char c) { return at < text.size() && text[at] == c; }

bool is_year(std::string_view text, std::size_t at) {
  if (digits(text, at, 5) != 4) return false;
  const int year = number(text, at, 4);
  return year >= 1900 && year < 2200;
}

bool is_within(std::string_view text, std::size_t at, std::size_t size, int most) {
  const int value = size == 0 ? 0 : number(text, at, size);
  return value >= 1 && value <= most;
}

// 2026-07-26, 2026/07/26
std::size_t year_first(std::string_view text) {
  if (!is_year(text, 0) || text.size() < 10) return 0;
  const char separator = text[4];
  const bool form = (separator == '-' || separator == '/') && digits(text, 5, 2) == 2 && text[7] == separator &&
                    digits(text, 8, 3) == 2;
  return form && is_within(text, 5, 2, 12) && is_within(text, 8, 2, 31) ? 10 : 0;
}

// 7/26/2026, 26.07.2026
std::size_t year_last(std::string_view text) {
  const std::size_t first = digits(text, 0, 2);
  if (first == 0 || first >= text.size()) return 0;
  const char separator = text[first];
  if (separator != '/' && separator != '.') return 0;
  const std::size_t second = digits(text, first + 1, 2), year = first + 1 + second + 1;
  if (second == 0 || !at_char(text, year - 1, separator) || !is_year(text, year)) return 0;
  return is_within(text, 0, first, 31) && is_within(text, first + 1, second, 31) ? year + 4 : 0;
}

// One of the names, whole or its first three letters; ignores case but for the first letter.
template <std::size_t N>
std::size_t name_form(std::string_view text, const std::array<std::string_view, N>& names) {
  if (text.empty() || text[0] < 'A' || text[0] > 'Z') return 0;
  for (const std::string_view name : names)
    for (const std::size_t size : {name.size(), std::size_t{3}})
      if (starts_with_ignoring_case(text, name.substr(0, size)) && (size >= text.size() || !is_letter(text[size])))
        return at_char(text, size, '.') && size == 3 ? size + 1 : size;
  return 0;
}

std::size_t month_form(std::string_view text) {
  static constexpr std::array<std::string_view, 12> names{"january",   "february", "march",    "april",
                                                          "may",       "june",     "july",     "august",
                                                          "september", "october",  "november", "december"};
  return name_form(text, names);
}

std::size_t weekday_form(std::string_view text) {
  static constexpr std::array<std::string_view, 7> names{"monday", "tuesday",  "wednesday", "thursday",
                                                         "friday", "saturday", "sunday"};
  return name_form(text, names);
}

// A day of the month, with "th" and its like.
std::size_t ordinal(std::string_view text) {
  const std::size_t n = digits(text, 0, 2);
  if (n == 0 || !is_within(text, 0, n, 31)) return 0;
  for (const std::string_view ending : {"st", "nd", "rd", "th"})
    if (text.substr(n).starts_with(ending)) return n + 2;
  return n;
}

std::size_t space(std::string_view text, std::size_t at) {
  return at_char(text, at, ' ') ? (at_char(text, at + 1, ' ') ? 2 : 1) : 0;
}

// "," and spaces, or spaces, before the year.
std::size_t before_year(std::string_view text, std::size_t at) {
  const std::size_t comma = at_char(text, at, ',') ? 1 : 0;
  const std::size_t spaces = space(text, at + comma);
  return spaces == 0 ? 0 : comma + spaces;
}

std::size_t month_and_day(std::string_view text) {
  const std::size_t month = month_form(text), gap = month ? space(text, month) : 0;
  const std::size_t day = gap ? ordinal(text.substr(month + gap)) : 0;
  return day ? month + gap + day : 0;
}

// July 26, 2026 or 26 July 2026
std::size_t with_month_name(std::string_view text) {
  std::size_t size = month_and_day(text);
  if (size == 0) {
    const std::size_t day = ordinal(text), gap = day ? (at_char(text, day, '-') ? 1 : space(text, day)) : 0;
    const std::size_t month = gap ? month_form(text.substr(day + gap)) : 0;
    if (month == 0) return 0;
    size = day + gap + month;
    if (at_char(text, size, '-') && is_year(text, size + 1)) return size + 5;
  }
  const std::size_t gap = before_year(text, size);
  return gap && is_year(text, size + gap) ? size + gap + 4 : 0;
}

// Sunday, July 26 (, 2026): a weekday alone is no day; with one, the year may be left out.
std::size_t with_weekday(std::string_view text) {
  const std::size_t weekday = weekday_form(text);
  if (weekday == 0) return 0;
  std::size_t gap = at_char(text, weekday, ',') ? 1 : 0;
  gap += space(text, weekday + gap);
  if (gap == 0) return 0;
  const std::string_view rest = text.substr(weekday + gap);
  std::size_t day = with_month_name(rest);
  if (day == 0) day = year_first(rest);
  if (day == 0) day = month_and_day(rest);
  return day ? weekday + gap + day : 0;
}

std::size_t seconds(std::string_view text, std::size_t at) {
  if (!at_char(text, at, ':') || digits(text, at + 1, 3) != 2) return 0;
  std::size_t size = 3;
  if ((at_char(text, at + size, '.') || at_char(text, at + size, ',')) && digits(text, at + size + 1, 1) == 1)
    size += 1 + digits(text, at + size + 1, 9);
  return size;
}

std::size_t half_of_day(std::string_view text, std::size_t at) {
  const std::size_t gap = at_char(text, at, ' ') ? 1 : 0;
  const std::string_view rest = text.substr(std::min(at + gap, text.size()));
  for (const std::string_view half : {"a.m.", "p.m.", "am", "pm"})
    if (starts_with_ignoring_case(rest, half) && ends_word(rest, half.size())) return gap + half.size();
  return 0;
}

// "Z", " UTC", "+02:00", " (CEST)"
std::size_t zone(std::string_view text, std::size_t at) {
  if (at_char(text, at, 'Z') && ends_word(text, at + 1)) return 1;
  const std::size_t gap = at_char(text, at, ' ') ? 1 : 0;
  std::size_t end = at + gap;
  if (at_char(text, end, '+') || at_char(text, end, '-')) {
    const std::size_t hours = digits(text, end + 1, 5);
    if (hours == 4 && ends_word(text, end + 5)) return gap + 5;
    if (hours == 2 && at_char(text, end + 3, ':') && digits(text, end + 4, 3) == 2) return gap + 6;
    return 0;
  }
  const bool open = at_char(text, end, '(');
  end += open ? 1 : 0;
  static constexpr std::array<std::string_view, 21> names{"UTC",  "GMT", "EST", "EDT", "CST",  "CDT",  "MST",
                                                          "MDT",  "PST", "PDT", "CET", "CEST", "BST",  "WEST",
                                                          "EEST", "EET", "IST", "JST", "AEST", "AEDT", "KST"};
  for (const std::string_view name : names)
    if (text.substr(std::min(end, text.size())).starts_with(name) && ends_word(text, end + name.size())) {
      end += name.size();
      if (open && !at_char(text, end, ')')) return 0;
      return end + (open ? 1 : 0) - at;
    }
  return 0;
}

// Between a day and its clock.
std::size_t before_clock(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(std::min(at, text.size()));
  if (rest.size() > 1 && (rest[0] == 'T' || rest[0] == 't') && is_digit(rest[1])) return 1;
  for (const std::string_view between : {", at ", " at ", ", ", " - ", " "})
    if (rest.starts_with(between)) return between.size();
  return 0;
}

// Sun Jul 26 10:00:00 UTC 2026
std::size_t printed_by_date(std::string_view text) {
  const std::size_t weekday = weekday_form(text), gap = weekday ? space(text, weekday) : 0;
  const std::size_t day = gap ? month_and_day(text.substr(weekday + gap)) : 0;
  if (day == 0) return 0;
  std::size_t at = weekday + gap + day;
  const std::size_t clock = at_char(text, at, ' ') ? clock_form(text.substr(at + 1)) : 0;
  if (clock == 0) return 0;
  at += 1 + clock;
  return at_char(text, at, ' ') && is_year(text, at + 1) && ends_word(text, at + 5) ? at + 5 : 0;
}

bool is_hex(char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f'); }

}  // namespace

bool starts_with_ignoring_case(std::string_view text, std::string_view lower_case_start) {
  if (text.size() < lower_case_start.size()) return false;
  for (std::size_t i = 0; i < lower_case_start.size(); ++i)
    if (lower(text[i]) != lower_case_start[i]) return false;
  return true;
}

std::size_t day_form(std::string_view text) {
  if (text.empty()) return 0;
  std::size_t size = 0;
  if (is_digit(text[0])) {
    size = year_first(text);
    if (size == 0) size = year_last(text);
  }
  if (size == 0) size = with_month_name(text);
  if (size == 0) size = with_weekday(text);
  const bool goes_on = size > 0 && size < text.size() && is_word(text[size]) && lower(text[size]) != 't';
  return goes_on ? 0 : size;
}

std::size_t clock_form(std::string_view text) {
  const std::size_t hours = digits(text, 0, 3);
  if (hours == 0 || hours > 2 || number(text, 0, hours) > 24) return 0;
  if (!at_char(text, hours, ':') || digits(text, hours + 1, 3) != 2 || number(text, hours + 1, 2) > 59) return 0;
  std::size_t size = hours + 3;
  size += seconds(text, size);
  size += half_of_day(text, size);
  size += zone(text, size);
  return ends_word(text, size) && !at_char(text, size, ':') ? size : 0;
}

DayAndClock day_and_clock_form(std::string_view text) {
  if (const std::size_t size = printed_by_date(text)) return {size, 0};
  const std::size_t day = day_form(text);
  if (day == 0) return {};
  const std::size_t between = before_clock(text, day);
  const std::size_t clock = between ? clock_form(text.substr(day + between)) : 0;
  if (clock) return {day + between + clock, day};
  return ends_word(text, day) ? DayAndClock{day, day} : DayAndClock{};
}

std::size_t uuid_form(std::string_view text) {
  constexpr std::size_t kSize = 36;
  if (text.size() < kSize || !ends_word(text, kSize)) return 0;
  for (std::size_t i = 0; i < kSize; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text[i])) return 0;
  }
  return kSize;
}

std::size_t call_id_form(std::string_view text) {
  static constexpr std::array<std::string_view, 14> starts{"call_", "toolu_", "srvtoolu_", "msg_",     "req_",
                                                           "resp_", "run_",   "thread_",   "sess_",    "session_",
                                                           "cmpl-", "conv_",  "trace_",    "chatcmpl-"};
  const auto* start =
      std::find_if(starts.begin(), starts.end(), [&](std::string_view s) { return text.starts_with(s); });
  if (start == starts.end()) return 0;
  std::size_t size = start->size(), figures = 0, capitals = 0;
  for (; size < text.size() && size < kIdBytesMax && (is_word(text[size]) || text[size] == '-'); ++size) {
    figures += is_digit(text[size]);
    capitals += text[size] >= 'A' && text[size] <= 'Z';
  }
  // Words ("call_back_2") are no ids: those have figures among letters of both cases, or many figures.
  const bool chance = size - start->size() >= 12 && figures > 0 && (capitals > 0 || figures >= 4);
  return chance ? size : 0;
}

}  // namespace kvasir
