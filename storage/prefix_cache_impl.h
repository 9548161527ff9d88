#pragma once

#include <atomic>
#include <optional>
#include <unordered_map>
#include <vector>

#include "storage/disk_loads.h"
#include "storage/disk_writes.h"
#include "storage/prefix_cache.h"
#include "storage/prefix_index.h"
#include "storage/tiers/disk_tier.h"

namespace kvasir {

// The blocks an acquisition matched, in order. Each is leased, or its read is awaited.
struct Acquisition {
  struct Entry {
    PrefixNode* node;
    Tier tier;  // where it was when the acquisition began
    std::optional<BlockLease> lease;
  };
  std::vector<Entry> entries;
  std::uint32_t awaited = 0;  // entries without a lease

  // The query from block `tail_first_block` on, up to what a partial match may need: the spans of the caller are gone.
  std::uint32_t tail_first_block = 0;
  std::vector<TokenId> tail;
  std::vector<SaltRange> salts;
  std::uint32_t prompt_tokens = 0;
};

// Disk parts of a cache that has a disk tier.
struct DiskSide {
  DiskTier& tier;
  DiskLoads loads;
  DiskWrites writes;
};

inline PolicyRequest request_of(AcquireId id) { return PolicyRequest{static_cast<std::uint64_t>(id)}; }

class PrefixCache::Impl {
 public:
  Impl(PrefixCacheConfig config, Fingerprint fingerprint, BlockMemory& memory, DiskTier* disk);
  ~Impl();

  std::array<std::uint32_t, kTierCount> match(const PrefixQuery& query);
  AcquireId begin_acquire(const PrefixQuery& query, TimePoint now);
  bool acquire_ready(AcquireId id) const;
  PrefixHold take(AcquireId id, TimePoint now);
  void abandon(AcquireId id);
  std::optional<BlockFill> prepare();
  BlockLease commit_block(BlockFill fill, const BlockKey& parent, const BlockContent& content, BlockKey* key_out,
                          const BlockUse& use);
  std::optional<BlockKey> commit_tail(BlockFill fill, const BlockKey& parent_key, const BlockContent& content);
  void end_request(AcquireId request, const RequestOutcome& outcome);
  std::uint32_t available_blocks() const;
  std::uint32_t transient_blocks() const;
  bool tick(TimePoint now);
  void set_wakeup(std::function<void()> wakeup);
  void flush();
  const BlockKey& root() { return index_.root().key; }
  const PrefixCacheConfig& config() const { return config_; }
  PrefixCacheStats stats() const;
  void check_invariants();

 private:
  // prefix_acquire.cpp
  template <class Visitor>
  PrefixNode& walk(const PrefixQuery& query, Visitor visit);
  BlockContent partial_content(const Acquisition& acquisition) const;
  void lease_host_entries(Acquisition& acquisition);
  void await_disk_entries(AcquireId id, Acquisition& acquisition);
  void touch_path(Acquisition& acquisition, const BlockUse& use);
  void keep_tail(Acquisition& acquisition, const PrefixQuery& query) const;
  void truncate(AcquireId id, Acquisition& acquisition, std::size_t entries_kept);
  void give_lease(AcquireId id, const PrefixNode& node);
  void take_partial(Acquisition& acquisition, PrefixHold& hold, const BlockUse& use);
  void copy_partial(const BlockLease& source, std::uint32_t tokens, Tier tier, PrefixHold& hold);

  // prefix_cache.cpp
  BlockLease lease(PrefixNode& node);
  bool evict_one();
  void evict(PrefixNode& node);
  void note_unleased();
  void check_node(const PrefixNode& node) const;

  // prefix_disk.cpp
  void restore_index(std::vector<DiskRecord> records);
  bool is_genuine(const DiskRecord& record);
  void restore_record(PrefixNode& node, const DiskRecord& record);
  void apply(const DiskCompletion& completion, TimePoint now);
  void finish_load(DiskLoad load, std::optional<RecordFault> fault);
  void fail_load(const DiskLoad& load);
  void drop_corrupt(PrefixNode& node);
  void on_reclaimed(const BlockKey& key, std::uint64_t number);
  void pump_disk();
  void count_eviction(Tier tier, EvictionReason reason, std::uint64_t blocks = 1);

  const PrefixCacheConfig config_;
  const Fingerprint fingerprint_;
  BlockMemory& memory_;
  BlockPool pool_;
  PrefixIndex index_;
  std::optional<DiskSide> disk_;
  std::unordered_map<AcquireId, Acquisition> acquisitions_;
  std::uint64_t next_acquire_ = 1;
  bool became_ready_ = false;      // some acquisition, since the last tick
  PrefixCacheStats counters_;      // its gauges are filled by stats()
  std::vector<BlockId> unleased_;  // scratch of note_unleased()
  std::function<void()> wakeup_;
  std::atomic<const std::function<void()>*> published_wakeup_{nullptr};  // disk threads read it at any time
};

}  // namespace kvasir
