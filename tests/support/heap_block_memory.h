#pragma once

#include <vector>

#include "storage/block_memory.h"

namespace kvasir::testing {

// Blocks on the heap, for tests.
class HeapBlockMemory final : public BlockMemory {
 public:
  HeapBlockMemory(std::uint32_t block_count, std::size_t block_bytes)
      : block_count_(block_count), block_bytes_(block_bytes), bytes_(block_count * block_bytes) {}
  std::uint32_t block_count() const override { return block_count_; }
  std::size_t block_bytes() const override { return block_bytes_; }
  std::span<std::byte> bytes(BlockId id) override {
    return std::span(bytes_).subspan(index_of(id) * block_bytes_, block_bytes_);
  }

 private:
  std::uint32_t block_count_;
  std::size_t block_bytes_;
  std::vector<std::byte> bytes_;
};

}  // namespace kvasir::testing
