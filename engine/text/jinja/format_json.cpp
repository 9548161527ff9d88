#include <algorithm>

#include "engine/text/jinja/format.h"
#include "engine/text/jinja/unicode.h"

namespace kvasir::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(Interpreter& in, TextBuilder& out, const JsonStyle& style) : in_(in), out_(out), style_(style) {}

  void write(const Val& value) {
    if (!in_.charge()) return;
    if (const Text* text = as_text(value)) return write_string(*text);
    if (const List* list = as_list(value)) return write_list(*list);
    if (const Dict* dict = as_dict(value)) return write_dict(*dict);
    const std::string scalar = scalar_of(value);
    if (scalar.empty()) return void(in_.fail("object of type " + type_name(value) + " is not JSON serializable"));
    punctuation(scalar);
  }

 private:
  void punctuation(std::string_view text) { out_.append(text, false); }

  static std::string scalar_of(const Val& value) {
    if (const bool* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
    if (const auto* i = std::get_if<std::int64_t>(&value)) return std::to_string(*i);
    if (const auto* n = std::get_if<WrittenPtr>(&value)) return (*n)->text;
    if (is_none(value)) return "null";
    const auto* real = std::get_if<double>(&value);
    if (!real) return {};
    const std::string text = format_real(*real);
    return text == "nan" ? "NaN" : text == "inf" ? "Infinity" : text == "-inf" ? "-Infinity" : text;
  }

  void write_string(const Text& text) {
    if (!in_.charge_bytes(text.size())) return;
    const std::string_view bytes = text.bytes();
    punctuation("\"");
    std::size_t done = 0;
    for (std::size_t at = 0; at < bytes.size();) {
      const auto byte = static_cast<unsigned char>(bytes[at]);
      const std::size_t length = byte < 0x80 || !style_.ascii ? 1 : first_char(bytes.substr(at)).length;
      if (byte < 0x20 || byte == '"' || byte == '\\' || (byte >= 0x80 && style_.ascii)) {
        out_.append(text, done, at);
        out_.append(escaped(first_char(bytes.substr(at)).code), text.from_template_at(at));
        done = at + length;
      }
      at += length;
    }
    out_.append(text, done, bytes.size());
    punctuation("\"");
  }

  static std::string escaped(char32_t c) {
    constexpr std::string_view kPlain = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
    if (c < 0x80)
      if (const std::size_t i = kPlain.find(static_cast<char>(c)); i != kPlain.npos) return {'\\', kLetters[i]};
    if (c < 0x10000) return unicode_escape(c);
    return unicode_escape(0xD800 + ((c - 0x10000) >> 10)) + unicode_escape(0xDC00 + ((c - 0x10000) & 0x3FF));
  }

  static std::string unicode_escape(char32_t unit) {
    constexpr char kHex[] = "0123456789abcdef";
    return {'\\', 'u', kHex[unit >> 12 & 15], kHex[unit >> 8 & 15], kHex[unit >> 4 & 15], kHex[unit & 15]};
  }

  void new_line() {
    if (!style_.indent) return;
    punctuation("\n");
    for (std::uint32_t i = 0; i < level_; ++i) punctuation(*style_.indent);
    in_.charge_bytes(out_.size() > in_.limits().output_bytes_max ? out_.size() : level_ * style_.indent->size());
  }

  void write_list(const List& list) {
    if (is_unordered(list))
      return void(
          in_.fail("a " + std::string(is_view(list.kind) ? "dict view" : "generator") + " is not JSON serializable"));
    if (list.items.empty()) return punctuation("[]");
    punctuation("[");
    ++level_;
    for (std::size_t i = 0; i < list.items.size() && !in_.failed(); ++i) {
      if (i) punctuation(style_.item_separator);
      new_line();
      write(list.items[i]);
    }
    --level_;
    new_line();
    punctuation("]");
  }

  void write_source(const Text& text) {
    if (in_.charge_bytes(text.size())) out_.append(text);
  }

  void write_key(const Val& key) {
    if (const Text* text = as_text(key)) return write_string(*text);
    const std::string scalar = scalar_of(key);
    if (scalar.empty()) return void(in_.fail("keys of JSON objects must be strings, not " + type_name(key)));
    punctuation("\"" + scalar + "\"");
  }

  void write_dict(const Dict& dict) {
    if (dict.source && style_ == JsonStyle()) return write_source(*dict.source);
    if (dict.entries.empty()) return punctuation("{}");
    std::vector<const std::pair<Val, Val>*> order;
    for (const auto& entry : dict.entries) order.push_back(&entry);
    if (style_.sort_keys)
      std::stable_sort(order.begin(), order.end(),
                       [](auto* a, auto* b) { return compare(a->first, b->first).value_or(0) < 0; });
    punctuation("{");
    ++level_;
    for (std::size_t i = 0; i < order.size() && !in_.failed(); ++i) {
      if (i) punctuation(style_.item_separator);
      new_line();
      write_key(order[i]->first);
      punctuation(style_.key_separator);
      write(order[i]->second);
    }
    --level_;
    new_line();
    punctuation("}");
  }

  Interpreter& in_;
  TextBuilder& out_;
  const JsonStyle& style_;
  std::uint32_t level_ = 0;
};

}  // namespace

void append_json(Interpreter& in, TextBuilder& out, const Val& value, const JsonStyle& style) {
  JsonWriter(in, out, style).write(value);
}

}  // namespace kvasir::jinja
