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

std::string day_of(const DayAndClock& time, std::string_view form) {
  return time.day_size > 0 ? std::string(form.substr(0, time.day_size))
                           : without_inner_clock(form.substr(0, time.size));
}

struct Day {
  std::string text;
  std::size_t taken;  // bytes of the text that it stands for
};

// The day of the time that `text` begins with. What comes behind may make a time or a longer day of it again; that is
// taken as well, so that doing it twice is doing it once.
Day rounded_day(std::string_view text) {
  constexpr std::size_t kFormBytesMax = 128;
  Day day{{}, 0};
  for (std::string joined;;) {
    joined.assign(day.text).append(text.substr(day.taken, kFormBytesMax));
    const DayAndClock time = day_and_clock_form(joined);
    if (time.size <= day.text.size()) return day;
    day.taken += time.size - day.text.size();
    day.text = day_of(time, joined);
  }
}

Day rounded(const Span& span, std::string_view text) {
  const std::string_view form = span.of(text);
  if (form.find(':') == std::string_view::npos) return {start_of_day(form), form.size()};
  if (day_and_clock_form(form).size == 0) return {std::string(form), form.size()};  // a clock alone has no day
  return rounded_day(text.substr(span.begin));
}

std::optional<EditedText> with_days(std::string_view text) {
  EditedText out;
  std::size_t copied = 0;
  for (const Span& span : find_spans(text)) {
    if (span.kind != SpanKind::clock || !span.is_volatile || span.begin < copied) continue;
    const Day day = rounded(span, text);
    if (day.text == span.of(text)) continue;
    out.text.append(text, copied, span.begin - copied).append(day.text);
    copied = span.begin + day.taken;
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
