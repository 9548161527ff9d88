#include "engine/cpu/host_block_memory.h"

#include <algorithm>
#include <limits>
#include <string>

#include <sys/mman.h>

namespace kvasir {

Result<std::unique_ptr<HostBlockMemory>> HostBlockMemory::create(std::size_t pool_bytes, std::size_t block_bytes) {
  KVASIR_ASSERT(block_bytes > 0);
  const std::size_t stride = (block_bytes + 63) / 64 * 64;
  const std::size_t count = std::min<std::size_t>(pool_bytes / stride, std::numeric_limits<std::uint32_t>::max());
  if (count == 0) {
    return error(ErrorCode::invalid_argument, "a block pool of " + std::to_string(pool_bytes) +
                                                  " bytes cannot hold one block of " + std::to_string(block_bytes));
  }
  void* mapping =
      ::mmap(nullptr, count * stride, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    return error(ErrorCode::io, "cannot map " + std::to_string(count * stride) + " bytes for the block pool");
  }
  std::unique_ptr<HostBlockMemory> memory(new HostBlockMemory());
  memory->mapping_ = static_cast<std::byte*>(mapping);
  memory->mapping_bytes_ = count * stride;
  memory->block_bytes_ = block_bytes;
  memory->stride_ = stride;
  memory->block_count_ = static_cast<std::uint32_t>(count);
  return memory;
}

HostBlockMemory::~HostBlockMemory() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapping_bytes_);
}

std::span<std::byte> HostBlockMemory::bytes(BlockId id) {
  KVASIR_ASSERT(index_of(id) < block_count_);
  return {mapping_ + index_of(id) * stride_, block_bytes_};
}

}  // namespace kvasir
