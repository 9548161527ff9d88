// The readers of stored records. The first byte says which reader, and whether its crc is made right first, so that
// what lies behind the crc is reached too.
#include <algorithm>
#include <cstring>
#include <vector>

#include "storage/base/assert.h"
#include "storage/base/hash.h"
#include "storage/tiers/disk_record.h"

namespace {

using namespace kvasir;

constexpr std::size_t kMetaKeyBytes = 40;
constexpr std::size_t kIdsCountAt = 88, kHeaderBytes = 92;  // of a payload record, before its ids

void put_crc(std::vector<std::byte>* value, std::size_t at, std::span<const std::byte> prefix) {
  if (at + 4 > value->size()) return;
  const std::uint32_t crc = crc32c(std::span(*value).first(at), crc32c(prefix));
  std::memcpy(value->data() + at, &crc, sizeof crc);
}

void try_meta(std::span<const std::byte> data, bool fix) {
  if (data.size() < kMetaKeyBytes) return;
  const auto key = data.first(kMetaKeyBytes);
  std::vector<std::byte> value(data.begin() + kMetaKeyBytes, data.end());
  if (fix && value.size() >= 4) put_crc(&value, value.size() - 4, key);
  disk::MetaRecord meta;
  if (disk::decode_meta(key, value, &meta)) return;
  const std::string again_key = disk::meta_key(meta.record.fingerprint, meta.record.number);
  KVASIR_ASSERT(std::memcmp(again_key.data(), key.data(), kMetaKeyBytes) == 0);
  disk::MetaRecord twice;
  const std::string again = disk::encode_meta(meta);
  KVASIR_ASSERT(again.size() == value.size());
  KVASIR_ASSERT(!disk::decode_meta(key, std::as_bytes(std::span(again)), &twice));
  KVASIR_ASSERT(twice.record.ids == meta.record.ids && twice.record.key == meta.record.key);
}

// Expects what the record says of itself, so that only its own consistency is left to fail.
void try_payload(std::span<const std::byte> data, bool fix) {
  std::vector<std::byte> value(data.begin(), data.end());
  DiskRecord expected;
  if (value.size() >= kHeaderBytes) {
    std::uint32_t ids = 0;
    std::memcpy(&expected.payload_bytes, value.data() + 8, 8);
    std::memcpy(expected.fingerprint.bytes.data(), value.data() + 24, 32);
    std::memcpy(expected.key.bytes.data(), value.data() + 56, 32);
    std::memcpy(&ids, value.data() + kIdsCountAt, sizeof ids);
    ids = std::min<std::uint32_t>(ids, static_cast<std::uint32_t>((value.size() - kHeaderBytes) / 4));
    expected.ids.resize(ids);
    if (ids) std::memcpy(expected.ids.data(), value.data() + kHeaderBytes, ids * 4);
    const std::size_t header = kHeaderBytes + ids * 4;
    if (fix && header + 4 <= value.size()) {
      const std::uint64_t sum = disk::payload_checksum(std::span(value).subspan(header + 4));
      std::memcpy(value.data() + 16, &sum, sizeof sum);
      put_crc(&value, header, {});
    }
  }
  std::vector<std::byte> into(std::min<std::uint64_t>(expected.payload_bytes, 1u << 20));
  if (disk::decode_payload(value, expected, into)) return;
  KVASIR_ASSERT(std::equal(into.rbegin(), into.rend(), value.rbegin()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto rest = std::as_bytes(std::span(data, size)).subspan(1);
  const bool fix = data[0] & 2;
  if (data[0] & 1)
    try_meta(rest, fix);
  else
    try_payload(rest, fix);
  return 0;
}
