#include "engine/model/gguf.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/model/gguf_parser.h"

namespace kvasir {

namespace {

constexpr std::size_t kNumberDigits = 5;

std::string errno_text() { return std::generic_category().message(errno); }

Error in_file(const std::string& path, const Error& e) {
  return path.empty() ? e : error(e.code, path + ": " + e.message);
}

struct Mapping {
  std::shared_ptr<const void> memory;
  std::size_t size = 0;
};

Result<Mapping> map_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return error(ErrorCode::io, "cannot open " + path + ": " + errno_text());
  struct stat status {};
  const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
  void* memory = MAP_FAILED;
  const std::size_t size = regular ? static_cast<std::size_t>(status.st_size) : 0;
  if (regular) memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const std::string reason = regular ? errno_text() : "not a regular file with bytes in it";
  ::close(fd);
  if (memory == MAP_FAILED) return error(ErrorCode::io, "cannot map " + path + ": " + reason);
  return Mapping{std::shared_ptr<const void>(memory, [size](void* address) { ::munmap(address, size); }), size};
}

std::string five_digits(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(kNumberDigits - std::min(kNumberDigits, digits.size()), '0') + digits;
}

// "models/name-00002-of-00003.gguf" as {"models/name", 2, 3}.
struct PartName {
  std::string stem;
  std::uint64_t number = 0, count = 0;
  std::string path_of(std::uint64_t part) const {
    return stem + "-" + five_digits(part) + "-of-" + five_digits(count) + ".gguf";
  }
};

std::optional<std::uint64_t> number_at(std::string_view text, std::size_t at) {
  std::uint64_t number = 0;
  for (const char c : text.substr(at, kNumberDigits)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return number;
}

std::optional<PartName> part_name(std::string_view path) {
  constexpr std::string_view kForm = "-00000-of-00000.gguf";
  if (path.size() < kForm.size()) return std::nullopt;
  const std::string_view end = path.substr(path.size() - kForm.size());
  const auto number = number_at(end, 1), count = number_at(end, 10);
  if (end[0] != '-' || end.substr(6, 4) != "-of-" || end.substr(15) != ".gguf" || !number || !count) return {};
  return PartName{std::string(path.substr(0, path.size() - kForm.size())), *number, *count};
}

std::string part_of(std::uint64_t index, std::uint64_t count) {
  return "part " + std::to_string(index + 1) + " of " + std::to_string(count);
}

// What a split file's keys say of it.
struct SplitKeys {
  std::optional<std::uint64_t> number, count, tensors;
  static SplitKeys of(const GgufFile& file) {
    return {file.get_uint("split.no"), file.get_uint("split.count"), file.get_uint("split.tensors.count")};
  }
};

}  // namespace

Result<std::unique_ptr<GgufFile>> GgufFile::open_part(const std::string& path) {
  Result<Mapping> mapping = map_file(path);
  if (!mapping) return std::move(mapping).error();
  auto file = parse_gguf({static_cast<const std::byte*>(mapping->memory.get()), mapping->size});
  if (!file) return in_file(path, file.error());
  (*file)->parts_[0].path = path;
  (*file)->mappings_.push_back(std::move(mapping->memory));
  return file;
}

Result<std::unique_ptr<GgufFile>> GgufFile::open(const std::string& path) {
  auto file = open_part(path);
  if (!file) return file;
  const std::uint64_t count = (*file)->get_uint("split.count").value_or(1);
  if (count <= 1) return file;
  if (count > kPartsMax) {
    return error(ErrorCode::too_large, path + ": split.count is " + std::to_string(count) + ", at most " +
                                           std::to_string(kPartsMax) + " are allowed");
  }
  const std::optional<PartName> name = part_name(path);
  if (!name || name->count != count) {
    return error(ErrorCode::invalid_argument,
                 path + ": the model is split into " + std::to_string(count) + " files; this one's name must end in -" +
                     five_digits((*file)->get_uint("split.no").value_or(0) + 1) + "-of-" + five_digits(count) +
                     ".gguf, so that the others can be found beside it");
  }
  std::vector<std::unique_ptr<GgufFile>> parts;
  for (std::uint64_t i = 0; i < count; ++i) {
    auto part = open_part(name->path_of(i + 1));
    if (!part) return error(part.error().code, part.error().message + " (" + part_of(i, count) + ")");
    parts.push_back(std::move(*part));
  }
  return join(std::move(parts));
}

Result<std::unique_ptr<GgufFile>> GgufFile::parse(std::span<const std::byte> bytes) { return parse_gguf(bytes); }

Result<std::unique_ptr<GgufFile>> GgufFile::parse_parts(std::span<const std::span<const std::byte>> bytes) {
  std::vector<std::unique_ptr<GgufFile>> parts;
  for (const std::span<const std::byte> part : bytes) {
    auto file = parse_gguf(part);
    if (!file) return file;
    parts.push_back(std::move(*file));
  }
  return join(std::move(parts));
}

Result<std::unique_ptr<GgufFile>> GgufFile::join(std::vector<std::unique_ptr<GgufFile>> parts) {
  KVASIR_ASSERT(!parts.empty());
  const std::uint64_t count = parts.size();
  GgufFile& first = *parts[0];
  for (std::uint64_t i = 0; i < count; ++i) {
    if (Status place = first.check_part(*parts[i], i, count); !place) {
      return in_file(parts[i]->parts_[0].path, place.error());
    }
    if (i == 0) continue;
    if (Status added = first.append(std::move(*parts[i])); !added) return std::move(added).error();
  }
  const std::uint64_t tensors = first.get_uint("split.tensors.count").value_or(first.tensors_.size());
  if (tensors != first.tensors_.size()) {
    return error(ErrorCode::corrupt, "the " + std::to_string(count) + " parts hold " +
                                         std::to_string(first.tensors_.size()) + " tensors, split.tensors.count says " +
                                         std::to_string(tensors));
  }
  return std::move(parts[0]);
}

Status GgufFile::check_part(const GgufFile& part, std::uint64_t index, std::uint64_t count) const {
  const SplitKeys keys = SplitKeys::of(part);
  const auto wrong = [&](const std::string& what) {
    return error(ErrorCode::corrupt, "this should be " + part_of(index, count) + " of a model, but " + what);
  };
  if (!keys.count || !keys.number) return wrong("it has no split.count and split.no");
  if (*keys.count != count) return wrong("its split.count is " + std::to_string(*keys.count));
  if (*keys.number != index) return wrong("its split.no is " + std::to_string(*keys.number) + " (the first is 0)");
  if (keys.tensors != SplitKeys::of(*this).tensors) return wrong("its split.tensors.count is not the first part's");
  for (const auto& [key, value] : part.metadata_) {
    const MetaValue* known = key == "split.no" || key == "general.alignment" ? nullptr : meta(key);
    if (known != nullptr && *known != value) return wrong("its " + shown_name(key) + " is another model's");
  }
  return Ok{};
}

Status GgufFile::append(GgufFile part) {
  const std::string& path = part.parts_[0].path;
  for (GgufTensor& tensor : part.tensors_) {
    if (!by_name_.try_emplace(tensor.name, tensors_.size()).second) {
      return in_file(path, error(ErrorCode::corrupt, "tensor " + shown_name(tensor.name) +
                                                         " is there, and in an earlier part of the model too"));
    }
    tensors_.push_back(std::move(tensor));
  }
  parts_.push_back(part.parts_[0]);
  for (auto& mapping : part.mappings_) mappings_.push_back(std::move(mapping));
  return Ok{};
}

const GgufTensor* GgufFile::tensor(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

const GgufFile::MetaValue* GgufFile::meta(std::string_view key) const {
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? nullptr : &found->second;
}

std::optional<std::string_view> GgufFile::get_string(std::string_view key) const {
  const MetaValue* value = meta(key);
  const std::string* text = value ? std::get_if<std::string>(value) : nullptr;
  if (text == nullptr) return std::nullopt;
  return *text;
}

std::optional<std::uint64_t> GgufFile::get_uint(std::string_view key) const {
  const MetaValue* value = meta(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* u = std::get_if<std::uint64_t>(value)) return *u;
  const auto* i = std::get_if<std::int64_t>(value);
  if (i == nullptr || *i < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*i);
}

std::optional<double> GgufFile::get_float(std::string_view key) const {
  const MetaValue* value = meta(key);
  const double* number = value ? std::get_if<double>(value) : nullptr;
  if (number == nullptr) return std::nullopt;
  return *number;
}

std::optional<bool> GgufFile::get_bool(std::string_view key) const {
  const MetaValue* value = meta(key);
  const bool* flag = value ? std::get_if<bool>(value) : nullptr;
  if (flag == nullptr) return std::nullopt;
  return *flag;
}

const std::vector<std::string>* GgufFile::get_strings(std::string_view key) const {
  const MetaValue* value = meta(key);
  const Array* array = value ? std::get_if<Array>(value) : nullptr;
  return array ? std::get_if<std::vector<std::string>>(array) : nullptr;
}

std::uint64_t GgufFile::bytes() const {
  std::uint64_t sum = 0;
  for (const Part& part : parts_) sum += part.bytes.size();
  return sum;
}

void GgufFile::drop_pages() const {
  if (mappings_.empty()) return;  // bytes of somebody else's memory
  for (const Part& part : parts_) {
    ::madvise(const_cast<std::byte*>(part.bytes.data()), part.bytes.size(), MADV_DONTNEED);
  }
}

void GgufFile::drop_pages(std::span<const std::byte> piece) const {
  if (mappings_.empty()) return;
  constexpr std::uintptr_t kPage = 4096;
  const std::uintptr_t first = (reinterpret_cast<std::uintptr_t>(piece.data()) + kPage - 1) / kPage * kPage;
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(piece.data() + piece.size()) / kPage * kPage;
  if (first < end) ::madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
}

}  // namespace kvasir
