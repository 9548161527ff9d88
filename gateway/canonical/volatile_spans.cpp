#include "gateway/canonical/volatile_spans.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>

#include "gateway/canonical/span_forms.h"

namespace kvasir {
namespace {

constexpr std::size_t kCueBytes = 48;  // how far before a span words may say what it is
constexpr std::size_t kPathBytesMax = 1024;
constexpr std::size_t kIdBytesMax = 128;
constexpr std::size_t kSentenceBytes = 120;
constexpr std::size_t kKnownPathsMax = 4;

// Where `word` stands in `text` as a word of its own (case ignored), behind all other places; npos: nowhere.
std::size_t last_word(std::string_view text, std::string_view word) {
  if (text.size() < word.size()) return std::string_view::npos;
  for (std::size_t at = text.size() - word.size() + 1; at-- > 0;) {
    if (!starts_with_ignoring_case(text.substr(at), word)) continue;
    const std::size_t end = at + word.size();
    const bool begins = at == 0 || !is_letter(text[at - 1]);
    if (begins && (end == text.size() || !is_letter(text[end]))) return at;
  }
  return std::string_view::npos;
}

bool any_word(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return last_word(text, word) != std::string_view::npos; });
}

bool ends_with_word(std::string_view text, std::string_view word) {
  if (text.size() < word.size()) return false;
  const std::size_t at = text.size() - word.size();
  return starts_with_ignoring_case(text.substr(at), word) && (at == 0 || !is_letter(text[at - 1]));
}

// Without what stands between a name and its value: ": ", " is \"", "=".
std::string_view without_joins(std::string_view before) {
  constexpr std::string_view kJoins = " \t:=\"'`([{<>*|\\-";
  for (bool more = true; more;) {
    before = before.substr(0, before.find_last_not_of(kJoins) + 1);
    more = false;
    for (const std::string_view word : {"is", "was", "now", "of", "path"})
      if (!more && ends_with_word(before, word)) {
        before.remove_suffix(word.size());
        more = true;
      }
  }
  return before;
}

// One of the names stands there and then only what joins it to its value.
bool names_value(std::string_view before, std::initializer_list<std::string_view> names) {
  const std::string_view name = without_joins(before);
  return std::any_of(names.begin(), names.end(), [&](std::string_view known) { return ends_with_word(name, known); });
}

// The same, but not as the key of JSON, as in an example: "date": "2026-07-26".
bool names_value_in_words(std::string_view before, std::initializer_list<std::string_view> names) {
  const std::string_view name = without_joins(before);
  if (name.size() < before.size() && (before[name.size()] == '"' || before[name.size()] == '\\')) return false;
  return std::any_of(names.begin(), names.end(), [&](std::string_view known) { return ends_with_word(name, known); });
}

// Behind the last "[time 1]" or the like, 0 where there is none.
std::size_t behind_last_name(std::string_view words) {
  for (std::size_t at = words.size(); at-- > 1;)
    if (words[at] == ']' && is_digit(words[at - 1])) return at + 1;
  return 0;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text, std::vector<std::string_view> paths = {})
      : text_(text), known_paths_(std::move(paths)) {}

  std::vector<Span> run() {
    while (at_ < text_.size()) {
      if (text_[at_] == '\n') line_ = at_ + 1;
      std::optional<Span> span = word_begins() ? find() : std::nullopt;
      if (!span || inside_word(span->begin + span->size)) {
        ++at_;
        continue;
      }
      at_ = span->begin + span->size;
      spans_.push_back(*span);
    }
    return std::move(spans_);
  }

 private:
  bool word_begins() const { return at_ == 0 || !is_word(text_[at_ - 1]) || text_[at_] == '/'; }
  bool inside_word(std::size_t at) const { return at < text_.size() && is_word(text_[at]) && is_word(text_[at - 1]); }
  std::string_view rest() const { return text_.substr(at_); }
  Span span(SpanKind kind, std::size_t size, bool is_volatile, std::size_t day_size = 0) const {
    return {kind, at_, size, day_size, is_volatile};
  }

  // The words before, on this line and behind the span or the name of one (move_volatile) before.
  std::string_view before() const {
    std::size_t begin = std::max(line_, at_ - std::min(at_, kCueBytes));
    if (!spans_.empty()) begin = std::max(begin, spans_.back().begin + spans_.back().size);
    const std::string_view words = text_.substr(begin, at_ - begin);
    return words.substr(behind_last_name(words));
  }

  std::optional<Span> find() const {
    const char c = text_[at_];
    if (c == '/' || c == '~') return find_path();
    if (!is_digit(c) && !is_letter(c)) return std::nullopt;
    if (const std::size_t size = uuid_form(rest())) return span(SpanKind::uuid, size, true);
    if (is_letter(c))
      if (const std::size_t size = call_id_form(rest())) return span(SpanKind::id, size, true);
    if (const std::optional<Span> time = find_time()) return time;
    if (is_digit(c))
      if (const std::optional<Span> number = find_number()) return number;
    if (const std::optional<Span> id = find_named_id()) return id;
    return is_letter(c) ? find_path() : std::nullopt;
  }

  std::optional<Span> find_time() const {
    constexpr std::string_view kFirstLettersOfNames = "JFMASONDTW";  // of months and days of the week
    if (!is_digit(text_[at_]) && kFirstLettersOfNames.find(text_[at_]) == std::string_view::npos) return std::nullopt;
    const DayAndClock time = day_and_clock_form(rest());
    if (time.size > 0 && time.size == time.day_size) return span(SpanKind::day, time.size, says_today(), time.size);
    if (time.size > 0) return span(SpanKind::clock, time.size, has_seconds(time.size) || says_now(), time.day_size);
    if (const std::size_t size = clock_form(rest())) return span(SpanKind::clock, size, says_now());
    return std::nullopt;
  }

  // Two colons: hours, minutes, seconds.
  bool has_seconds(std::size_t size) const {
    const std::string_view form = rest().substr(0, size);
    const std::size_t colon = form.find(':');
    return colon + 3 < form.size() && form[colon + 3] == ':';
  }

  bool says_today() const {
    if (any_word(before(), {"cutoff", "cut-off", "released", "version"})) return false;
    return any_word(before(), {"today", "today's", "current date", "current day", "currently", "now", "as of"}) ||
           names_value(before(), {"current date", "current_date", "currentdate", "current time", "current datetime"}) ||
           names_value_in_words(before(), {"date", "day"});
  }
  bool says_now() const {
    return says_today() || any_word(before(), {"current time", "local time", "current_time", "timestamp", "clock"}) ||
           names_value_in_words(before(), {"time", "datetime", "date and time"});
  }

  std::optional<Span> find_number() const {
    std::size_t size = 0;
    while (size < rest().size() && size < 24 && (is_digit(rest()[size]) || (rest()[size] == ',' && size > 0))) ++size;
    while (size > 0 && rest()[size - 1] == ',') --size;
    if (const std::optional<Span> counter = find_counter(size)) return counter;
    const bool in_words = size < rest().size() && is_word(rest()[size]);
    const bool since_1970 = text_[at_] == '1' && rest().size() > 1 && rest()[1] >= '4' && !in_words;
    if (since_1970 && size == 13) return span(SpanKind::clock, size, true);
    if (!since_1970 || size != 10) return std::nullopt;
    const bool named =
        names_value(before(), {"created", "created_at", "timestamp", "epoch", "now", "unix time", "time"});
    return named ? std::optional(span(SpanKind::clock, size, true)) : std::nullopt;
  }

  // "12,345 tokens left", "Token usage: 12345/200000; 187655 remaining"
  std::optional<Span> find_counter(std::size_t size) const {
    const std::string_view behind = rest().substr(std::min(size, rest().size()), 32);
    for (const std::string_view start : {" tokens left", " tokens remaining", " tokens used", " tokens so far"})
      if (starts_with_ignoring_case(behind, start)) return span(SpanKind::counter, size, true);
    const bool usage = names_value(before(), {"token usage", "tokens used", "tokens left", "tokens remaining"});
    const bool remaining = starts_with_ignoring_case(behind, " remaining") && !spans_.empty() &&
                           spans_.back().kind == SpanKind::counter && at_ - spans_.back().begin < kSentenceBytes;
    return usage || remaining ? std::optional(span(SpanKind::counter, size, true)) : std::nullopt;
  }

  // "session id: a1b2c3d4", "request_id=..."
  std::optional<Span> find_named_id() const {
    std::size_t size = 0, figures = 0;
    while (size < rest().size() && size < kIdBytesMax && (is_word(rest()[size]) || rest()[size] == '-'))
      figures += is_digit(rest()[size++]);
    if (size < 6 || figures == 0) return std::nullopt;
    const bool named =
        names_value(before(), {"session id", "session_id", "sessionid", "request id", "request_id", "request-id",
                               "requestid", "trace id", "trace_id", "correlation id", "correlation_id",
                               "conversation id", "conversation_id", "run id", "run_id", "nonce"});
    return named ? std::optional(span(SpanKind::id, size, true)) : std::nullopt;
  }

  // A path behind words that say that it is where the client works.
  std::optional<Span> find_path() const {
    for (const std::string_view known : known_paths_)
      if (rest().starts_with(known) && !goes_on_as_name(known.size())) return span(SpanKind::path, known.size(), true);
    const bool drive = is_letter(text_[at_]) && rest().size() > 2 && rest()[1] == ':' && rest()[2] == '\\';
    const bool home = text_[at_] == '~' && rest().size() > 1 && rest()[1] == '/';
    if (!drive && !home && text_[at_] != '/') return std::nullopt;
    if (!names_value(before(), {"working directory", "workspace directory", "current directory", "project directory",
                                "project root", "workspace root", "working dir", "working_directory", "workspace",
                                "cwd", "pwd", "current_dir", "workdir"}))
      return std::nullopt;
    const std::size_t size = path_size();
    return size > 1 ? std::optional(span(SpanKind::path, size, true)) : std::nullopt;
  }

  bool goes_on_as_name(std::size_t size) const {
    if (size >= rest().size()) return false;
    const char next = rest()[size];
    return is_word(next) || next == '-' || (next == '.' && size + 1 < rest().size() && is_word(rest()[size + 1]));
  }

  // Up to the quote it stands in, else to white space or what ends a sentence or a tag.
  std::size_t path_size() const {
    const char quote = at_ > 0 ? text_[at_ - 1] : ' ';
    const bool quoted = quote == '\'' || quote == '"' || quote == '`';
    const std::string_view path = rest().substr(0, kPathBytesMax);
    const std::string_view ends = quoted ? std::string_view("\n'\"`") : std::string_view(" \t\r\n'\"`<>()[]{},;|");
    std::size_t size = std::min(path.find_first_of(ends), path.size());
    while (!quoted && size > 1 && (path[size - 1] == '.' || path[size - 1] == ':')) --size;
    return size;
  }

  const std::string_view text_;
  const std::vector<std::string_view> known_paths_;  // volatile wherever they stand
  std::size_t at_ = 0;
  std::size_t line_ = 0;  // where the line began
  std::vector<Span> spans_;
};

}  // namespace

std::string_view to_string(SpanKind kind) {
  switch (kind) {
    case SpanKind::clock:
      return "time";
    case SpanKind::day:
      return "date";
    case SpanKind::uuid:
      return "uuid";
    case SpanKind::id:
      return "id";
    case SpanKind::path:
      return "path";
    case SpanKind::counter:
      return "count";
  }
  return "";
}

std::vector<Span> find_spans(std::string_view text) {
  std::vector<Span> spans = Scanner(text).run();
  std::vector<std::string_view> paths;
  for (const Span& span : spans)
    if (span.kind == SpanKind::path && paths.size() < kKnownPathsMax &&
        std::find(paths.begin(), paths.end(), span.of(text)) == paths.end())
      paths.push_back(span.of(text));
  return paths.empty() ? spans : Scanner(text, std::move(paths)).run();
}

}  // namespace kvasir
