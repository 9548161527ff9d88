#include "engine/text/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "engine/text/jinja/unicode.h"
#include "engine/text/utf8.h"

namespace kvasir::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

// Line ends become \n; one at the very end goes.
std::string normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize(source)), rest_(source_) {}
  Result<std::vector<Token>> run();

 private:
  enum class Tag : std::uint8_t { none, block, print, comment };

  void data();
  void open_tag(Tag tag);
  void comment();
  bool raw_block();
  void inside(Token::Kind end, std::string_view closer);
  bool close(Token::Kind end, std::string_view closer);
  void number();
  void string();
  void escape(std::string& out, std::size_t& at);
  void op();

  std::optional<std::size_t> match_raw_tag(std::string_view text, std::string_view word) const;
  void emit(Token::Kind kind, std::string text = {}) { tokens_.push_back({kind, std::move(text), line_}); }
  void emit_data(std::string_view text, char sign, bool lstrip);
  void advance(std::size_t bytes);
  void skip_space();
  void skip_newline() {
    if (rest_.starts_with('\n')) advance(1);
  }
  void fail(std::string what) {
    if (!error_) error_ = error_at(line_, what);
    rest_ = {};
  }

  std::string source_;
  std::string_view rest_;
  std::uint32_t line_ = 1;
  bool line_starts_ = true;  // what was read last ended a line
  std::vector<char> open_;   // brackets that await their closing
  std::vector<Token> tokens_;
  std::optional<Error> error_;
};

void Lexer::advance(std::size_t bytes) {
  if (bytes == 0) return;
  line_ +=
      static_cast<std::uint32_t>(std::count(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(bytes), '\n'));
  line_starts_ = rest_[bytes - 1] == '\n';
  rest_.remove_prefix(bytes);
}

void Lexer::skip_space() { advance(leading_space(rest_)); }

// Data before a tag: `sign` is what follows the tag's opening ('-', '+' or anything else).
void Lexer::emit_data(std::string_view text, char sign, bool lstrip) {
  if (sign == '-') {
    text.remove_suffix(trailing_space(text));
  } else if (sign != '+' && lstrip) {
    const std::size_t newline = text.rfind('\n');
    const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    const std::string_view last = text.substr(line);
    if ((line > 0 || line_starts_) && leading_space(last) == last.size()) text = text.substr(0, line);
  }
  if (!text.empty()) emit(Token::Kind::data, std::string(text));
}

void Lexer::data() {
  std::size_t at = 0;
  Tag tag = Tag::none;
  for (; (at = rest_.find('{', at)) != std::string_view::npos; ++at) {
    const char next = at + 1 < rest_.size() ? rest_[at + 1] : '\0';
    tag = next == '%' ? Tag::block : next == '{' ? Tag::print : next == '#' ? Tag::comment : Tag::none;
    if (tag != Tag::none) break;
  }
  const std::size_t end = std::min(at, rest_.size());
  const char sign = end + 2 < rest_.size() ? rest_[end + 2] : '\0';
  emit_data(rest_.substr(0, end), tag == Tag::none ? '\0' : sign, tag == Tag::block || tag == Tag::comment);
  advance(end);
  if (tag != Tag::none) open_tag(tag);
}

void Lexer::open_tag(Tag tag) {
  if (tag == Tag::comment) return comment();
  if (tag == Tag::block && raw_block()) return;
  emit(tag == Tag::block ? Token::Kind::block_begin : Token::Kind::print_begin);
  const bool signed_tag = rest_.size() > 2 && (rest_[2] == '-' || (rest_[2] == '+' && tag == Tag::block));
  advance(signed_tag ? 3 : 2);
  if (tag == Tag::block) {
    inside(Token::Kind::block_end, "%}");
  } else {
    inside(Token::Kind::print_end, "}}");
  }
}

void Lexer::comment() {
  const std::size_t end = rest_.find("#}", 2);
  if (end == std::string_view::npos) return fail("comment {# without #}");
  const char sign = end > 2 ? rest_[end - 1] : '\0';
  advance(end + 2);
  if (sign == '-') {
    skip_space();
  } else if (sign != '+') {
    skip_newline();
  }
}

// `text` starts with "{%": bytes up to and including "%}" when the tag is just `word`.
std::optional<std::size_t> Lexer::match_raw_tag(std::string_view text, std::string_view word) const {
  std::size_t at = 2;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
  at += leading_space(text.substr(at));
  if (!text.substr(at).starts_with(word)) return std::nullopt;
  at += word.size();
  at += leading_space(text.substr(at));
  if (at < text.size() && (text[at] == '-' || (text[at] == '+' && word == "endraw"))) ++at;
  if (!text.substr(at).starts_with("%}")) return std::nullopt;
  return at + 2;
}

bool Lexer::raw_block() {
  const auto begin = match_raw_tag(rest_, "raw");
  if (!begin) return false;
  const bool strips = rest_[*begin - 3] == '-';
  advance(*begin);
  if (strips) skip_space();
  for (std::size_t at = 0; (at = rest_.find("{%", at)) != std::string_view::npos; at += 2) {
    const auto length = match_raw_tag(rest_.substr(at), "endraw");
    if (!length) continue;
    emit_data(rest_.substr(0, at), rest_[at + 2], true);
    const char sign = rest_[at + *length - 3];
    advance(at + *length);
    if (sign == '-') {
      skip_space();
    } else if (sign != '+') {
      skip_newline();
    }
    return true;
  }
  fail("{% raw %} without {% endraw %}");
  return true;
}

bool Lexer::close(Token::Kind end, std::string_view closer) {
  if (!open_.empty()) return false;
  const bool block = end == Token::Kind::block_end;
  const bool minus = rest_.starts_with('-') && rest_.substr(1).starts_with(closer);
  const bool plus = block && rest_.starts_with('+') && rest_.substr(1).starts_with(closer);
  if (!minus && !plus && !rest_.starts_with(closer)) return false;
  emit(end);
  advance(closer.size() + (minus || plus));
  if (minus) {
    skip_space();
  } else if (block && !plus) {
    skip_newline();
  }
  return true;
}

void Lexer::inside(Token::Kind end, std::string_view closer) {
  open_.clear();
  const std::uint32_t begin = line_;
  while (true) {
    skip_space();
    if (rest_.empty()) {
      line_ = error_ ? line_ : begin;
      return fail("tag without " + std::string(closer));
    }
    if (close(end, closer)) return;
    const char c = rest_.front();
    if (is_digit(c)) {
      number();
    } else if (is_name_start(c)) {
      std::size_t n = 1;
      while (n < rest_.size() && is_name_part(rest_[n])) ++n;
      emit(Token::Kind::name, std::string(rest_.substr(0, n)));
      advance(n);
    } else if (c == '"' || c == '\'') {
      string();
    } else {
      op();
    }
  }
}

// Digits with single underscores between them, from `at`; returns where they end.
std::size_t digits_end(std::string_view text, std::size_t at, auto is_one) {
  while (at < text.size() && (is_one(text[at]) || (text[at] == '_' && at + 1 < text.size() && is_one(text[at + 1]))))
    ++at;
  return at;
}

void Lexer::number() {
  const auto hex = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); };
  const char prefix = rest_.size() > 2 && rest_[0] == '0' ? static_cast<char>(rest_[1] | 0x20) : '\0';
  std::size_t end = 0;
  auto kind = Token::Kind::integer;
  if (prefix == 'x' || prefix == 'o' || prefix == 'b') {
    end = digits_end(rest_, 2, hex);
  } else {
    end = digits_end(rest_, 0, is_digit);
    if (end + 1 < rest_.size() && rest_[end] == '.' && is_digit(rest_[end + 1])) {
      kind = Token::Kind::real;
      end = digits_end(rest_, end + 1, is_digit);
    }
    if (end < rest_.size() && (rest_[end] | 0x20) == 'e') {
      const bool sign = end + 1 < rest_.size() && (rest_[end + 1] == '+' || rest_[end + 1] == '-');
      const std::size_t exponent = end + 1 + sign;
      if (exponent < rest_.size() && is_digit(rest_[exponent])) {
        kind = Token::Kind::real;
        end = digits_end(rest_, exponent, is_digit);
      }
    }
  }
  std::string text(rest_.substr(0, end));
  std::erase(text, '_');
  emit(kind, std::move(text));
  advance(end);
}

void append_code(std::string& out, std::uint32_t code) {
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
    out += kReplacementCharacter;
  } else {
    utf8_append(out, code);
  }
}

// An escape sequence as in Python; `at` is the backslash, and afterwards the byte behind the sequence.
void Lexer::escape(std::string& out, std::size_t& at) {
  constexpr std::string_view kSimple = "\\'\"abfnrtv";
  constexpr std::string_view kMeaning = "\\'\"\a\b\f\n\r\t\v";
  const char c = rest_[at + 1];
  const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  std::uint32_t code = 0;
  if (const std::size_t i = kSimple.find(c); i != std::string_view::npos) {
    out += kMeaning[i];
    at += 2;
  } else if (c == '\n') {
    at += 2;
  } else if (c >= '0' && c <= '7') {
    std::size_t n = 1;
    for (; n <= 3 && at + n < rest_.size() && rest_[at + n] >= '0' && rest_[at + n] <= '7'; ++n)
      code = code * 8 + static_cast<std::uint32_t>(rest_[at + n] - '0');
    append_code(out, code);
    at += n;
  } else if (digits != 0) {
    for (std::size_t n = 0; n < digits; ++n) {
      const int value = at + 2 + n < rest_.size() ? hex_value(rest_[at + 2 + n]) : -1;
      if (value < 0) return fail("broken \\" + std::string(1, c) + " escape in a string");
      code = code * 16 + static_cast<std::uint32_t>(value);
    }
    append_code(out, code);
    at += 2 + digits;
  } else {
    out += '\\';
    ++at;
  }
}

void Lexer::string() {
  const char quote = rest_.front();
  std::string text;
  std::size_t at = 1;
  while (at < rest_.size() && rest_[at] != quote) {
    if (rest_[at] == '\\' && at + 1 < rest_.size()) {
      escape(text, at);
    } else {
      text += rest_[at++];
    }
  }
  if (at >= rest_.size()) return fail("string without its closing quote");
  emit(Token::Kind::string, std::move(text));
  advance(at + 1);
}

void Lexer::op() {
  static constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                    "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                    ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
  const auto found =
      std::find_if(std::begin(kOperators), std::end(kOperators), [&](auto o) { return rest_.starts_with(o); });
  if (found == std::end(kOperators)) return fail("unexpected character '" + std::string(rest_.substr(0, 1)) + "'");
  const char c = found->front();
  if (c == '(' || c == '[' || c == '{') open_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
  if (c == ')' || c == ']' || c == '}') {
    if (open_.empty() || open_.back() != c) return fail("unexpected '" + std::string(*found) + "'");
    open_.pop_back();
  }
  emit(Token::Kind::op, std::string(*found));
  advance(found->size());
}

Result<std::vector<Token>> Lexer::run() {
  while (!rest_.empty()) data();
  if (error_) return std::move(*error_);
  emit(Token::Kind::end);
  return std::move(tokens_);
}

}  // namespace

Result<std::vector<Token>> tokenize_template(std::string_view source) { return Lexer(source).run(); }

Error error_at(std::uint32_t line, std::string_view what) {
  return error(ErrorCode::invalid_argument, "template line " + std::to_string(line) + ": " + std::string(what));
}

}  // namespace kvasir::jinja
