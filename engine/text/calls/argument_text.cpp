#include "engine/text/calls/argument_text.h"

#include "engine/text/calls/json_scanner.h"
#include "engine/text/utf8.h"

namespace kvasir {
namespace {

constexpr int kDepthMax = 64;

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '.' || c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

// A place in a text and what reading there has in common. Reads that fail leave the place anywhere.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}
  bool at_end() {
    skip_space();
    return rest_.empty();
  }
  bool take(std::string_view literal) {
    skip_space();
    if (!rest_.starts_with(literal)) return false;
    rest_.remove_prefix(literal.size());
    return true;
  }
  bool at(char c) {
    skip_space();
    return rest_.starts_with(c);
  }
  std::string_view name() {
    skip_space();
    std::size_t n = 0;
    while (n < rest_.size() && is_name_byte(rest_[n])) ++n;
    return take_bytes(n);
  }
  // Up to `end`, which is taken too.
  std::optional<std::string_view> until(std::string_view end) {
    const std::size_t found = rest_.find(end);
    if (found == std::string_view::npos) return std::nullopt;
    const std::string_view text = take_bytes(found);
    rest_.remove_prefix(end.size());
    return text;
  }
  std::string_view rest() const { return rest_; }
  std::string_view take_bytes(std::size_t n) {
    const std::string_view text = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return text;
  }

 private:
  void skip_space() {
    while (!rest_.empty() && is_json_space(rest_.front())) rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

// Reads one value of a notation and appends it as JSON.
class ValueReader {
 public:
  ValueReader(std::string_view text, std::string_view quote) : in_(text), quote_(quote) {}

  bool value(std::string& out, int depth = kDepthMax) {
    if (depth == 0) return false;
    if (!quote_.empty() && in_.take(quote_)) return quoted(out);
    if (in_.at('"') || in_.at('\'')) return python_string(out);
    if (in_.take("{")) return object(out, depth - 1);
    if (in_.take("[")) return list(out, "]", depth - 1);
    if (in_.take("(")) return list(out, ")", depth - 1);
    return word(out);
  }
  Cursor& in() { return in_; }

 private:
  bool quoted(std::string& out) {
    const auto text = in_.until(quote_);
    if (text) out += json_string(*text);
    return text.has_value();
  }

  bool word(std::string& out) {
    std::string_view text = in_.rest();
    std::size_t n = 0;
    while (n < text.size() && (is_name_byte(text[n]) || text[n] == '+')) ++n;
    text = in_.take_bytes(n);
    if (text == "True") text = "true";
    if (text == "False") text = "false";
    if (text == "None") text = "null";
    if (text.empty() || !is_json(text)) return false;
    out += text;
    return true;
  }

  bool list(std::string& out, std::string_view end, int depth) {
    out += '[';
    for (bool first = true; !in_.take(end); first = false) {
      if (!first && !in_.take(",")) return false;
      if (!first && in_.take(end)) break;  // a comma after the last
      if (!first) out += ", ";
      if (!value(out, depth)) return false;
    }
    out += ']';
    return true;
  }

  bool object(std::string& out, int depth) {
    out += '{';
    for (bool first = true; !in_.take("}"); first = false) {
      if (!first && !in_.take(",")) return false;
      if (!first && in_.take("}")) break;
      if (!first) out += ", ";
      if (!key(out) || !in_.take(":")) return false;
      out += ": ";
      if (!value(out, depth)) return false;
    }
    out += '}';
    return true;
  }

  bool key(std::string& out) {
    if (!quote_.empty() && in_.take(quote_)) return quoted(out);
    if (in_.at('"') || in_.at('\'')) return python_string(out);
    if (quote_.empty()) return false;  // Python's keys are strings
    const std::string_view name = in_.name();
    out += json_string(name);
    return !name.empty();
  }

  bool python_string(std::string& out) {
    const char end = in_.rest().front();
    std::string text;
    std::string_view rest = in_.rest().substr(1);
    std::size_t i = 0;
    for (; i < rest.size() && rest[i] != end; ++i) {
      if (rest[i] != '\\') {
        text += rest[i];
        continue;
      }
      if (++i == rest.size()) return false;
      if (!escape(rest, i, text)) return false;
    }
    if (i == rest.size()) return false;
    in_.take_bytes(i + 2);
    out += json_string(text);
    return true;
  }

  static bool escape(std::string_view rest, std::size_t& i, std::string& text) {
    const char c = rest[i];
    if (c == 'x' || c == 'u') {
      const std::size_t digits = c == 'x' ? 2 : 4;
      const std::string_view hex = rest.substr(i + 1, digits);
      if (hex.size() != digits || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos)
        return false;
      const std::string json = "\"\\u" + std::string(4 - digits, '0') + std::string(hex) + '"';
      text += unescape_json(json);
      i += digits;
      return true;
    }
    const std::size_t at = std::string_view("ntrbf").find(c);
    if (at != std::string_view::npos)
      text += "\n\t\r\b\f"[at];
    else if (c == '\\' || c == '\'' || c == '"' || c == '/')
      text += c;
    else
      (text += '\\') += c;  // as Python does
    return true;
  }

  Cursor in_;
  std::string_view quote_;
};

// `(key="text", n=3)` after its name.
bool python_arguments(ValueReader& reader, std::string& json) {
  if (!reader.in().take("(")) return false;
  json = "{";
  for (bool first = true; !reader.in().take(")"); first = false) {
    if (!first && !reader.in().take(",")) return false;
    if (!first && reader.in().take(")")) break;
    if (!first) json += ", ";
    const std::string_view key = reader.in().name();
    if (key.empty() || !reader.in().take("=")) return false;
    json += json_string(key) + ": ";
    if (!reader.value(json)) return false;
  }
  json += '}';
  return true;
}

}  // namespace

std::optional<std::string> python_as_json(std::string_view text) {
  ValueReader reader(text, {});
  std::string json;
  if (!reader.value(json) || !reader.in().at_end()) return std::nullopt;
  return json;
}

std::string value_as_json(std::string_view text, ValueType type) {
  if (type == ValueType::text) return json_string(text);
  const std::string_view plain = trimmed(text);
  if (type == ValueType::nullable) return plain == "null" || plain == "None" ? "null" : json_string(text);
  if (is_json(plain)) return std::string(plain);
  // A word in quotes that nobody asked to be a literal is likelier text that has quotes.
  if (const auto json = python_as_json(plain); json && (type == ValueType::data || !json->starts_with('"')))
    return *json;
  return json_string(text);
}

std::optional<Calls> python_calls(std::string_view text) {
  ValueReader reader(text, {});
  Cursor& in = reader.in();
  const bool list = in.take("[");
  Calls calls;
  do {
    std::string_view name = in.name();
    if (name.ends_with(".call")) name.remove_suffix(5);
    std::string json;
    if (name.empty() || !python_arguments(reader, json)) return std::nullopt;
    calls.emplace_back(name, std::move(json));
  } while (list && in.take(","));
  if ((list && !in.take("]")) || !in.at_end()) return std::nullopt;
  return calls;
}

std::optional<std::string> gemma_as_json(std::string_view text, std::string_view quote) {
  if (is_json(text, '{')) return std::string(trimmed(text));  // some write what they know
  ValueReader reader(text, quote);
  std::string json;
  if (!reader.in().at('{') || !reader.value(json) || !reader.in().at_end()) return std::nullopt;
  return json;
}

namespace {

// Content of an element, up to the tag that closes it or the end of the text.
bool tree_content(Cursor& in, std::string_view mark, ValueType type, std::string& out, int depth) {
  if (depth == 0) return false;
  const std::string open = std::string(mark) + "<", close = open + "/";
  const std::size_t tag = in.rest().find(open);
  if (tag == std::string_view::npos || in.rest().substr(tag).starts_with(close)) {
    out += value_as_json(in.take_bytes(std::min(tag, in.rest().size())), type);
    return true;
  }
  if (!trimmed(in.take_bytes(tag)).empty()) return false;
  std::string body;
  bool list = false, first = true;
  while (!in.rest().starts_with(close) && in.take(open)) {
    const auto name = in.until(">");
    if (!name || name->empty()) return false;
    if (first) list = *name == "item";
    if (list != (*name == "item")) return false;
    if (!first) body += ", ";
    if (!list) body += json_string(*name) + ": ";
    if (!tree_content(in, mark, ValueType::unknown, body, depth - 1)) return false;
    if (!in.take(close + std::string(*name) + ">")) return false;
    first = false;
  }
  out += (list ? "[" : "{") + body + (list ? "]" : "}");
  return true;
}

}  // namespace

std::optional<std::string> tree_as_json(std::string_view text, std::string_view mark, ValueType type) {
  Cursor in(text);
  std::string json;
  if (!tree_content(in, mark, type, json, kDepthMax) || !in.at_end()) return std::nullopt;
  return json;
}

}  // namespace kvasir
