#include "storage/block_pool.h"

namespace kvasir {

BlockLease& BlockLease::operator=(BlockLease&& other) noexcept {
  const BlockLease ended(std::move(*this));
  pool_ = std::exchange(other.pool_, nullptr);
  id_ = other.id_;
  return *this;
}

BlockLease::~BlockLease() {
  if (pool_ != nullptr) pool_->unlease(id_);
}

BlockLease BlockLease::share() const {
  KVASIR_ASSERT(pool_ != nullptr);
  pool_->share(id_);
  return {*pool_, id_};
}

BlockFill& BlockFill::operator=(BlockFill&& other) noexcept {
  const BlockFill ended(std::move(*this));
  pool_ = std::exchange(other.pool_, nullptr);
  id_ = other.id_;
  return *this;
}

BlockFill::~BlockFill() {
  if (pool_ != nullptr) pool_->abandon(id_);
}

BlockLease BlockFill::commit() && {
  KVASIR_ASSERT(pool_ != nullptr);
  BlockPool& pool = *std::exchange(pool_, nullptr);
  pool.publish(id_);
  return {pool, id_};
}

BlockPool::BlockPool(std::uint32_t block_count) : slots_(block_count) {
  free_.reserve(block_count);
  unleased_.reserve(block_count);
  for (std::uint32_t i = block_count; i > 0; --i) free_.push_back(BlockId{i - 1});
  counts_.free = counts_.total = block_count;
}

BlockPool::~BlockPool() { KVASIR_ASSERT(counts_.filling == 0 && counts_.leased == 0); }

std::optional<BlockFill> BlockPool::prepare() {
  if (free_.empty()) return std::nullopt;
  const BlockId id = free_.back();
  free_.pop_back();
  slots_[index_of(id)].state = State::filling;
  --counts_.free;
  ++counts_.filling;
  return BlockFill(*this, id);
}

BlockLease BlockPool::lease(BlockId id) {
  Slot& slot = slots_[index_of(id)];
  if (slot.state == State::cached) {
    slot.state = State::leased;
    --counts_.cached;
    ++counts_.leased;
  }
  share(id);
  return {*this, id};
}

void BlockPool::release(BlockId id) {
  Slot& slot = slots_[index_of(id)];
  KVASIR_ASSERT(slot.state == State::cached);
  slot.state = State::free;
  --counts_.cached;
  ++counts_.free;
  free_.push_back(id);
}

void BlockPool::take_unleased(std::vector<BlockId>& out) {
  out = unleased_;  // a copy, so that unleased_ keeps its capacity: unlease() runs in destructors and must not allocate
  unleased_.clear();
  for (const BlockId id : out) slots_[index_of(id)].in_unleased = false;
}

void BlockPool::abandon(BlockId id) {
  Slot& slot = slots_[index_of(id)];
  KVASIR_ASSERT(slot.state == State::filling);
  slot.state = State::free;
  --counts_.filling;
  ++counts_.free;
  free_.push_back(id);
}

void BlockPool::publish(BlockId id) {
  Slot& slot = slots_[index_of(id)];
  KVASIR_ASSERT(slot.state == State::filling);
  slot.state = State::leased;
  slot.leases = 1;
  --counts_.filling;
  ++counts_.leased;
}

void BlockPool::share(BlockId id) {
  Slot& slot = slots_[index_of(id)];
  KVASIR_ASSERT(slot.state == State::leased);
  ++slot.leases;
}

void BlockPool::unlease(BlockId id) {
  Slot& slot = slots_[index_of(id)];
  KVASIR_ASSERT(slot.state == State::leased && slot.leases > 0);
  if (--slot.leases > 0) return;
  slot.state = State::cached;
  --counts_.leased;
  ++counts_.cached;
  if (std::exchange(slot.in_unleased, true)) return;
  unleased_.push_back(id);
}

}  // namespace kvasir
