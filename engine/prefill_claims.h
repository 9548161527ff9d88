#pragma once

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
  // Whether some sequence computes a block of this chain now.
  bool any_of(std::span<const BlockKey> keys) const;
  bool empty() const { return owners_.empty(); }

 private:
  std::unordered_map<BlockKey, SequenceId, BlockKeyHash> owners_;
};

}  // namespace kvasir
