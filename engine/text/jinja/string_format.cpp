#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/text/jinja/format.h"
#include "engine/text/jinja/string_ops.h"
#include "engine/text/jinja/unicode.h"
#include "engine/text/utf8.h"

namespace kvasir::jinja {
namespace {

constexpr int kWidthMax = 10'000;

// What stands behind the ':' of str.format(), or between % and its letter.
struct Spec {
  char32_t fill = U' ';
  char align = '\0';     // < > ^ =
  bool zeros = false;    // a 0 before the width
  char sign = '\0';      // + - or space
  char grouping = '\0';  // , or _ between thousands
  bool alternate = false;
  int width = 0;
  int precision = -1;
  char type = '\0';
};

int read_number(std::string_view text, std::size_t& at, int otherwise) {
  int value = otherwise;
  const auto [stop, ec] = std::from_chars(text.data() + at, text.data() + text.size(), value);
  at = static_cast<std::size_t>(stop - text.data());
  return ec == std::errc() ? std::min(value, kWidthMax) : kWidthMax;
}

bool is_digit_at(std::string_view text, std::size_t at) {
  return at < text.size() && text[at] >= '0' && text[at] <= '9';
}

std::optional<Spec> parse_spec(std::string_view text) {
  const auto is_align = [&](std::size_t at) {
    return at < text.size() && std::string_view("<>^=").find(text[at]) != text.npos;
  };
  Spec spec;
  std::size_t at = 0;
  const std::size_t first = text.empty() ? 0 : first_char(text).length;
  const bool filled = first != 0 && is_align(first);
  if (filled) {
    spec.fill = first_char(text).code;
    at = first;
  }
  if (is_align(at)) spec.align = text[at++];
  if (at < text.size() && (text[at] == '+' || text[at] == '-' || text[at] == ' ')) spec.sign = text[at++];
  if (at < text.size() && text[at] == '#') spec.alternate = true, ++at;
  if (at < text.size() && text[at] == '0') {
    spec.zeros = true;
    if (!filled) spec.fill = U'0';
    ++at;
  }
  if (is_digit_at(text, at)) spec.width = read_number(text, at, 0);
  if (at < text.size() && (text[at] == ',' || text[at] == '_')) spec.grouping = text[at++];
  if (at < text.size() && text[at] == '.') {
    if (!is_digit_at(text, ++at)) return std::nullopt;
    spec.precision = read_number(text, at, 0);
  }
  if (at < text.size()) spec.type = text[at++];
  return at == text.size() ? std::optional(spec) : std::nullopt;
}

void group_thousands(std::string& digits, char mark) {
  std::size_t end = digits.find_first_not_of("0123456789");
  for (std::size_t at = end == std::string::npos ? digits.size() : end; at > 3;) digits.insert(at -= 3, 1, mark);
}

std::string integer_digits(std::uint64_t magnitude, const Spec& spec) {
  const char type = spec.type;
  const int base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  char buffer[72];
  const auto written = std::to_chars(buffer, buffer + sizeof buffer, magnitude, base);
  std::string digits(buffer, written.ptr);
  if (type == 'X') digits = to_upper(digits);
  if (spec.alternate && base != 10) digits.insert(0, std::string("0") + type);
  return digits;
}

std::string real_digits(double magnitude, const Spec& spec) {
  if (std::isnan(magnitude)) return "nan";
  if (std::isinf(magnitude)) return "inf";
  if (!spec.type && spec.precision < 0) return format_real(magnitude);
  const char type = static_cast<char>(spec.type | 0x20);
  const auto style = type == 'e'                       ? std::chars_format::scientific
                     : type == 'f' || spec.type == '%' ? std::chars_format::fixed
                                                       : std::chars_format::general;
  const int precision = std::min(spec.precision < 0 ? 6 : spec.precision, 300);
  char buffer[1024];
  const double value = spec.type == '%' ? magnitude * 100 : magnitude;
  const auto written = std::to_chars(buffer, buffer + sizeof buffer, value, style, precision);
  std::string digits = written.ec == std::errc() ? std::string(buffer, written.ptr) : "inf";
  return spec.type == '%' ? digits + "%" : digits;
}

Text aligned(Interpreter& in, const Text& text, const Spec& spec, char otherwise) {
  const char align = spec.align ? spec.align : otherwise;
  if (align != '^') return pad(in, text, spec.width, spec.fill, align == '<' ? Side::left : Side::right);
  // Unlike str.center(): the odd one goes right.
  const auto size = static_cast<std::int64_t>(utf8_count(text.bytes()));
  const std::int64_t before = std::max<std::int64_t>(spec.width - size, 0) / 2;
  return pad(in, pad(in, text, size + before, spec.fill, Side::right), spec.width, spec.fill, Side::left);
}

std::optional<Text> format_number(Interpreter& in, const Numeric& number, const Spec& spec) {
  const bool real = !number.is_integer || std::string_view("eEfFgG%").find(spec.type) < 7;
  const std::string_view letters = number.is_integer ? "dxXobcneEfFgG%" : "eEfFgGn%";
  if (spec.type && letters.find(spec.type) == letters.npos) return std::nullopt;
  const bool negative = real ? std::signbit(number.real) : number.integer < 0;
  const std::uint64_t magnitude =
      negative ? 0 - static_cast<std::uint64_t>(number.integer) : static_cast<std::uint64_t>(number.integer);
  std::string digits = real ? real_digits(std::fabs(number.real), spec) : integer_digits(magnitude, spec);
  if (spec.grouping) group_thousands(digits, spec.grouping);
  const bool shown = spec.sign == '+' || spec.sign == ' ';
  const std::string sign = negative ? "-" : shown ? std::string(1, spec.sign) : "";
  if (spec.align != '=') return aligned(in, Text(sign + digits, true), spec, '>');
  const std::int64_t width = spec.width - static_cast<std::int64_t>(sign.size());
  return Text(sign + pad(in, Text(digits, true), width, spec.fill, Side::right).bytes(), true);
}

Text first_characters(const Text& text, int count) {
  std::size_t end = 0;
  for (int i = 0; i < count && end < text.size(); ++i)
    end += first_char(std::string_view(text.bytes()).substr(end)).length;
  return text.slice(0, end);
}

// What is not ASCII as Python's ascii() shows it in a repr.
Text ascii_of(const Text& repr) {
  constexpr char kHex[] = "0123456789abcdef";
  return map_runs(repr, [&](std::string_view run) {
    std::string out;
    while (!run.empty()) {
      const Char c = first_char(run);
      const int digits = c.code < 0x80 ? 0 : c.code < 0x100 ? 2 : c.code < 0x10000 ? 4 : 8;
      if (digits != 0) out += {'\\', digits == 2 ? 'x' : digits == 4 ? 'u' : 'U'};
      for (int i = digits - 1; i >= 0; --i) out += kHex[c.code >> (4 * i) & 15];
      if (digits == 0) out += run.front();
      run.remove_prefix(c.length);
    }
    return out;
  });
}

// A string, as `spec` says.
std::optional<Text> format_text(Interpreter& in, const Text& text, const Spec& spec) {
  if ((spec.type && spec.type != 's') || spec.align == '=') return std::nullopt;
  return aligned(in, spec.precision >= 0 ? first_characters(text, spec.precision) : text, spec, '<');
}

// Python's format(): without a spec as str().
std::optional<Text> format_value(Interpreter& in, const Val& value, std::string_view written) {
  if (written.empty()) return to_text(in, value);
  auto spec = parse_spec(written);
  if (!spec) return std::nullopt;
  if (const Text* text = as_text(value)) {
    const bool for_numbers = spec->sign != '\0' || spec->grouping || spec->alternate;
    return for_numbers ? std::nullopt : format_text(in, *text, *spec);
  }
  const auto number = as_numeric(value);
  if (!number) return std::nullopt;
  if (spec->zeros && !spec->align) spec->align = '=';
  const bool big = std::holds_alternative<WrittenPtr>(value) && !spec->type && spec->precision < 0;
  if (big) return aligned(in, to_text(in, value), *spec, '>');
  if (number->is_integer && spec->precision >= 0 && (!spec->type || spec->type == 'd')) return std::nullopt;
  return format_number(in, *number, *spec);
}

// One rendering of a format string with braces.
class BraceFormatter {
 public:
  BraceFormatter(Interpreter& in, const Text& format, const CallArgs& args) : in_(in), format_(format), args_(args) {}

  Val run() {
    const std::string_view bytes = format_.bytes();
    for (std::size_t at = 0; at < bytes.size() && in_.charge();) {
      const std::size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
      out_.append(format_, at, brace);
      at = brace;
      if (at == bytes.size()) break;
      if (at + 1 < bytes.size() && bytes[at + 1] == bytes[at]) {
        out_.append(format_, at, at + 1);
        at += 2;
        continue;
      }
      const std::size_t end = bytes[at] == '{' ? closing_brace(bytes, at) : bytes.npos;
      if (end == bytes.npos) return in_.fail("format(): a single '" + std::string(1, bytes[at]) + "'");
      field(bytes.substr(at + 1, end - at - 1));
      at = end + 1;
      if (out_.size() > in_.limits().output_bytes_max) in_.charge_bytes(out_.size());
    }
    return in_.text(out_.take());
  }

 private:
  // Where the field that opens at `at` ends; fields may stand in its spec.
  static std::size_t closing_brace(std::string_view bytes, std::size_t at) {
    for (int open = 0; at < bytes.size(); ++at) {
      open += bytes[at] == '{' ? 1 : bytes[at] == '}' ? -1 : 0;
      if (open == 0) return at;
    }
    return bytes.npos;
  }

  // name[.attribute|[key]]*[!conversion][:spec]
  void field(std::string_view text) {
    const std::size_t colon = std::min(text.find(':'), text.size());
    std::string_view name = text.substr(0, colon);
    char conversion = '\0';
    if (name.size() >= 2 && name[name.size() - 2] == '!') {
      conversion = name.back();
      name.remove_suffix(2);
    }
    const Val value = converted(argument(name), conversion);
    const std::string spec = filled(text.substr(std::min(colon + 1, text.size())));
    if (in_.failed()) return;
    const auto formatted = format_value(in_, value, spec);
    if (!formatted)
      return void(in_.fail("format(): cannot write a " + type_name(value) + " as '" + std::string(text) + "'"));
    if (in_.charge_bytes(formatted->size())) out_.append(*formatted);
  }

  Val converted(const Val& value, char conversion) {
    if (conversion == 's') return string_val(to_text(in_, value));
    if (conversion != 'r' && conversion != 'a') return value;
    TextBuilder repr;
    append_repr(in_, repr, value);
    const Text text = repr.take();
    return string_val(conversion == 'a' ? ascii_of(text) : text);
  }

  // A spec with its fields filled in.
  std::string filled(std::string_view spec) {
    std::string out;
    while (!spec.empty() && !in_.failed()) {
      const std::size_t open = std::min(spec.find('{'), spec.size());
      out += spec.substr(0, open);
      if (open == spec.size()) break;
      const std::size_t close = spec.find('}', open);
      if (close == spec.npos) return in_.fail("format(): a broken spec"), out;
      out += to_text(in_, argument(spec.substr(open + 1, close - open - 1))).bytes();
      spec.remove_prefix(close + 1);
    }
    return out;
  }

  Val argument(std::string_view path) {
    const std::size_t end = std::min(path.find_first_of(".["), path.size());
    Val value = first(path.substr(0, end));
    path.remove_prefix(end);
    while (!path.empty() && !in_.failed()) {
      const bool dot = path.front() == '.';
      const std::size_t stop = dot ? std::min(path.find_first_of(".[", 1), path.size()) : path.find(']');
      if (stop == path.npos || (!dot && path.front() != '[')) return in_.fail("format(): broken field");
      const std::string_view key = path.substr(1, stop - 1);
      std::size_t at = 0;
      const bool index = !dot && is_digit_at(key, 0) && key.find_first_not_of("0123456789") == key.npos;
      value = index ? in_.item_of(value, std::int64_t{read_number(key, at, 0)}) : in_.item_of(value, string_val(key));
      path.remove_prefix(stop + !dot);
    }
    return value;
  }

  Val first(std::string_view name) {
    std::size_t at = 0;
    if (name.empty() || is_digit_at(name, 0)) {
      const std::size_t i = name.empty() ? next_++ : static_cast<std::size_t>(read_number(name, at, 0));
      if (i < args_.positional.size()) return args_.positional[i];
      return in_.fail("format(): no argument " + std::to_string(i));
    }
    for (const auto& [key, value] : args_.named)
      if (key == name) return value;
    return in_.fail("format(): no argument '" + std::string(name) + "'");
  }

  Interpreter& in_;
  const Text& format_;
  const CallArgs& args_;
  std::size_t next_ = 0;
  TextBuilder out_;
};

// One rendering of a format string with percent signs.
class PercentFormatter {
 public:
  PercentFormatter(Interpreter& in, const Text& format, const Val& args) : in_(in), format_(format) {
    const List* list = as_list(args);
    dict_ = as_dict(args);
    may_have_more_ = dict_ || is_undefined(args) || (list && list->kind == List::Kind::list);
    if (list && list->kind == List::Kind::tuple) {
      positional_ = list->items;
    } else {
      positional_.push_back(args);
    }
  }

  Val run() {
    const std::string_view bytes = format_.bytes();
    std::size_t at = 0;
    while (at < bytes.size() && in_.charge()) {
      const std::size_t percent = std::min(bytes.find('%', at), bytes.size());
      out_.append(format_, at, percent);
      at = percent == bytes.size() ? percent : directive(bytes, percent + 1);
      if (out_.size() > in_.limits().output_bytes_max) in_.charge_bytes(out_.size());
    }
    if (!in_.failed() && !may_have_more_ && next_ < positional_.size())
      return in_.fail("%: not all arguments were used");
    return in_.text(out_.take());
  }

 private:
  // Writes the directive that begins at `at`, behind the %; returns where it ends.
  std::size_t directive(std::string_view text, std::size_t at) {
    const Val* value = nullptr;
    if (at < text.size() && text[at] == '(') {
      const std::size_t end = text.find(')', at);
      value = dict_ && end != text.npos ? dict_->find(text.substr(at + 1, end - at - 1)) : nullptr;
      if (!value) return in_.fail("%: no such key"), text.size();
      at = end + 1;
    }
    Spec spec;
    for (; at < text.size() && std::string_view("-+ 0#").find(text[at]) != text.npos; ++at) {
      if (text[at] == '-')
        spec.align = '<', spec.fill = U' ';
      else if (text[at] == '0' && !spec.align)
        spec.align = '=', spec.fill = U'0';
      else if (text[at] == '+' || text[at] == ' ')
        spec.sign = text[at];
      else if (text[at] == '#')
        spec.alternate = true;
    }
    if (is_digit_at(text, at)) spec.width = read_number(text, at, 0);
    if (at < text.size() && text[at] == '.') {
      ++at;
      spec.precision = is_digit_at(text, at) ? read_number(text, at, 0) : 0;
    }
    if (at >= text.size()) return in_.fail("%: incomplete format"), text.size();
    spec.type = text[at++];
    if (spec.type == '%') {
      out_.append("%", true);
      return at;
    }
    if (!value && next_ < positional_.size()) value = &positional_[next_++];
    if (!value) return in_.fail("%: not enough arguments"), text.size();
    write(*value, spec);
    return at;
  }

  void write(const Val& value, Spec spec) {
    const char type = spec.type;
    if (type == 'i' || type == 'u') spec.type = 'd';
    const auto formatted =
        std::string_view("sra").find(type) != std::string_view::npos ? words(value, spec) : scalar(value, spec);
    if (!formatted) return void(in_.fail("%: cannot write a " + type_name(value) + " as %" + std::string(1, type)));
    if (in_.charge_bytes(formatted->size())) out_.append(*formatted);
  }

  std::optional<Text> words(const Val& value, Spec spec) {
    TextBuilder text;
    if (spec.type == 's')
      append_text(in_, text, value);
    else
      append_repr(in_, text, value);
    const Text plain = text.take();
    return text_of(spec.type == 'a' ? ascii_of(plain) : plain, spec);
  }

  std::optional<Text> text_of(const Text& text, Spec spec) {
    spec.type = 's';
    if (spec.align != '<') spec.align = '>', spec.fill = U' ';
    return format_text(in_, text, spec);
  }

  std::optional<Text> scalar(const Val& value, Spec spec) {
    const auto number = as_numeric(value);
    if (spec.type == 'c') {
      if (const Text* text = as_text(value); text && utf8_count(text->bytes()) == 1) return text_of(*text, spec);
      if (!number || !number->is_integer || number->integer < 0 || number->integer > 0x10FFFF) return std::nullopt;
      std::string character;
      utf8_append(character, static_cast<char32_t>(number->integer));
      return text_of(Text(character, true), spec);
    }
    if (!number) return std::nullopt;
    if (spec.type != 'd' || number->is_integer) return format_number(in_, *number, spec);
    if (std::holds_alternative<WrittenPtr>(value) && type_name(value) == "int")
      return text_of(to_text(in_, value), spec);
    const auto whole = static_cast<std::int64_t>(std::clamp(number->real, -9e18, 9e18));
    return format_number(in_, Numeric{true, whole, static_cast<double>(whole)}, spec);
  }

  Interpreter& in_;
  const Text& format_;
  std::vector<Val> positional_;
  const Dict* dict_ = nullptr;
  bool may_have_more_ = false;  // Python forgives unused arguments in what has keys
  std::size_t next_ = 0;
  TextBuilder out_;
};

}  // namespace

Val format_braces(Interpreter& in, const Text& format, const CallArgs& args) {
  return BraceFormatter(in, format, args).run();
}

Val format_percent(Interpreter& in, const Text& format, const Val& args) {
  return PercentFormatter(in, format, args).run();
}

}  // namespace kvasir::jinja
