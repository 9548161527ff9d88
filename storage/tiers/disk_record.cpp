#include "storage/tiers/disk_record.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "storage/base/assert.h"
#include "storage/base/hash.h"

namespace kvasir::disk {
namespace {

constexpr std::uint32_t kMetaMagic = 0x4D42564B;     // "KVBM"
constexpr std::uint32_t kPayloadMagic = 0x5042564B;  // "KVBP"

static_assert(std::endian::native == std::endian::little);  // stored integers and ids are little-endian

class Writer {
 public:
  template <class T>
  void number(T value) {
    bytes(&value, sizeof value);
  }
  template <class Tag>
  void digest(const Digest<Tag>& value) {
    bytes(value.bytes.data(), value.bytes.size());
  }
  void ids(std::span<const TokenId> ids) { bytes(ids.data(), ids.size_bytes()); }
  std::string take_with_crc(std::span<const std::byte> prefix) {
    number(crc32c(std::as_bytes(std::span(out_)), crc32c(prefix)));
    return std::move(out_);
  }

 private:
  void bytes(const void* data, std::size_t size) { out_.append(static_cast<const char*>(data), size); }
  std::string out_;
};

// Reads past the end yield zeros and clear ok().
class Reader {
 public:
  explicit Reader(std::span<const std::byte> in) : in_(in) {}
  template <class T>
  T number() {
    T value{};
    bytes(&value, sizeof value);
    return value;
  }
  template <class D>
  D digest() {
    D value;
    bytes(value.bytes.data(), value.bytes.size());
    return value;
  }
  std::vector<TokenId> ids(std::uint32_t count) {
    if (count * sizeof(TokenId) > left()) {
      ok_ = false;
      return {};
    }
    std::vector<TokenId> ids(count);
    bytes(ids.data(), count * sizeof(TokenId));
    return ids;
  }
  bool ok() const { return ok_; }
  std::size_t position() const { return position_; }
  std::size_t left() const { return in_.size() - position_; }

 private:
  void bytes(void* to, std::size_t size) {
    if (size > left()) {
      ok_ = false;
      position_ = in_.size();
      return;
    }
    if (size) std::memcpy(to, in_.data() + position_, size);
    position_ += size;
  }
  std::span<const std::byte> in_;
  std::size_t position_ = 0;
  bool ok_ = true;
};

void append_big_endian(std::string* out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

std::uint64_t read_big_endian(std::span<const std::byte> in) {
  std::uint64_t value = 0;
  for (std::byte b : in.first(8)) value = value << 8 | static_cast<std::uint64_t>(b);
  return value;
}

// Magic and version, read in place: checked before anything else is believed.
std::optional<RecordFault> check_start(Reader* reader, std::uint32_t magic) {
  const auto found_magic = reader->number<std::uint32_t>();
  const auto version = reader->number<std::uint16_t>();
  if (!reader->ok()) return RecordFault::truncated;
  if (found_magic != magic) return RecordFault::checksum;
  if (version != kFormatVersion) return RecordFault::version;
  return std::nullopt;
}

// The crc that follows what `reader` has read of `value`.
std::optional<RecordFault> check_crc(Reader* reader, std::span<const std::byte> prefix,
                                     std::span<const std::byte> value) {
  if (!reader->ok()) return RecordFault::truncated;
  const auto actual = crc32c(value.first(reader->position()), crc32c(prefix));
  const auto stored = reader->number<std::uint32_t>();
  if (!reader->ok()) return RecordFault::truncated;
  return stored == actual ? std::nullopt : std::optional(RecordFault::checksum);
}

}  // namespace

std::string payload_key(std::uint64_t position) {
  std::string key;
  append_big_endian(&key, position);
  return key;
}

std::string meta_key(const Fingerprint& fingerprint, std::uint64_t position) {
  std::string key(reinterpret_cast<const char*>(fingerprint.bytes.data()), fingerprint.bytes.size());
  append_big_endian(&key, position);
  return key;
}

std::uint64_t payload_checksum(std::span<const std::byte> payload) {
  std::uint64_t sum = payload.size();
  for (; !payload.empty(); payload = payload.subspan(std::min(payload.size(), kChecksumChunkBytes)))
    sum = checksum64(payload.first(std::min(payload.size(), kChecksumChunkBytes)), sum);
  return sum;
}

std::uint64_t copy_with_checksum(std::span<const std::byte> from, std::span<std::byte> to) {
  KVASIR_ASSERT(from.size() == to.size());
  std::uint64_t sum = from.size();
  for (std::size_t at = 0; at < from.size(); at += kChecksumChunkBytes) {
    const std::size_t size = std::min(kChecksumChunkBytes, from.size() - at);
    std::memcpy(to.data() + at, from.data() + at, size);
    sum = checksum64(to.subspan(at, size), sum);  // of the copy: it is what will be used
  }
  return sum;
}

std::string encode_meta(const MetaRecord& meta) {
  const DiskRecord& record = meta.record;
  Writer out;
  out.number(kMetaMagic);
  out.number(kFormatVersion);
  out.number(std::uint16_t{0});
  out.number(record.payload_bytes);
  out.number(meta.payload_checksum);
  out.number(meta.created);
  out.digest(record.key);
  out.digest(record.parent);
  out.digest(record.salt);
  out.number(static_cast<std::uint32_t>(record.ids.size()));
  out.ids(record.ids);
  const std::string key = meta_key(record.fingerprint, record.number);
  return out.take_with_crc(std::as_bytes(std::span(key)));
}

std::optional<RecordFault> decode_meta(std::span<const std::byte> key, std::span<const std::byte> value,
                                       MetaRecord* out) {
  if (key.size() != 40) return RecordFault::wrong_size;
  Reader in(value);
  if (auto fault = check_start(&in, kMetaMagic)) return fault;
  in.number<std::uint16_t>();
  DiskRecord& record = out->record;
  record.fingerprint = Reader(key).digest<Fingerprint>();
  record.number = read_big_endian(key.subspan(32));
  record.payload_bytes = in.number<std::uint64_t>();
  out->payload_checksum = in.number<std::uint64_t>();
  out->created = in.number<UnixSeconds>();
  record.key = in.digest<BlockKey>();
  record.parent = in.digest<BlockKey>();
  record.salt = in.digest<Salt>();
  const auto ids = in.number<std::uint32_t>();
  if (ids > kIdsMax) return RecordFault::checksum;
  record.ids = in.ids(ids);
  if (auto fault = check_crc(&in, key, value)) return fault;
  return in.left() == 0 ? std::nullopt : std::optional(RecordFault::wrong_size);
}

std::string encode_payload_header(const MetaRecord& meta) {
  const DiskRecord& record = meta.record;
  Writer out;
  out.number(kPayloadMagic);
  out.number(kFormatVersion);
  out.number(std::uint16_t{0});
  out.number(record.payload_bytes);
  out.number(meta.payload_checksum);
  out.digest(record.fingerprint);
  out.digest(record.key);
  out.number(static_cast<std::uint32_t>(record.ids.size()));
  out.ids(record.ids);
  return out.take_with_crc({});
}

std::optional<RecordFault> decode_payload(std::span<const std::byte> value, const DiskRecord& expected,
                                          std::span<std::byte> into) {
  Reader in(value);
  if (auto fault = check_start(&in, kPayloadMagic)) return fault;
  in.number<std::uint16_t>();
  const auto payload_bytes = in.number<std::uint64_t>();
  const auto checksum = in.number<std::uint64_t>();
  const auto fingerprint = in.digest<Fingerprint>();
  const auto key = in.digest<BlockKey>();
  const auto ids_count = in.number<std::uint32_t>();
  if (ids_count > kIdsMax) return RecordFault::checksum;
  const auto ids = in.ids(ids_count);
  if (auto fault = check_crc(&in, {}, value)) return fault;
  if (fingerprint != expected.fingerprint) return RecordFault::wrong_fingerprint;
  if (key != expected.key || ids != expected.ids) return RecordFault::wrong_tokens;
  if (payload_bytes != expected.payload_bytes || payload_bytes != into.size()) return RecordFault::wrong_size;
  if (in.left() != payload_bytes) return in.left() < payload_bytes ? RecordFault::truncated : RecordFault::wrong_size;
  if (copy_with_checksum(value.subspan(in.position()), into) != checksum) return RecordFault::checksum;
  return std::nullopt;
}

}  // namespace kvasir::disk
