#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "engine/model/model_config.h"
#include "storage/base/assert.h"
#include "tests/support/tiny_model.h"
#include "tests/unit/model/gguf_bytes.h"

namespace kvasir::testing {

// A tiny model's file that a test damages on purpose.
class ModelFile {
 public:
  explicit ModelFile(const TinyModelSpec& spec = {}) : bytes_(tiny_model_bytes(spec)) {}

  // Another name of the same length: takes the key or tensor away, or puts an unexpected one there.
  ModelFile& rename(const std::string& from, const std::string& to) {
    KVASIR_ASSERT(from.size() == to.size());
    return overwrite(find(from), to);
  }
  ModelFile& set_u32(const std::string& key, std::uint32_t value) { return set(key, value); }
  ModelFile& set_float(const std::string& key, float value) { return set(key, value); }
  // The type number in the entry of a tensor of two dimensions.
  ModelFile& set_type(const std::string& tensor, std::uint32_t type) {
    return overwrite(find(tensor) + tensor.size() + 4 + 16, as_text(type));
  }
  // One more key in front, with a string after it that keeps the tensors' alignment.
  ModelFile& add(const GgufBytes& entry) {
    GgufBytes padding;
    padding.key("padding", 8);
    const std::size_t used = entry.str().size() + padding.str().size() + 8;
    padding.text(std::string((32 - used % 32) % 32, ' '));
    bytes_.insert(24, entry.str() + padding.str());
    std::uint64_t keys = 0;
    std::memcpy(&keys, bytes_.data() + 16, sizeof keys);
    return overwrite(16, as_text(keys + 2));
  }
  ModelFile& flip_last_weight_bit() {
    bytes_[bytes_.size() - 40] = static_cast<char>(bytes_[bytes_.size() - 40] ^ 1);
    return *this;
  }

  // The last element of rope_freqs.weight.
  ModelFile& set_last_divisor(float value) {
    const auto file = parse();
    const GgufTensor& divisors = *file->tensor("rope_freqs.weight");
    const auto* end = reinterpret_cast<const char*>(divisors.data.data() + divisors.data.size());
    return overwrite(static_cast<std::size_t>(end - bytes_.data()) - sizeof value, as_text(value));
  }

  // The file reads the bytes of this object.
  std::unique_ptr<GgufFile> parse() const& {
    auto file = GgufFile::parse(std::as_bytes(std::span(bytes_)));
    KVASIR_ASSERT(file.ok());
    return std::move(*file);
  }
  std::unique_ptr<GgufFile> parse() && = delete;
  std::string config_error() const {
    const auto config = read_model_config(*parse());
    return config ? "(no error)" : config.error().message;
  }
  std::string vocabulary_error() const {
    const auto vocabulary = read_vocabulary(*parse());
    return vocabulary ? "(no error)" : vocabulary.error().message;
  }

 private:
  template <class T>
  static std::string as_text(T value) {
    std::string text(sizeof value, '\0');
    std::memcpy(text.data(), &value, sizeof value);
    return text;
  }
  std::size_t find(const std::string& name) const {
    const std::size_t at = bytes_.find(as_text<std::uint64_t>(name.size()) + name);
    KVASIR_ASSERT(at != std::string::npos);
    return at + 8;
  }
  ModelFile& overwrite(std::size_t at, const std::string& text) {
    bytes_.replace(at, text.size(), text);
    return *this;
  }
  template <class T>
  ModelFile& set(const std::string& key, T value) {
    return overwrite(find(key) + key.size() + 4, as_text(value));
  }

  std::string bytes_;
};

// What read_model_config says with one more key in the file.
inline std::string error_with(const GgufBytes& entry, const TinyModelSpec& spec = {}) {
  return ModelFile(spec).add(entry).config_error();
}

inline ModelConfig config_of(const ModelFile& model) {
  auto config = read_model_config(*model.parse());
  if (!config) throw std::runtime_error(config.error().message);
  return *config;
}

// Of tiny_families().
inline TinyModelSpec spec_of(const std::string& family) {
  for (const TinyFamily& each : tiny_families())
    if (each.name == family) return each.spec;
  throw std::runtime_error("no family " + family);
}

}  // namespace kvasir::testing
