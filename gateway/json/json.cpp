#include "gateway/json/json.h"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/json/basic_parser_impl.hpp>

#include "engine/text/utf8.h"

namespace kvasir {
namespace {

namespace bj = boost::json;

// The parser recurses once per container; this many fit in any thread's stack, also under the sanitizers.
constexpr std::uint32_t kDepthCeiling = 1000;

// A repeated key keeps its first place and its last value. Linear, where Object::set would be quadratic.
void merge_repeated_keys(Value::Object& object) {
  constexpr std::size_t kSmall = 8;
  auto& members = object.members;
  if (members.size() <= kSmall) {
    Value::Object merged;
    for (auto& [key, value] : members) merged.set(std::move(key), std::move(value));
    object = std::move(merged);
    return;
  }
  std::unordered_map<std::string, std::size_t> places;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto [it, fresh] = places.try_emplace(members[i].first, kept);
    if (!fresh) {
      members[it->second].second = std::move(members[i].second);
    } else {
      if (kept != i) members[kept] = std::move(members[i]);
      ++kept;
    }
  }
  members.resize(kept);
}

// Builds a Value from the parser's events.
class Builder {
 public:
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();

  explicit Builder(std::size_t values_max) : values_left_(values_max) {}

  bool on_document_begin(bj::error_code&) { return true; }
  bool on_document_end(bj::error_code&) { return true; }
  bool on_object_begin(bj::error_code&) { return open(true); }
  bool on_array_begin(bj::error_code&) { return open(false); }
  bool on_object_end(std::size_t, bj::error_code& ec) {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    merge_repeated_keys(frame.object);
    return add(std::move(frame.object), ec);
  }
  bool on_array_end(std::size_t, bj::error_code& ec) {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    return add(std::move(frame.array), ec);
  }
  bool on_key_part(bj::string_view part, std::size_t, bj::error_code&) { return append(part); }
  bool on_key(bj::string_view part, std::size_t, bj::error_code&) {
    append(part);
    frames_.back().key = std::exchange(text_, {});
    return true;
  }
  bool on_string_part(bj::string_view part, std::size_t, bj::error_code&) { return append(part); }
  bool on_string(bj::string_view part, std::size_t, bj::error_code& ec) {
    append(part);
    return add(std::exchange(text_, {}), ec);
  }
  bool on_number_part(bj::string_view part, bj::error_code&) { return append(part); }
  bool on_int64(std::int64_t, bj::string_view part, bj::error_code& ec) { return add_number(part, ec); }
  bool on_uint64(std::uint64_t, bj::string_view part, bj::error_code& ec) { return add_number(part, ec); }
  bool on_double(double, bj::string_view part, bj::error_code& ec) { return add_number(part, ec); }
  bool on_bool(bool b, bj::error_code& ec) { return add(b, ec); }
  bool on_null(bj::error_code& ec) { return add(Value(), ec); }
  bool on_comment_part(bj::string_view, bj::error_code&) { return true; }
  bool on_comment(bj::string_view, bj::error_code&) { return true; }

  Value take() { return std::move(root_); }

 private:
  struct Frame {
    bool is_object = false;
    std::string key;
    Value::Object object;
    Value::Array array;
  };

  bool open(bool is_object) {
    frames_.emplace_back().is_object = is_object;
    return true;
  }
  bool append(bj::string_view part) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool add_number(bj::string_view part, bj::error_code& ec) {
    append(part);
    return add(Value::Number{std::exchange(text_, {})}, ec);
  }
  bool add(Value value, bj::error_code& ec) {
    if (values_left_-- == 0) {
      ec = bj::error::array_too_large;
      return false;
    }
    if (frames_.empty()) {
      root_ = std::move(value);
    } else if (Frame& top = frames_.back(); top.is_object) {
      top.object.members.emplace_back(std::move(top.key), std::move(value));
    } else {
      top.array.push_back(std::move(value));
    }
    return true;
  }

  std::vector<Frame> frames_;
  std::string text_;  // of the key, string or number that is being read
  Value root_;
  std::size_t values_left_;
};

std::string describe(const bj::error_code& ec, std::string_view rest, std::size_t depth_max) {
  if (ec == bj::error::too_deep) return "more than " + std::to_string(depth_max) + " levels of nesting";
  if (ec == bj::error::incomplete) return "the text ends inside a value";
  if (ec == bj::error::extra_data) return "there is more text after the value";
  if (ec == bj::error::illegal_leading_surrogate || ec == bj::error::illegal_trailing_surrogate ||
      ec == bj::error::expected_utf16_escape)
    return "half of a surrogate pair";
  if (ec != bj::error::syntax) return ec.message();
  const bool control = !rest.empty() && static_cast<unsigned char>(rest[0]) < 0x20;
  return control ? "a control character (inside a string it must be escaped)" : "not JSON here";
}

void append_escape(std::string& out, unsigned char c) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    default:
      break;
  }
  out += "\\u00";
  out += kHex[c >> 4];
  out += kHex[c & 15];
}

// Characters that some readers of lines (Python's splitlines(), old JavaScript) take for line ends are escaped, so that
// a line of JSON or an event stays one line everywhere.
void append_character(std::string& out, std::string_view character) {
  if (character == "\xC2\x85") {
    out += "\\u0085";
  } else if (character == "\xE2\x80\xA8") {
    out += "\\u2028";
  } else if (character == "\xE2\x80\xA9") {
    out += "\\u2029";
  } else {
    out += character;
  }
}

void append_json(std::string& out, const Value& value);

void append_json(std::string& out, const Value::Object& object) {
  char separator = '{';
  for (const auto& [key, member] : object.members) {
    out += std::exchange(separator, ',');
    append_json_string(out, key);
    out += ':';
    append_json(out, member);
  }
  out += object.members.empty() ? "{}" : "}";
}

void append_json(std::string& out, const Value::Array& array) {
  char separator = '[';
  for (const Value& element : array) {
    out += std::exchange(separator, ',');
    append_json(out, element);
  }
  out += array.empty() ? "[]" : "]";
}

void append_json(std::string& out, const Value& value) {
  if (const auto* b = value.as_bool())
    out += *b ? "true" : "false";
  else if (const auto* n = value.as_number())
    out += n->text;
  else if (const auto* s = value.as_string())
    append_json_string(out, *s);
  else if (const auto* a = value.as_array())
    append_json(out, *a);
  else if (const auto* o = value.as_object())
    append_json(out, *o);
  else
    out += "null";
}

}  // namespace

Result<Value> parse_json(std::string_view text, JsonLimits limits) {
  if (text.size() > limits.bytes_max)
    return error(ErrorCode::too_large, "JSON of " + std::to_string(text.size()) + " bytes; at most " +
                                           std::to_string(limits.bytes_max) + " are allowed");
  bj::parse_options options;
  options.max_depth = std::min(limits.depth_max, kDepthCeiling);
  bj::basic_parser<Builder> parser(options, limits.values_max);
  bj::error_code ec;
  const std::size_t read = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && read < text.size()) ec = bj::error::extra_data;
  if (ec == bj::error::array_too_large)
    return error(ErrorCode::too_large, "JSON of more than " + std::to_string(limits.values_max) + " values");
  if (ec)
    return error(ErrorCode::invalid_argument, "invalid JSON at byte " + std::to_string(read) + ": " +
                                                  describe(ec, text.substr(read), options.max_depth));
  return parser.handler().take();
}

std::string to_json(const Value& value) {
  std::string out;
  append_json(out, value);
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == '"' || c == '\\') {
      append_escape(out, c);
      ++i;
    } else if (c < 0x80) {
      out += text[i++];
    } else if (const std::size_t length = utf8_length(text.substr(i))) {
      append_character(out, text.substr(i, length));
      i += length;
    } else {
      out += kReplacementCharacter;
      ++i;
    }
  }
  out += '"';
}

}  // namespace kvasir
