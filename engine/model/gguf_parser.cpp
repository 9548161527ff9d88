#include "engine/model/gguf_parser.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

static_assert(std::endian::native == std::endian::little, "GGUF values are read as they lie in the file");

namespace kvasir {

namespace {

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kDimsMax = 4;
constexpr std::uint64_t kKeyBytesMax = 65535;  // as the format says
constexpr std::uint64_t kTensorNameBytesMax = 255;
constexpr std::uint64_t kShownBytesMax = 80;
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kAlignmentMax = 1u << 20;
constexpr std::uint64_t kKeyCost = 256;     // memory of a key with its value's fixed part, roughly
constexpr std::uint64_t kTensorCost = 512;  // memory of a tensor entry without its name, roughly

bool multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& product) {
  return !__builtin_mul_overflow(a, b, &product);
}

}  // namespace

std::string shown_name(std::string_view name) {
  std::string shown(name.substr(0, kShownBytesMax));
  for (char& c : shown) c = c >= ' ' && c <= '~' ? c : '?';
  return name.size() > kShownBytesMax ? shown + "..." : shown;
}

// Reads one file front to back. The first failure sticks in `error_`; every method returns false from then on.
class GgufParser {
 public:
  explicit GgufParser(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Result<std::unique_ptr<GgufFile>> run() {
    std::unique_ptr<GgufFile> file(new GgufFile());
    file->parts_.push_back({"", bytes_});
    if (!parse(*file)) return kvasir::error(code_, "GGUF: " + error_);
    return file;
  }

 private:
  // The value types of metadata, by their number in the file.
  enum class Kind : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

  static std::size_t bytes_min(Kind kind) {  // of one value
    switch (kind) {
      case Kind::u8:
      case Kind::i8:
      case Kind::boolean:
        return 1;
      case Kind::u16:
      case Kind::i16:
        return 2;
      case Kind::u32:
      case Kind::i32:
      case Kind::f32:
        return 4;
      case Kind::string:
      case Kind::u64:
      case Kind::i64:
      case Kind::f64:
        return 8;
      case Kind::array:
        return 12;
    }
    return 0;
  }

  bool fail(std::string message, ErrorCode code = ErrorCode::corrupt) {
    error_ = std::move(message) + " (at byte " + std::to_string(at_) + ")";
    code_ = code;
    return false;
  }

  std::size_t remaining() const { return bytes_.size() - at_; }

  template <class T>
  bool read(T& value, const char* what) {
    if (remaining() < sizeof(T)) return fail(std::string("file ends inside ") + what);
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return true;
  }

  // What is copied out of the mapping is paid for before it is allocated.
  bool charge(std::uint64_t bytes) {
    if (bytes > memory_left_) {
      return fail("metadata and tensor entries need more than " + std::to_string(GgufFile::kMetadataBytesMax >> 20) +
                      " MiB of memory",
                  ErrorCode::too_large);
    }
    memory_left_ -= bytes;
    return true;
  }

  bool read_string(std::string& text, const std::string& what, std::uint64_t bytes_max = ~std::uint64_t{0}) {
    std::uint64_t length = 0;
    if (!read(length, what.c_str())) return false;
    if (length > remaining()) {
      return fail(what + " says it has " + std::to_string(length) + " bytes, the file has " +
                  std::to_string(remaining()) + " left");
    }
    if (length > bytes_max) {
      return fail(what + " has " + std::to_string(length) + " bytes, at most " + std::to_string(bytes_max) +
                  " are allowed");
    }
    if (!charge(length)) return false;
    text.assign(reinterpret_cast<const char*>(bytes_.data() + at_), length);
    at_ += length;
    return true;
  }

  bool read_kind(Kind& kind, const std::string& key) {
    std::uint32_t raw = 0;
    if (!read(raw, "a metadata type")) return false;
    if (raw > static_cast<std::uint32_t>(Kind::f64)) {
      return fail("key " + shown_name(key) + " has the unknown value type " + std::to_string(raw));
    }
    kind = static_cast<Kind>(raw);
    return true;
  }

  template <class T, class Wide>
  bool read_as(Wide& wide) {
    T value{};
    if (!read(value, "a metadata value")) return false;
    wide = static_cast<Wide>(value);
    return true;
  }

  bool read_scalar(Kind kind, std::int64_t& v) {
    switch (kind) {
      case Kind::i8:
        return read_as<std::int8_t>(v);
      case Kind::i16:
        return read_as<std::int16_t>(v);
      case Kind::i32:
        return read_as<std::int32_t>(v);
      default:
        return read_as<std::int64_t>(v);
    }
  }
  bool read_scalar(Kind kind, std::uint64_t& v) {
    switch (kind) {
      case Kind::u8:
        return read_as<std::uint8_t>(v);
      case Kind::u16:
        return read_as<std::uint16_t>(v);
      case Kind::u32:
        return read_as<std::uint32_t>(v);
      default:
        return read_as<std::uint64_t>(v);
    }
  }
  bool read_scalar(Kind kind, double& v) { return kind == Kind::f32 ? read_as<float>(v) : read_as<double>(v); }
  bool read_scalar(Kind, bool& v) {
    std::uint8_t raw = 0;
    if (!read(raw, "a boolean")) return false;
    if (raw > 1) return fail("a boolean is " + std::to_string(raw) + ", not 0 or 1");
    v = raw == 1;
    return true;
  }
  bool read_scalar(Kind, std::string& v) { return read_string(v, "a metadata string"); }

  template <class T>
  bool read_one(Kind kind, GgufFile::MetaValue& out) {
    T value{};
    if (!read_scalar(kind, value)) return false;
    out = GgufFile::MetaValue(std::in_place_type<T>, std::move(value));
    return true;
  }

  template <class T>
  bool read_many(Kind kind, std::uint64_t count, GgufFile::MetaValue& out) {
    std::vector<T> values;
    if (!charge(count * sizeof(T))) return false;  // no overflow: count is at most the file's bytes
    values.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      T value{};
      if (!read_scalar(kind, value)) return false;
      values.push_back(std::move(value));
    }
    out = GgufFile::Array(std::in_place_type<std::vector<T>>, std::move(values));
    return true;
  }

  bool read_array(const std::string& key, GgufFile::MetaValue& out) {
    Kind kind{};
    std::uint64_t count = 0;
    if (!read_kind(kind, key) || !read(count, "an array length")) return false;
    if (kind == Kind::array) return fail("key " + shown_name(key) + " is an array of arrays", ErrorCode::unsupported);
    if (count > remaining() / bytes_min(kind)) {
      return fail("key " + shown_name(key) + " says it has " + std::to_string(count) +
                  " elements, more than the file can hold");
    }
    return dispatch(kind, [&]<class T>(T) { return read_many<T>(kind, count, out); });
  }

  // Calls `read` with a value of the type that `kind` is kept as. REQUIRES: not an array.
  template <class Read>
  static bool dispatch(Kind kind, Read read_typed) {
    switch (kind) {
      case Kind::u8:
      case Kind::u16:
      case Kind::u32:
      case Kind::u64:
        return read_typed(std::uint64_t{});
      case Kind::i8:
      case Kind::i16:
      case Kind::i32:
      case Kind::i64:
        return read_typed(std::int64_t{});
      case Kind::f32:
      case Kind::f64:
        return read_typed(double{});
      case Kind::boolean:
        return read_typed(bool{});
      case Kind::string:
        return read_typed(std::string{});
      case Kind::array:
        break;
    }
    return false;
  }

  bool read_metadata(GgufFile& file) {
    std::string key;
    if (!charge(kKeyCost) || !read_string(key, "a metadata key", kKeyBytesMax)) return false;
    if (key.empty()) return fail("a metadata key is empty");
    Kind kind{};
    if (!read_kind(kind, key)) return false;
    GgufFile::MetaValue value;
    const bool ok = kind == Kind::array ? read_array(key, value)
                                        : dispatch(kind, [&]<class T>(T) { return read_one<T>(kind, value); });
    if (!ok) return false;
    if (!file.metadata_.try_emplace(key, std::move(value)).second)
      return fail("key " + shown_name(key) + " is there twice");
    return true;
  }

  bool read_dims(GgufTensor& tensor) {
    std::uint32_t count = 0;
    if (!read(count, "a tensor's number of dimensions")) return false;
    if (count == 0 || count > kDimsMax) {
      return fail("tensor " + shown_name(tensor.name) + " has " + std::to_string(count) +
                  " dimensions, 1 to 4 are allowed");
    }
    std::uint64_t elements = 1;
    for (std::uint32_t i = 0; i < count; ++i) {
      std::uint64_t dim = 0;
      if (!read(dim, "a tensor's dimensions")) return false;
      if (dim == 0) return fail("tensor " + shown_name(tensor.name) + " has a dimension of 0");
      if (!multiply(elements, dim, elements))
        return fail("tensor " + shown_name(tensor.name) + " has too many elements");
      tensor.dims.push_back(dim);
    }
    return true;
  }

  bool read_tensor_info(GgufFile& file) {
    GgufTensor tensor;
    std::uint64_t offset = 0;
    if (!charge(kTensorCost) || !read_string(tensor.name, "a tensor name", kTensorNameBytesMax)) return false;
    if (tensor.name.empty()) return fail("a tensor name is empty");
    if (!read_dims(tensor) || !read(tensor.type, "a tensor type") || !read(offset, "a tensor offset")) return false;
    if (!file.by_name_.try_emplace(tensor.name, file.tensors_.size()).second) {
      return fail("tensor " + shown_name(tensor.name) + " is there twice");
    }
    file.tensors_.push_back(std::move(tensor));
    offsets_.push_back(offset);
    return true;
  }

  bool tensor_bytes(const GgufTensor& tensor, TensorBlock block, std::uint64_t& bytes) {
    if (tensor.dims[0] % block.elements != 0) {
      return fail("tensor " + shown_name(tensor.name) + " has rows of " + std::to_string(tensor.dims[0]) +
                  " elements, " + tensor_type_name(tensor.type) + " needs a multiple of " +
                  std::to_string(block.elements));
    }
    if (!multiply(tensor.elements() / block.elements, block.bytes, bytes)) {
      return fail("tensor " + shown_name(tensor.name) + " has too many bytes");
    }
    return true;
  }

  // Types whose size is not known keep an empty `data`.
  bool place_tensor(GgufTensor& tensor, std::uint64_t offset, std::span<const std::byte> data,
                    std::uint64_t alignment) {
    std::uint64_t bytes = 0;
    const auto block = tensor_block(tensor.type);
    if (block && !tensor_bytes(tensor, *block, bytes)) return false;
    if (offset % alignment != 0) {
      return fail("tensor " + shown_name(tensor.name) + " lies at offset " + std::to_string(offset) +
                  ", not a multiple of " + std::to_string(alignment));
    }
    if (offset > data.size() || bytes > data.size() - offset) {
      return fail("tensor " + shown_name(tensor.name) + " (offset " + std::to_string(offset) + ", " +
                  std::to_string(bytes) + " bytes) lies outside of the file's " + std::to_string(data.size()) +
                  " bytes of data");
    }
    tensor.data = data.subspan(offset, bytes);
    return true;
  }

  // Bytes that many tensors share would make a small file a model of any size.
  bool check_overlaps(const GgufFile& file) {
    std::vector<const GgufTensor*> placed;
    for (const GgufTensor& tensor : file.tensors_) {
      if (!tensor.data.empty()) placed.push_back(&tensor);
    }
    std::sort(placed.begin(), placed.end(),
              [](const GgufTensor* a, const GgufTensor* b) { return a->data.data() < b->data.data(); });
    for (std::size_t i = 1; i < placed.size(); ++i) {
      const GgufTensor &before = *placed[i - 1], &after = *placed[i];
      if (before.data.data() + before.data.size() <= after.data.data()) continue;
      return fail("tensors " + shown_name(before.name) + " and " + shown_name(after.name) + " overlap");
    }
    return true;
  }

  bool read_alignment(const GgufFile& file, std::uint64_t& alignment) {
    alignment = kDefaultAlignment;
    if (file.meta("general.alignment") == nullptr) return true;
    alignment = file.get_uint("general.alignment").value_or(0);
    if (std::has_single_bit(alignment) && alignment >= 8 && alignment <= kAlignmentMax) return true;
    return fail("general.alignment is not a power of two from 8 to 1048576");
  }

  bool place_tensors(GgufFile& file) {
    std::uint64_t alignment = 0;
    if (!read_alignment(file, alignment)) return false;
    if (file.tensors_.empty()) return true;
    const std::uint64_t start = (at_ + alignment - 1) / alignment * alignment;
    if (start > bytes_.size()) return fail("the file ends before its tensor data");
    const std::span<const std::byte> data = bytes_.subspan(start);
    for (std::size_t i = 0; i < file.tensors_.size(); ++i) {
      if (!place_tensor(file.tensors_[i], offsets_[i], data, alignment)) return false;
    }
    return check_overlaps(file);
  }

  bool read_header(GgufFile& file, std::uint64_t& tensors, std::uint64_t& keys) {
    std::uint32_t magic = 0;
    if (!read(magic, "the header")) return false;
    if (magic != kMagic) return fail("this is not a GGUF file (no GGUF at its start)");
    if (!read(file.version_, "the header")) return false;
    if (file.version_ != 2 && file.version_ != 3) {
      const bool swapped = file.version_ != 0 && (file.version_ & 0xFFFF) == 0;
      return fail(swapped ? "the file is big-endian"
                          : "version " + std::to_string(file.version_) + " is not supported, 2 and 3 are",
                  ErrorCode::unsupported);
    }
    if (!read(tensors, "the header") || !read(keys, "the header")) return false;
    // The smallest tensor entry is name length, one letter, dims, one dim, type, offset; key entries have a value.
    if (tensors > remaining() / 33) return fail("the file cannot hold " + std::to_string(tensors) + " tensors");
    if (keys > remaining() / 14) return fail("the file cannot hold " + std::to_string(keys) + " metadata keys");
    return true;
  }

  bool parse(GgufFile& file) {
    std::uint64_t tensors = 0, keys = 0;
    if (!read_header(file, tensors, keys)) return false;
    for (std::uint64_t i = 0; i < keys; ++i) {
      if (!read_metadata(file)) return false;
    }
    for (std::uint64_t i = 0; i < tensors; ++i) {
      if (!read_tensor_info(file)) return false;
    }
    return place_tensors(file);
  }

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  std::uint64_t memory_left_ = GgufFile::kMetadataBytesMax;
  std::vector<std::uint64_t> offsets_;  // by tensor, from the start of the data
  std::string error_;
  ErrorCode code_ = ErrorCode::corrupt;
};

Result<std::unique_ptr<GgufFile>> parse_gguf(std::span<const std::byte> bytes) { return GgufParser(bytes).run(); }

}  // namespace kvasir
