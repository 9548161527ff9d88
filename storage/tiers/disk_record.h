#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "storage/base/time.h"
#include "storage/prefix_cache.h"
#include "storage/tiers/disk_tier.h"

// The bytes of stored records, as in storage/FORMAT.md. Pure functions: any bytes in, a record or a fault out.
namespace kvasir::disk {

inline constexpr std::uint16_t kFormatVersion = 1;
inline constexpr std::size_t kChecksumChunkBytes = 64u << 10;
inline constexpr std::uint32_t kIdsMax = 1u << 16;  // of one block; more is damage

// What a meta record says of a block besides its DiskRecord (whose number is the position in the log).
struct MetaRecord {
  DiskRecord record;
  std::uint64_t payload_checksum = 0;
  UnixSeconds created = 0;
};

// Keys. Positions are big-endian, so that RocksDB's order is the order of age.
std::string payload_key(std::uint64_t position);
std::string meta_key(const Fingerprint& fingerprint, std::uint64_t position);

// Checksum of a payload: checksum64 over 64 KiB chunks, each seeded with the one before, so that it can be taken while
// the chunk is copied.
std::uint64_t payload_checksum(std::span<const std::byte> payload);
std::uint64_t copy_with_checksum(std::span<const std::byte> from, std::span<std::byte> to);

std::string encode_meta(const MetaRecord& meta);
// `key` and `value` as RocksDB holds them. REQUIRES nothing of them.
std::optional<RecordFault> decode_meta(std::span<const std::byte> key, std::span<const std::byte> value,
                                       MetaRecord* out);

// What stands before the payload's bytes in a payload record.
std::string encode_payload_header(const MetaRecord& meta);

// Verifies a whole payload record against `expected` (number excepted: a record may have moved in the log) and copies
// its payload to `into`, whose bytes mean nothing after a fault.
std::optional<RecordFault> decode_payload(std::span<const std::byte> value, const DiskRecord& expected,
                                          std::span<std::byte> into);

}  // namespace kvasir::disk
