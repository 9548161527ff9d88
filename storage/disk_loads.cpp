#include "storage/disk_loads.h"

#include <algorithm>
#include <utility>

#include "storage/disk_writes.h"

namespace kvasir {

DiskLoads::DiskLoads(DiskTier& disk, const Fingerprint& fingerprint, BlockMemory& memory, std::uint32_t in_flight_max)
    : disk_(disk), fingerprint_(fingerprint), memory_(memory), in_flight_max_(in_flight_max) {}

void DiskLoads::start(PrefixNode& node, BlockFill fill, AcquireId waiter) {
  KVASIR_ASSERT(node.record && !node.load);
  node.load = next_tag_++;
  queued_.emplace(*node.load, DiskLoad{&node, std::move(fill), *node.record, {waiter}});
}

void DiskLoads::join(PrefixNode& node, AcquireId waiter) { find(node).waiters.push_back(waiter); }

void DiskLoads::leave(PrefixNode& node, AcquireId waiter) {
  DiskLoad& load = find(node);
  KVASIR_ASSERT(std::erase(load.waiters, waiter) == 1);
  if (load.waiters.empty() && queued_.erase(*node.load) == 1) node.load.reset();
}

std::vector<AcquireId> DiskLoads::take_waiters(PrefixNode& node) {
  std::vector<AcquireId> waiters = std::exchange(find(node).waiters, {});
  if (queued_.erase(*node.load) == 1) node.load.reset();
  return waiters;
}

std::optional<DiskLoad> DiskLoads::pump() {
  while (!queued_.empty() && in_flight_.size() < in_flight_max_) {
    const auto first = queued_.begin();
    const std::uint64_t tag = first->first;
    DiskLoad load = std::move(first->second);
    queued_.erase(first);
    if (load.node->record != load.number) return load;
    const std::span<std::byte> into = memory_.bytes(load.fill.id());
    const PrefixNode& node = *load.node;
    in_flight_.emplace(tag, std::move(load));
    disk_.read(record_of(node, fingerprint_, into.size()), into, tag);
  }
  return std::nullopt;
}

DiskLoad DiskLoads::take_finished(std::uint64_t tag) {
  auto handle = in_flight_.extract(tag);
  KVASIR_ASSERT(!handle.empty());
  return std::move(handle.mapped());
}

std::uint32_t DiskLoads::blocks_held() const {
  return static_cast<std::uint32_t>(std::count_if(in_flight_.begin(), in_flight_.end(),
                                                  [](const auto& entry) { return entry.second.waiters.empty(); }));
}

DiskLoad& DiskLoads::find(const PrefixNode& node) {
  const std::uint64_t tag = node.load.value();
  if (const auto queued = queued_.find(tag); queued != queued_.end()) return queued->second;
  return in_flight_.at(tag);
}

void DiskLoads::check_invariants() const {
  KVASIR_ASSERT(in_flight_.size() <= in_flight_max_);
  for (const auto& [tag, load] : queued_) KVASIR_ASSERT(load.node->load == tag && !load.waiters.empty());
  for (const auto& [tag, load] : in_flight_) KVASIR_ASSERT(load.node->load == tag);
}

}  // namespace kvasir
