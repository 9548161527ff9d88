#pragma once

#include <cstddef>
#include <memory>

#include "storage/base/result.h"
#include "storage/block_memory.h"

namespace kvasir {

// A pool's blocks in one anonymous mapping of host memory: zeroed, and resident only where it was written, so a large
// cap costs nothing until it is used. Any thread may call it.
class HostBlockMemory final : public BlockMemory {
 public:
  // floor(pool_bytes / block_bytes) blocks, at most 2^32 - 1. Blocks lie every block_bytes rounded up to 64, so each
  // starts on a cache line. Errors: invalid_argument (not even one block), io (no address space).
  static Result<std::unique_ptr<HostBlockMemory>> create(std::size_t pool_bytes, std::size_t block_bytes);
  ~HostBlockMemory() override;
  HostBlockMemory(const HostBlockMemory&) = delete;
  HostBlockMemory& operator=(const HostBlockMemory&) = delete;

  std::uint32_t block_count() const override { return block_count_; }
  std::size_t block_bytes() const override { return block_bytes_; }
  std::span<std::byte> bytes(BlockId id) override;

 private:
  HostBlockMemory() = default;
  std::byte* mapping_ = nullptr;
  std::size_t mapping_bytes_ = 0, block_bytes_ = 0, stride_ = 0;
  std::uint32_t block_count_ = 0;
};

}  // namespace kvasir
