#pragma once

#include <cstddef>
#include <span>

#include "storage/base/ids.h"

namespace kvasir {

// Where the bytes of a pool's blocks are. On the CPU the engine's pool is the host tier, so this is plain memory; a
// device tier will implement it by staging through an injected copier. bytes() is callable from any thread; who may
// touch which block when follows from BlockPool's states.
class BlockMemory {
 public:
  virtual ~BlockMemory() = default;
  virtual std::uint32_t block_count() const = 0;
  virtual std::size_t block_bytes() const = 0;
  virtual std::span<std::byte> bytes(BlockId id) = 0;
};

}  // namespace kvasir
