#pragma once

#include <memory>
#include <span>
#include <vector>

#include "storage/prefix_cache.h"
#include "tests/support/fake_disk_tier.h"
#include "tests/support/heap_block_memory.h"

namespace kvasir::testing {

Salt salt_named(std::uint8_t name);

// Stand-in for a block's KV: kTokenBytes for each token, a hash of the parent's key, the salt and all ids of the block
// up to that token. So wrong bytes for some ids are seen, also in the valid part of a partial block.
inline constexpr std::size_t kTokenBytes = 8;
void write_token_bytes(std::span<std::byte> block, const BlockKey& parent, const Salt& salt,
                       std::span<const TokenId> ids);
bool has_token_bytes(std::span<const std::byte> block, const BlockKey& parent, const Salt& salt,
                     std::span<const TokenId> ids);

// A prompt as a sequence of the engine holds it: leases of its full blocks, in order.
struct HeldPrompt {
  std::vector<BlockLease> blocks;
  std::array<std::uint32_t, kTierCount> tokens_by_tier{};
  std::uint32_t tokens_cached() const { return tokens_by_tier[0] + tokens_by_tier[1]; }
};

struct RigConfig {
  std::uint32_t blocks = 16;
  PrefixCacheConfig cache{.block_tokens = 4};
  bool disk = true;
  std::uint64_t seed = 1;
  FakeDiskOptions disk_options{};
};

// A prefix cache over memory on the heap and the fake disk, and what the engine does with it, on one thread.
class CacheRig {
 public:
  explicit CacheRig(RigConfig config = {});

  PrefixCache& cache() { return *cache_; }
  FakeDiskTier& disk() { return disk_; }
  std::span<std::byte> bytes(BlockId id) { return memory_.bytes(id); }
  std::uint32_t block_tokens() const { return config_.cache.block_tokens; }
  TimePoint now{};

  bool step();     // one unit of time for disk and cache; true when an acquisition became ready
  void settle();   // steps until the disk is idle and the cache knows all
  void restart();  // a clean stop (flush) and a new process
  void kill();     // kill -9 and a new process. REQUIRES: nothing of the cache is held, as for restart()

  PrefixQuery query(std::span<const TokenId> ids, std::span<const SaltRange> salts) const { return {ids, salts}; }
  std::vector<SaltRange> salted(std::uint8_t name) const { return {{0, salt_named(name)}}; }
  // Waits until it is ready and takes it, asserting that every byte of the hold is the one that belongs to its ids.
  PrefixHold take(AcquireId id, std::span<const TokenId> ids, std::span<const SaltRange> salts);
  void verify(const PrefixHold& hold, std::span<const TokenId> ids, std::span<const SaltRange> salts);
  // Computes and commits the full blocks that the hold lacks, as far as blocks can be had.
  HeldPrompt compute(PrefixHold hold, std::span<const TokenId> ids, std::span<const SaltRange> salts);
  HeldPrompt run(std::span<const TokenId> ids, std::span<const SaltRange> salts);  // acquire, take, compute
  HeldPrompt run(std::span<const TokenId> ids, std::uint8_t salt = 1) { return run(ids, salted(salt)); }
  std::array<std::uint32_t, kTierCount> match(std::span<const TokenId> ids, std::uint8_t salt = 1) {
    return cache_->match(query(ids, salted(salt)));
  }

 private:
  RigConfig config_;
  HeapBlockMemory memory_;
  FakeDiskTier disk_;
  Fingerprint fingerprint_;
  std::unique_ptr<PrefixCache> cache_;
  void start();
};

}  // namespace kvasir::testing
