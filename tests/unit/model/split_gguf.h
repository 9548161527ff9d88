#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/model/gguf.h"
#include "tests/unit/model/gguf_bytes.h"

namespace kvasir::testing {

// Writes a part of a split model; keys keep their value, though not their width.
class PartWriter {
 public:
  PartWriter& number(std::string_view name, std::uint64_t value) {
    ++keys_;
    meta_.key(name, 10).u64(value);
    return *this;
  }
  PartWriter& copy(std::string_view name, const GgufFile::MetaValue& value) {
    ++keys_;
    meta_.text(name);
    std::visit([&](const auto& v) { put(v, true); }, value);
    return *this;
  }
  PartWriter& tensor(const GgufTensor& tensor) {
    ++tensors_;
    infos_.text(tensor.name).u32(static_cast<std::uint32_t>(tensor.dims.size()));
    for (const std::uint64_t dim : tensor.dims) infos_.u64(dim);
    infos_.u32(tensor.type).u64(data_.str().size());
    data_.raw({reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size()}).pad();
    return *this;
  }
  std::string bytes() const {
    GgufBytes out;
    out.header(tensors_, keys_).raw(meta_.str()).raw(infos_.str()).pad().raw(data_.str());
    return out.str();
  }

 private:
  void type(bool wanted, std::uint32_t number) {
    if (wanted) meta_.u32(number);
  }
  void put(std::int64_t v, bool typed) { type(typed, 11), meta_.put(v); }
  void put(std::uint64_t v, bool typed) { type(typed, 10), meta_.put(v); }
  void put(double v, bool typed) { type(typed, 12), meta_.put(v); }
  void put(bool v, bool typed) { type(typed, 7), meta_.put<std::uint8_t>(v); }
  void put(const std::string& v, bool typed) { type(typed, 8), meta_.text(v); }
  void put(const GgufFile::Array& array, bool) {
    meta_.u32(9);
    std::visit(
        [&]<class T>(const std::vector<T>& values) {
          type(true, array_type(T{}));
          meta_.u64(values.size());
          for (std::size_t i = 0; i < values.size(); ++i) put(static_cast<const T&>(values[i]), false);
        },
        array);
  }
  static std::uint32_t array_type(std::int64_t) { return 11; }
  static std::uint32_t array_type(std::uint64_t) { return 10; }
  static std::uint32_t array_type(double) { return 12; }
  static std::uint32_t array_type(bool) { return 7; }
  static std::uint32_t array_type(const std::string&) { return 8; }

  GgufBytes meta_, infos_, data_;
  std::uint64_t keys_ = 0, tensors_ = 0;
};

// The bytes of `count` parts of a model: all keys in the first, tensors in order, about as many in each.
inline std::vector<std::string> split_gguf(const GgufFile& file, std::size_t count) {
  std::vector<std::string> parts;
  const std::size_t tensors = file.tensors().size();
  for (std::size_t i = 0; i < count; ++i) {
    PartWriter writer;
    if (i == 0) {
      for (const auto& [key, value] : file.metadata()) writer.copy(key, value);
    }
    writer.number("split.no", i).number("split.count", count).number("split.tensors.count", tensors);
    for (std::size_t t = tensors * i / count; t < tensors * (i + 1) / count; ++t) writer.tensor(file.tensors()[t]);
    parts.push_back(writer.bytes());
  }
  return parts;
}

}  // namespace kvasir::testing
