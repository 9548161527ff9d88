#pragma once

#include <cmath>
#include <concepts>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "gateway/json/json.h"

namespace kvasir {

// Writes compact JSON text member by member; commas come by themselves. The caller keeps begin and end balanced.
class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name) {
    comma();
    append_json_string(text_, name);
    text_ += ':';
    fresh_ = true;
    return *this;
  }
  JsonWriter& value(std::string_view text) {
    comma();
    append_json_string(text_, text);
    return *this;
  }
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool b) { return raw(b ? "true" : "false"); }
  JsonWriter& value(std::integral auto n) { return raw(fmt::format("{}", n)); }
  // -9999.0 stands for what has no finite logarithm, as in the OpenAI API.
  JsonWriter& value(float x) { return raw(std::isfinite(x) ? fmt::format("{}", x) : "-9999.0"); }
  JsonWriter& null() { return raw("null"); }
  JsonWriter& raw(std::string_view json) {
    comma();
    text_ += json;
    return *this;
  }
  template <class T>
  JsonWriter& member(std::string_view name, const T& v) {
    return key(name).value(v);
  }
  JsonWriter& null_member(std::string_view name) { return key(name).null(); }
  std::string take() { return std::move(text_); }

 private:
  JsonWriter& open(char c) {
    comma();
    text_ += c;
    fresh_ = true;
    return *this;
  }
  JsonWriter& close(char c) {
    text_ += c;
    fresh_ = false;
    return *this;
  }
  void comma() {
    if (!fresh_) text_ += ',';
    fresh_ = false;
  }
  std::string text_;
  bool fresh_ = true;  // nothing stands before the next value in its container
};

}  // namespace kvasir
