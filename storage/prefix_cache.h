#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "storage/base/ids.h"
#include "storage/base/result.h"
#include "storage/base/time.h"
#include "storage/block_key.h"
#include "storage/block_memory.h"
#include "storage/block_pool.h"
#include "storage/policy/eviction_policy.h"

namespace kvasir {

class DiskTier;

enum class Tier : std::uint8_t { host, disk };
inline constexpr std::size_t kTierCount = 2;
std::string_view to_string(Tier tier);

enum class EvictionReason : std::uint8_t { capacity, corrupt };
inline constexpr std::size_t kEvictionReasonCount = 2;
std::string_view to_string(EvictionReason reason);

// Why a record on disk was not used. Every one is a miss, never an answer.
enum class RecordFault : std::uint8_t {
  checksum,
  truncated,
  missing,
  wrong_tokens,
  wrong_fingerprint,
  wrong_size,
  version,
  io
};
inline constexpr std::size_t kRecordFaultCount = 8;
std::string_view to_string(RecordFault fault);

enum class WritePolicy : std::uint8_t { on_commit, on_reuse };  // when a block goes to disk: at once, or at its 2nd use

struct PrefixCacheConfig {
  std::uint32_t block_tokens = 32;
  PolicyKind policy = PolicyKind::lru;
  WritePolicy write_policy = WritePolicy::on_commit;
  std::uint32_t loads_inflight_max = 64;  // blocks being read from disk at once, over all sequences
  // Blocks being copied to disk at once; at most an eighth of the pool, since they are leased. Others wait their turn
  // as long as they stay in the pool; one evicted before its turn is skipped and counted.
  std::uint32_t writes_inflight_max = 64;
};

// What a prompt is looked up by. Spans must outlive the call only.
struct PrefixQuery {
  std::span<const TokenId> ids;
  std::span<const SaltRange> salts;
};

// Handle of an acquisition that may need blocks from disk, and then of the request that it was made for.
enum class AcquireId : std::uint64_t {};

// The KV of a sequence's first tokens, held: full blocks leased, and where one more block agrees on its first tokens,
// a private copy of it. tokens == full blocks x block_tokens + partial_tokens, and never the whole prompt: the last
// prompt token is always computed, because its logits are needed.
struct PrefixHold {
  std::vector<BlockLease> blocks;    // full blocks in order, all of them committed
  std::optional<BlockFill> partial;  // continues at token blocks.size() * block_tokens + partial_tokens
  std::uint32_t partial_tokens = 0;  // valid tokens in `partial`
  std::optional<BlockKey> copied;    // of another block: where they come from
  AcquireId request{};               // the acquisition; for commit_block() and end_request()
  std::array<std::uint32_t, kTierCount> tokens_by_tier{};  // where each held token came from at acquire time
  std::uint32_t tokens() const { return tokens_by_tier[0] + tokens_by_tier[1]; }
};

// Counters since start (monotone) and gauges (now). Exported by the gateway.
struct PrefixCacheStats {
  PoolCounts host;
  std::uint64_t host_bytes = 0;                   // bytes of blocks that are not free
  std::uint64_t disk_blocks = 0, disk_bytes = 0;  // live records; bytes physically in the folder are DiskStats'
  std::array<std::array<std::uint64_t, kEvictionReasonCount>, kTierCount> evictions{};
  std::array<std::uint64_t, kRecordFaultCount> record_faults{};
  std::uint64_t blocks_committed = 0;  // full blocks made visible (duplicates excluded)
  std::uint64_t blocks_duplicate = 0;  // committed by two sequences; the second copy was dropped
  std::uint64_t disk_blocks_written = 0, disk_blocks_durable = 0, disk_writes_skipped = 0, disk_blocks_loaded = 0;
  std::uint64_t disk_bytes_written = 0, disk_bytes_read = 0;
};

// The prefix cache of one model: index over all tiers, host pool, disk tier. The one header of storage the engine sees.
//
// Owned by the engine's owner thread; nothing here blocks. Work on disk runs on the DiskTier's threads and is applied
// by tick(). match() is const: it neither touches recency nor splits nodes.
//
// Life of a sequence's prefix:
//   begin_acquire() -> [tick() until ready or late] -> take(): PrefixHold -> the sequence fills blocks from prepare()
//   -> commit_block() for each full one -> destroys its leases when it ends
// A block is visible to others from commit_block() on. A load that fails shortens the hold; it never fails the request.
class PrefixCache {
 public:
  // `disk` may be null (no disk tier) and may be shared between models; it and `memory` outlive the cache.
  PrefixCache(PrefixCacheConfig config, Fingerprint fingerprint, BlockMemory& memory, DiskTier* disk);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // Tokens an acquire would find now, by tier (what the scheduler plans with).
  std::array<std::uint32_t, kTierCount> match(const PrefixQuery& query) const;

  // Starts to acquire the longest prefix: leases host blocks now, starts reads for the disk blocks that follow them.
  // Needs a free or evictable host block for each disk block; stops short where there is none.
  AcquireId begin_acquire(const PrefixQuery& query, TimePoint now);
  bool acquire_ready(AcquireId id) const;  // all its reads have ended
  // Ends the acquisition. Where reads have not ended, the hold ends before the first of them: how a caller gives up on
  // a slow disk with what it has so far. Those reads land in the cache all the same.
  PrefixHold take(AcquireId id, TimePoint now);
  void abandon(AcquireId id);  // drops leases; reads in flight land in the cache all the same

  // A free block to fill, evicting by policy where needed; nothing when all blocks are filling or leased.
  std::optional<BlockFill> prepare(TimePoint now);

  // Makes a full block visible. `parent` is the key of the block before it (root() for the first). When the same key is
  // resident already, that copy is leased and the fill dropped. `ids` has block_tokens ids.
  // `request` is the hold's, so that the eviction policy knows whose block it is.
  BlockLease commit_block(BlockFill fill, const BlockKey& parent, const Salt& salt, std::span<const TokenId> ids,
                          BlockKey* key_out, TimePoint now, AcquireId request = {});

  // Keeps the block that a sequence ends in: `ids` are its first tokens, more than none and fewer than block_tokens.
  // Only the pool holds it, for partial matches; it has no children and never goes to disk. Dropped when it is there
  // already; returns its key when it was kept.
  std::optional<BlockKey> commit_tail(BlockFill fill, const BlockKey& parent, const Salt& salt,
                                      std::span<const TokenId> ids);

  // Tells the eviction policy how a request ended whose hold was taken; abandon() tells by itself. Without an
  // acquisition it does nothing.
  void end_request(AcquireId request, const RequestOutcome& outcome);

  // Blocks that prepare() could hand out now: free + evictable.
  std::uint32_t available_blocks() const;

  // Blocks neither available nor held by a sequence: being copied to disk, or filled by a read nobody waits for. They
  // become available by themselves when the disk is done, so who finds no block may wait for these.
  std::uint32_t transient_blocks() const;

  // Applies finished disk work, starts queued work. Returns true when an acquisition became ready.
  bool tick(TimePoint now);

  // Called from a disk thread whenever tick() has something to do; set once before use. Must be thread-safe and cheap.
  void set_wakeup(std::function<void()> wakeup);

  // Stops new writes, flushes what is queued (blocking; for drain at shutdown only).
  void flush();

  const BlockKey& root() const;
  const PrefixCacheConfig& config() const;
  PrefixCacheStats stats() const;
  void check_invariants() const;  // for tests: asserts the whole index against the pool

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvasir
