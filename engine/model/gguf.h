#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "storage/base/result.h"

namespace kvasir {

// Tensor types by their GGML number; only those with a name here can be loaded, others are named in an error.
enum class TensorType : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  bf16 = 30
};

// "Q4_1", "BF16", ...; for unknown numbers "type 17".
std::string tensor_type_name(std::uint32_t type);
bool is_supported(std::uint32_t type);
std::uint32_t block_elements(TensorType type);  // elements per quantization block: 1, 32 or 256
std::uint32_t block_bytes(TensorType type);

struct GgufTensor {
  std::string name;
  std::vector<std::uint64_t> dims;  // innermost (contiguous) first, as in the file: {in, out} for a weight
  std::uint32_t type = 0;           // raw GGML number
  std::span<const std::byte> data;  // in the mapping
  std::uint64_t elements() const;
};

// A memory-mapped GGUF file, version 2 or 3, little-endian. Every length, count and offset is checked against the file
// before use; a file that fails is an Error naming what and where, never a crash. Immutable; any thread may read.
class GgufFile {
 public:
  using Array = std::variant<std::vector<std::int64_t>, std::vector<std::uint64_t>, std::vector<double>,
                             std::vector<std::string>, std::vector<bool>>;
  using MetaValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string, Array>;

  static Result<std::unique_ptr<GgufFile>> open(const std::string& path);
  // Parses bytes in memory (fuzzing, tests); `bytes` must outlive the file.
  static Result<std::unique_ptr<GgufFile>> parse(std::span<const std::byte> bytes);
  ~GgufFile();

  std::uint32_t version() const { return version_; }
  const GgufTensor* tensor(std::string_view name) const;
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const MetaValue* meta(std::string_view key) const;
  const std::map<std::string, MetaValue, std::less<>>& metadata() const { return metadata_; }

  // Typed access; any integer type serves for an integer. Absent or of another type: nothing.
  std::optional<std::string_view> get_string(std::string_view key) const;
  std::optional<std::uint64_t> get_uint(std::string_view key) const;
  std::optional<double> get_float(std::string_view key) const;
  std::optional<bool> get_bool(std::string_view key) const;
  const std::vector<std::string>* get_strings(std::string_view key) const;

  std::span<const std::byte> bytes() const { return bytes_; }
  void drop_pages() const;  // tells the kernel that the mapping's pages are not needed (after weights were repacked)

 private:
  friend class GgufParser;
  GgufFile() = default;
  std::uint32_t version_ = 0;
  std::span<const std::byte> bytes_;
  void* mapping_ = nullptr;
  std::map<std::string, MetaValue, std::less<>> metadata_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
};

}  // namespace kvasir
