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

// A quantization block of any type that GGML has, loadable or not; nothing for numbers that have no (or no one)
// meaning.
struct TensorBlock {
  std::uint32_t elements = 0, bytes = 0;
};
std::optional<TensorBlock> tensor_block(std::uint32_t type);

struct GgufTensor {
  std::string name;
  std::vector<std::uint64_t> dims;  // innermost (contiguous) first, as in the file: {in, out} for a weight
  std::uint32_t type = 0;           // raw GGML number
  std::span<const std::byte> data;  // in the mapping; empty where tensor_block(type) is nothing
  std::uint64_t elements() const;
};

// A memory-mapped GGUF file, version 2 or 3, little-endian; or the parts of one that was split. Every length, count and
// offset is checked against the file before use, tensors do not overlap, and what is copied out of the mapping is
// bounded (kMetadataBytesMax a part); a file that fails is an Error naming what and where, never a crash. Immutable;
// any thread may read.
class GgufFile {
 public:
  using Array = std::variant<std::vector<std::int64_t>, std::vector<std::uint64_t>, std::vector<double>,
                             std::vector<std::string>, std::vector<bool>>;
  using MetaValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string, Array>;

  // One file of the model, as it lies in memory.
  struct Part {
    std::string path;  // empty for bytes in memory
    std::span<const std::byte> bytes;
  };

  static constexpr std::size_t kMetadataBytesMax = 256u << 20;  // of memory for keys, values and tensor entries
  static constexpr std::uint64_t kPartsMax = 1024;

  // Opens a file. One that says it is a part of a split model (split.count above 1) opens all parts, whichever is
  // named: they lie beside it as NAME-00001-of-00003.gguf. Metadata is the first part's; each part must say which it
  // is, be in its place, contradict no key of the first and repeat no tensor; the sum must be split.tensors.count.
  // Errors: io (a file is not there), corrupt, unsupported, each naming the file.
  static Result<std::unique_ptr<GgufFile>> open(const std::string& path);
  // Parses bytes in memory (fuzzing, tests), which must outlive the file: a file by itself, or all parts in order.
  static Result<std::unique_ptr<GgufFile>> parse(std::span<const std::byte> bytes);
  static Result<std::unique_ptr<GgufFile>> parse_parts(std::span<const std::span<const std::byte>> parts);

  std::uint32_t version() const { return version_; }
  const GgufTensor* tensor(std::string_view name) const;
  // In the order of the file, part after part: the same for a model in one file and split.
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const MetaValue* meta(std::string_view key) const;
  const std::map<std::string, MetaValue, std::less<>>& metadata() const { return metadata_; }

  // Typed access; any integer type serves for an integer. Absent or of another type: nothing.
  std::optional<std::string_view> get_string(std::string_view key) const;
  std::optional<std::uint64_t> get_uint(std::string_view key) const;
  std::optional<double> get_float(std::string_view key) const;
  std::optional<bool> get_bool(std::string_view key) const;
  const std::vector<std::string>* get_strings(std::string_view key) const;

  const std::vector<Part>& parts() const { return parts_; }  // at least one
  std::uint64_t bytes() const;                               // of all parts
  // Tells the kernel that the mappings' pages are not needed (after weights were repacked).
  void drop_pages() const;
  // The same for a piece of the mappings: whole pages of it.
  void drop_pages(std::span<const std::byte> piece) const;

 private:
  friend class GgufParser;
  GgufFile() = default;
  GgufFile(GgufFile&&) = default;
  static Result<std::unique_ptr<GgufFile>> open_part(const std::string& path);
  static Result<std::unique_ptr<GgufFile>> join(std::vector<std::unique_ptr<GgufFile>> parts);
  Status check_part(const GgufFile& part, std::uint64_t index, std::uint64_t count) const;
  Status append(GgufFile part);

  std::uint32_t version_ = 0;
  std::vector<Part> parts_;
  std::vector<std::shared_ptr<const void>> mappings_;  // of the parts that were opened
  std::map<std::string, MetaValue, std::less<>> metadata_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
};

}  // namespace kvasir
