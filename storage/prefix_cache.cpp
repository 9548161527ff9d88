#include "storage/prefix_cache.h"

#include <algorithm>

#include "storage/prefix_cache_impl.h"

namespace kvasir {
namespace {

// Copies to disk lease their blocks; a small pool must not lose most of its blocks to a slow disk.
constexpr std::uint32_t kPoolShareOfWrites = 8;

}  // namespace

PrefixCache::Impl::Impl(PrefixCacheConfig config, Fingerprint fingerprint, BlockMemory& memory, DiskTier* disk)
    : config_(config),
      fingerprint_(fingerprint),
      memory_(memory),
      pool_(memory.block_count()),
      index_(root_key(fingerprint, config.block_tokens), memory.block_count(),
             make_policy(config.policy, memory.block_count(), true)) {
  KVASIR_ASSERT(config.block_tokens > 0 && config.loads_inflight_max > 0 && config.writes_inflight_max > 0);
  if (disk == nullptr) return;
  const std::uint32_t writes_max =
      std::min(config_.writes_inflight_max, std::max(1u, memory_.block_count() / kPoolShareOfWrites));
  disk_.emplace(DiskSide{*disk, DiskLoads(*disk, fingerprint_, memory_, config_.loads_inflight_max),
                         DiskWrites(*disk, fingerprint_, memory_, pool_, index_, writes_max)});
  restore_index(disk->attach(fingerprint_, [this] {
    if (const auto* wakeup = published_wakeup_.load(std::memory_order_acquire)) (*wakeup)();
  }));
}

PrefixCache::Impl::~Impl() {
  if (disk_) disk_->tier.detach(fingerprint_);  // from here on no disk thread touches a block
}

std::optional<BlockFill> PrefixCache::Impl::prepare() {
  if (pool_.counts().free == 0 && !evict_one()) return std::nullopt;
  return pool_.prepare();
}

BlockLease PrefixCache::Impl::lease(PrefixNode& node) {
  index_.set_leased(node);
  return pool_.lease(*node.host);
}

BlockLease PrefixCache::Impl::commit_block(BlockFill fill, const BlockKey& parent_key, const BlockContent& content,
                                           BlockKey* key_out, const BlockUse& use) {
  KVASIR_ASSERT(content.ids.size() == config_.block_tokens);
  PrefixNode* const parent = index_.find(parent_key);
  KVASIR_ASSERT(parent != nullptr && (parent->parent == nullptr || parent->host));  // the caller leases it
  PrefixNode& node = index_.child_or_insert(*parent, content);
  if (key_out != nullptr) *key_out = node.key;
  const bool duplicate = node.host.has_value();
  BlockLease held = duplicate ? lease(node) : std::move(fill).commit();
  index_.touch(node, use);
  if (!duplicate) index_.set_host(node, held.id());
  ++(duplicate ? counters_.blocks_duplicate : counters_.blocks_committed);
  if (!disk_) return held;
  if (node.load)  // those that wait for the same block from disk need not wait any more
    for (const AcquireId waiter : disk_->loads.take_waiters(node)) give_lease(waiter, node);
  if (duplicate || config_.write_policy == WritePolicy::on_commit) disk_->writes.request(node, use.now);
  disk_->writes.pump();
  return held;
}

std::optional<BlockKey> PrefixCache::Impl::commit_tail(BlockFill fill, const BlockKey& parent_key,
                                                       const BlockContent& content) {
  KVASIR_ASSERT(!content.ids.empty() && content.ids.size() < config_.block_tokens);
  PrefixNode* const parent = index_.find(parent_key);
  KVASIR_ASSERT(parent != nullptr && (parent->parent == nullptr || parent->host));
  if (index_.longest_partial(*parent, content).tokens == content.ids.size())
    return std::nullopt;  // another block says it all
  PrefixNode& node = index_.child_or_insert(*parent, content);
  const BlockLease held = std::move(fill).commit();
  index_.touch(node, {});
  index_.set_host(node, held.id());
  return node.key;
}

bool PrefixCache::Impl::evict_one() {
  note_unleased();
  PrefixNode* victim = index_.victim();
  for (; victim == nullptr; victim = index_.victim()) {
    if (pool_.counts().cached == 0 || !disk_) return false;
    const std::uint32_t detached = disk_->writes.detach_leaves();
    count_eviction(Tier::host, EvictionReason::capacity, detached);
    if (detached == 0) return false;
  }
  evict(*victim);
  return true;
}

void PrefixCache::Impl::evict(PrefixNode& node) {
  const BlockId block = *node.host;
  if (disk_) disk_->writes.skip_pending(node);
  index_.clear_host(node);
  pool_.release(block);
  count_eviction(Tier::host, EvictionReason::capacity);
  index_.remove_if_unused(&node);
}

// Leases end in destructors that know no index; what they made evictable is learned here.
void PrefixCache::Impl::note_unleased() {
  pool_.take_unleased(unleased_);
  for (const BlockId id : unleased_) {
    PrefixNode* const node = index_.owner(id);
    if (node != nullptr && pool_.is_cached(id)) index_.set_cached(*node);
  }
}

void PrefixCache::Impl::end_request(AcquireId request, const RequestOutcome& outcome) {
  index_.policy().request_ends(request_of(request), outcome, TimePoint::min());
}

// Every cached block can be had: its resident descendants are cached too, or leased by copies that can be detached.
std::uint32_t PrefixCache::Impl::available_blocks() const { return pool_.counts().free + pool_.counts().cached; }

std::uint32_t PrefixCache::Impl::transient_blocks() const {
  return disk_ ? disk_->loads.blocks_held() + disk_->writes.blocks_held() : 0;
}

PrefixCacheStats PrefixCache::Impl::stats() const {
  PrefixCacheStats stats = counters_;
  stats.host = pool_.counts();
  stats.host_bytes = std::uint64_t{stats.host.total - stats.host.free} * memory_.block_bytes();
  stats.disk_blocks = index_.records();
  stats.disk_bytes = index_.records() * memory_.block_bytes();
  stats.disk_bytes_read = stats.disk_blocks_loaded * memory_.block_bytes();
  if (!disk_) return stats;
  const DiskWrites::Counters& writes = disk_->writes.counters();
  stats.disk_blocks_written = writes.written;
  stats.disk_blocks_durable = writes.durable;
  stats.disk_writes_skipped = writes.skipped;
  stats.disk_bytes_written = writes.written * memory_.block_bytes();
  return stats;
}

void PrefixCache::Impl::check_invariants() {
  note_unleased();
  pool_.counts().check_invariants();
  std::uint32_t resident = 0, loading = 0;
  index_.check_invariants([&](const PrefixNode& node) {
    check_node(node);
    resident += node.host.has_value();
    loading += node.load.has_value();
  });
  // What is leased or cached but not resident is a detached block whose copy has not ended.
  const PoolCounts& counts = pool_.counts();
  KVASIR_ASSERT(resident <= counts.leased + counts.cached);
  KVASIR_ASSERT(resident + transient_blocks() >= counts.leased + counts.cached);
  for (const auto& [id, acquisition] : acquisitions_) {
    std::uint32_t awaited = 0;
    for (const Acquisition::Entry& entry : acquisition.entries) {
      KVASIR_ASSERT(entry.lease ? entry.node->host == entry.lease->id() : entry.node->load.has_value());
      awaited += !entry.lease;
    }
    KVASIR_ASSERT(awaited == acquisition.awaited);
  }
  if (!disk_) return;
  KVASIR_ASSERT(loading == disk_->loads.size() && loading <= counts.filling);
  disk_->loads.check_invariants();
  disk_->writes.check_invariants();
}

void PrefixCache::Impl::check_node(const PrefixNode& node) const {
  if (!node.host) return;
  KVASIR_ASSERT(node.cached ? pool_.is_cached(*node.host) : pool_.is_leased(*node.host));
  const std::uint32_t by_copies = disk_ && disk_->writes.holds(node) ? 1 : 0;
  const bool by_sequences = pool_.lease_count(*node.host) > by_copies;
  // A sequence leases whole chains, which is what makes available_blocks() exact.
  if (by_sequences && node.parent->host) KVASIR_ASSERT(pool_.is_leased(*node.parent->host));
}

PrefixCache::PrefixCache(PrefixCacheConfig config, Fingerprint fingerprint, BlockMemory& memory, DiskTier* disk)
    : impl_(std::make_unique<Impl>(config, fingerprint, memory, disk)) {}
PrefixCache::~PrefixCache() = default;
std::array<std::uint32_t, kTierCount> PrefixCache::match(const PrefixQuery& query) const { return impl_->match(query); }
AcquireId PrefixCache::begin_acquire(const PrefixQuery& query, TimePoint now) {
  return impl_->begin_acquire(query, now);
}
bool PrefixCache::acquire_ready(AcquireId id) const { return impl_->acquire_ready(id); }
PrefixHold PrefixCache::take(AcquireId id, TimePoint now) { return impl_->take(id, now); }
void PrefixCache::abandon(AcquireId id) { impl_->abandon(id); }
std::optional<BlockFill> PrefixCache::prepare(TimePoint) { return impl_->prepare(); }
BlockLease PrefixCache::commit_block(BlockFill fill, const BlockKey& parent, const Salt& salt,
                                     std::span<const TokenId> ids, BlockKey* key_out, TimePoint now,
                                     AcquireId request) {
  return impl_->commit_block(std::move(fill), parent, {salt, ids}, key_out, {request_of(request), now});
}
std::optional<BlockKey> PrefixCache::commit_tail(BlockFill fill, const BlockKey& parent, const Salt& salt,
                                                 std::span<const TokenId> ids) {
  return impl_->commit_tail(std::move(fill), parent, {salt, ids});
}
void PrefixCache::end_request(AcquireId request, const RequestOutcome& outcome) {
  impl_->end_request(request, outcome);
}
std::uint32_t PrefixCache::available_blocks() const { return impl_->available_blocks(); }
std::uint32_t PrefixCache::transient_blocks() const { return impl_->transient_blocks(); }
bool PrefixCache::tick(TimePoint now) { return impl_->tick(now); }
void PrefixCache::set_wakeup(std::function<void()> wakeup) { impl_->set_wakeup(std::move(wakeup)); }
void PrefixCache::flush() { impl_->flush(); }
const BlockKey& PrefixCache::root() const { return impl_->root(); }
const PrefixCacheConfig& PrefixCache::config() const { return impl_->config(); }
PrefixCacheStats PrefixCache::stats() const { return impl_->stats(); }
void PrefixCache::check_invariants() const { impl_->check_invariants(); }

}  // namespace kvasir
