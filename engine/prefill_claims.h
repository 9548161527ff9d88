#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>

#include "storage/base/ids.h"

namespace kvasir {

// Which running sequence is about to compute which prompt block, so that another with the same prefix waits for that
// block instead of computing it too. A claim ends when the block is committed, or when its sequence ends or is
// preempted: then whoever waited goes on. Owned by the scheduler, on the owner thread.
class PrefillClaims {
 public:
  // Claims those of `keys` that nobody has.
  void claim(SequenceId sequence, std::span<const BlockKey> keys);
  // Ends this sequence's claims on `keys`.
  void release(SequenceId sequence, std::span<const BlockKey> keys);
  // Who computes this block now, if anyone.
  std::optional<SequenceId> owner(const BlockKey& key) const;
  // Index of the last block of this chain that somebody computes now; blocks are committed in order, so its owner is
  // through with the chain when that one is done.
  std::optional<std::size_t> last_of(std::span<const BlockKey> keys) const;
  bool empty() const { return owners_.empty(); }
  // Grows with every new claim: what was unclaimed at this version is so still at the same one.
  std::uint64_t version() const { return version_; }

 private:
  std::uint64_t version_ = 1;
  std::unordered_map<BlockKey, SequenceId, BlockKeyHash> owners_;
};

}  // namespace kvasir
