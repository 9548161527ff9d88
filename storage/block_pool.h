#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "storage/base/assert.h"
#include "storage/base/ids.h"

namespace kvasir {

class BlockPool;

// While alive, the block is leased: it cannot be evicted. Copying means another lease on the same block.
class BlockLease {
 public:
  BlockLease(BlockLease&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), id_(other.id_) {}
  BlockLease& operator=(BlockLease&& other) noexcept;
  BlockLease(const BlockLease&) = delete;
  BlockLease& operator=(const BlockLease&) = delete;
  ~BlockLease();
  BlockId id() const { return id_; }
  BlockLease share() const;  // one more lease on the block

 private:
  friend class BlockPool;
  friend class BlockFill;
  BlockLease(BlockPool& pool, BlockId id) : pool_(&pool), id_(id) {}
  BlockPool* pool_;
  BlockId id_;
};

// A block being written, private to its holder. Destroyed without commit, the slot goes back to free.
class BlockFill {
 public:
  BlockFill(BlockFill&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), id_(other.id_) {}
  BlockFill& operator=(BlockFill&& other) noexcept;
  BlockFill(const BlockFill&) = delete;
  BlockFill& operator=(const BlockFill&) = delete;
  ~BlockFill();
  BlockId id() const { return id_; }
  [[nodiscard]] BlockLease commit() &&;  // filling -> leased; the bytes are final from here on

 private:
  friend class BlockPool;
  BlockFill(BlockPool& pool, BlockId id) : pool_(&pool), id_(id) {}
  BlockPool* pool_;
  BlockId id_;
};

struct PoolCounts {
  std::uint32_t free = 0, filling = 0, leased = 0, cached = 0, total = 0;
  void check_invariants() const { KVASIR_ASSERT(free + filling + leased + cached == total); }
};

// States of the slots of one tier; the bytes are in a BlockMemory. Owned by the engine's owner thread; no locks.
//
// Life of a slot:  free -> prepare() -> filling -> commit() -> leased <-> cached -> release() -> free
//                                          '-- dropped --> free
// A filling or leased slot is never released. Leases must not outlive the pool. Leases end anywhere, so who orders
// blocks for eviction asks take_unleased() which ones became cached since it last asked.
class BlockPool {
 public:
  explicit BlockPool(std::uint32_t block_count);
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();  // asserts that no fill or lease is alive

  std::optional<BlockFill> prepare();  // nothing when no slot is free
  BlockLease lease(BlockId id);        // REQUIRES: leased or cached
  void release(BlockId id);            // cached -> free. REQUIRES: cached
  bool is_cached(BlockId id) const { return slots_[index_of(id)].state == State::cached; }
  bool is_leased(BlockId id) const { return slots_[index_of(id)].state == State::leased; }
  std::uint32_t lease_count(BlockId id) const { return slots_[index_of(id)].leases; }
  // Replaces `out` by the blocks whose last lease ended since the last call, each once, in that order. Some may have
  // been leased or released again meanwhile.
  void take_unleased(std::vector<BlockId>& out);
  const PoolCounts& counts() const { return counts_; }

 private:
  friend class BlockLease;
  friend class BlockFill;
  enum class State : std::uint8_t { free, filling, leased, cached };
  struct Slot {
    State state = State::free;
    bool in_unleased = false;
    std::uint32_t leases = 0;
  };
  void abandon(BlockId id);
  void publish(BlockId id);
  void share(BlockId id);
  void unlease(BlockId id);

  std::vector<Slot> slots_;
  std::vector<BlockId> free_;      // a stack: the slot freed last is warm in the processor's caches
  std::vector<BlockId> unleased_;  // at most one entry per slot (Slot::in_unleased)
  PoolCounts counts_;
};

}  // namespace kvasir
