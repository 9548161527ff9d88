// What the prefix cache does with its disk tier: the index at start, and the completions of reads and writes.
#include <algorithm>
#include <utility>

#include "storage/prefix_cache_impl.h"

namespace kvasir {

// Records are kept when their chain of parents is complete up to the root; others can never be matched.
void PrefixCache::Impl::restore_index(std::vector<DiskRecord> records) {
  std::unordered_multimap<BlockKey, const DiskRecord*, BlockKeyHash> waiting;  // by parent
  waiting.reserve(records.size());
  for (const DiskRecord& record : records) {
    if (is_genuine(record)) waiting.emplace(record.parent, &record);
  }
  std::vector<PrefixNode*> frontier{&index_.root()};
  while (!frontier.empty()) {
    PrefixNode& parent = *frontier.back();
    frontier.pop_back();
    const auto [begin, end] = waiting.equal_range(parent.key);
    for (auto at = begin; at != end; ++at) {
      PrefixNode& node = index_.child_or_insert(parent, {at->second->salt, at->second->ids}, at->second->key);
      const bool known = node.record.has_value();
      restore_record(node, *at->second);
      if (!known) frontier.push_back(&node);
    }
    waiting.erase(begin, end);
  }
  for (const auto& [parent, record] : waiting) {
    disk_->tier.forget(fingerprint_, record->key, record->number);
    count_eviction(Tier::disk, EvictionReason::capacity);  // its parent was reclaimed
  }
}

bool PrefixCache::Impl::is_genuine(const DiskRecord& record) {
  std::optional<RecordFault> fault;
  if (record.fingerprint != fingerprint_) {
    fault = RecordFault::wrong_fingerprint;
  } else if (record.payload_bytes != memory_.block_bytes()) {
    fault = RecordFault::wrong_size;
  } else if (record.ids.size() != config_.block_tokens ||
             record.key != block_key(record.parent, record.salt, record.ids)) {
    fault = RecordFault::wrong_tokens;
  }
  if (!fault) return true;
  ++counters_.record_faults[static_cast<std::size_t>(*fault)];
  count_eviction(Tier::disk, EvictionReason::corrupt);
  disk_->tier.forget(fingerprint_, record.key, record.number);
  return false;
}

// Of two records of one block the newer stays.
void PrefixCache::Impl::restore_record(PrefixNode& node, const DiskRecord& record) {
  const std::uint64_t known = node.record.value_or(0);
  if (node.record) disk_->tier.forget(fingerprint_, node.key, std::min(known, record.number));
  index_.set_record(node, std::max(known, record.number));
}

bool PrefixCache::Impl::tick(TimePoint now) {
  if (disk_) {
    for (const DiskCompletion& completion : disk_->tier.drain(fingerprint_)) apply(completion, now);
    pump_disk();
  }
  return std::exchange(became_ready_, false);
}

void PrefixCache::Impl::apply(const DiskCompletion& completion, TimePoint now) {
  switch (completion.kind) {
    case DiskCompletion::Kind::read:
      return finish_load(disk_->loads.take_finished(completion.tag), completion.fault);
    case DiskCompletion::Kind::written:
      return disk_->writes.on_written(completion.tag, completion.number);
    case DiskCompletion::Kind::durable:
      return disk_->writes.on_durable();
    case DiskCompletion::Kind::refused:
      return disk_->writes.on_refused(completion.tag, now);
    case DiskCompletion::Kind::reclaimed:
      return on_reclaimed(completion.key, completion.number);
  }
}

void PrefixCache::Impl::set_wakeup(std::function<void()> wakeup) {
  wakeup_ = std::move(wakeup);
  published_wakeup_.store(&wakeup_, std::memory_order_release);
}

void PrefixCache::Impl::finish_load(DiskLoad load, std::optional<RecordFault> fault) {
  PrefixNode& node = *load.node;
  if (fault) {
    ++counters_.record_faults[static_cast<std::size_t>(*fault)];
    if (node.record == load.number && *fault != RecordFault::io) drop_corrupt(node);
    fail_load(load);
    return;
  }
  ++counters_.disk_blocks_loaded;
  if (!node.host) {  // else a sequence committed it meanwhile, which served those that waited
    const BlockLease held = std::move(load.fill).commit();
    index_.set_host(node, held.id());
    for (const AcquireId waiter : load.waiters) give_lease(waiter, node);
  }
  node.load.reset();
}

// Those that wait for the block hold what is before it.
void PrefixCache::Impl::fail_load(const DiskLoad& load) {
  for (const AcquireId waiter : load.waiters) {
    Acquisition& acquisition = acquisitions_.at(waiter);
    truncate(waiter, acquisition, load.node->depth);
    acquisition.entries.pop_back();
    if (--acquisition.awaited == 0) became_ready_ = true;
  }
  load.node->load.reset();
  index_.remove_if_unused(load.node);
}

void PrefixCache::Impl::drop_corrupt(PrefixNode& node) {
  disk_->tier.forget(fingerprint_, node.key, *node.record);
  index_.clear_record(node);
  count_eviction(Tier::disk, EvictionReason::corrupt);
}

void PrefixCache::Impl::on_reclaimed(const BlockKey& key, std::uint64_t number) {
  PrefixNode* const node = index_.find(key);
  if (node == nullptr || node->record != number) return;
  index_.clear_record(*node);
  index_.remove_if_unused(node);
  count_eviction(Tier::disk, EvictionReason::capacity);
}

void PrefixCache::Impl::flush() {
  if (!disk_) return;
  disk_->writes.stop();
  disk_->writes.hand_over_all();
  disk_->tier.flush();
  tick(TimePoint::min());
}

void PrefixCache::Impl::count_eviction(Tier tier, EvictionReason reason, std::uint64_t blocks) {
  counters_.evictions[static_cast<std::size_t>(tier)][static_cast<std::size_t>(reason)] += blocks;
}

void PrefixCache::Impl::pump_disk() {
  if (!disk_) return;
  while (const std::optional<DiskLoad> gone = disk_->loads.pump()) fail_load(*gone);
  disk_->writes.pump();
}

}  // namespace kvasir
