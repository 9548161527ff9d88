#include <charconv>

#include "gateway/canonical/head_texts.h"
#include "gateway/canonical/span_forms.h"
#include "gateway/canonical/volatile_spans.h"

namespace kvasir {
namespace {

constexpr std::uint64_t kDaySeconds = 86'400;
constexpr std::size_t kMillisecondDigits = 13;

// Seconds or milliseconds since 1970 at the start of their day.
std::string start_of_day(std::string_view number) {
  std::uint64_t value = 0;
  std::from_chars(number.data(), number.data() + number.size(), value);
  const std::uint64_t day = number.size() == kMillisecondDigits ? kDaySeconds * 1000 : kDaySeconds;
  return std::to_string(value / day * day);
}

// "Sun Jul 26 10:00:00 UTC 2026" -> "Sun Jul 26 2026"
std::string without_inner_clock(std::string_view printed) {
  constexpr std::size_t kYear = 4;
  std::size_t clock = printed.find(':');
  while (clock > 0 && is_digit(printed[clock - 1])) --clock;
  return std::string(printed.substr(0, clock)).append(printed.substr(printed.size() - kYear));
}

std::string rounded(const Span& span, std::string_view text) {
  const std::string_view form = span.of(text);
  if (span.day_size > 0) return std::string(form.substr(0, span.day_size));
  if (form.find(':') == std::string_view::npos) return start_of_day(form);
  return is_letter(form[0]) ? without_inner_clock(form) : std::string(form);  // a clock alone has no day
}

// The bytes of further clocks behind a day: they would make a time of it again.
std::size_t more_clocks(std::string_view text, std::string_view day) {
  std::size_t size = 0;
  for (std::string joined;;) {
    joined.assign(day).append(text.substr(size, 64));
    const DayAndClock time = day_and_clock_form(joined);
    if (time.day_size != day.size() || time.size <= day.size()) return size;
    size += time.size - day.size();
  }
}

std::optional<EditedText> with_days(std::string_view text) {
  EditedText out;
  std::size_t copied = 0;
  for (const Span& span : find_spans(text)) {
    if (span.kind != SpanKind::clock || !span.is_volatile || span.begin < copied) continue;
    const std::string day = rounded(span, text);
    if (day == span.of(text)) continue;
    out.text.append(text, copied, span.begin - copied).append(day);
    copied = span.begin + span.size;
    copied += more_clocks(text.substr(copied), day);
    ++out.changes;
  }
  if (out.changes == 0) return std::nullopt;
  out.text.append(text, copied);
  return out;
}

}  // namespace

void round_clock(Conversation& conversation, const RuleContext&, RuleChanges& changes) {
  edit_head(conversation, changes, with_days);
}

}  // namespace kvasir
