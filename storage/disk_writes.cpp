#include "storage/disk_writes.h"

namespace kvasir {
namespace {

constexpr std::chrono::seconds kPauseAfterRefusal{1};  // a full or failing disk is asked again this much later

}  // namespace

DiskRecord record_of(const PrefixNode& node, const Fingerprint& fingerprint, std::size_t payload_bytes) {
  return {node.record.value_or(0), fingerprint, node.key, node.parent->key, node.salt, node.ids, payload_bytes};
}

DiskWrites::DiskWrites(DiskTier& disk, const Fingerprint& fingerprint, BlockMemory& memory, BlockPool& pool,
                       PrefixIndex& index, std::uint32_t in_flight_max)
    : disk_(disk),
      fingerprint_(fingerprint),
      memory_(memory),
      pool_(pool),
      index_(index),
      in_flight_max_(in_flight_max) {}

void DiskWrites::request(PrefixNode& node, TimePoint now) {
  KVASIR_ASSERT(node.host);
  if (node.record || node.write != WriteState::none || stopped_) return;
  const PrefixNode& parent = *node.parent;
  const bool parent_goes_first = parent.parent == nullptr || parent.record || parent.write != WriteState::none;
  if (!parent_goes_first || now < paused_until_) {
    ++counters_.skipped;
    return;
  }
  node.write = WriteState::pending;
  node.write_tag = next_tag_++;
  pending_.emplace(node.write_tag, &node);
}

void DiskWrites::skip_pending(PrefixNode& node) {
  if (node.write != WriteState::pending) return;
  pending_.erase(node.write_tag);
  node.write = WriteState::none;
  ++counters_.skipped;
}

void DiskWrites::pump() { pump_up_to(in_flight_max_); }

void DiskWrites::pump_up_to(std::size_t in_flight_max) {
  while (!pending_.empty() && in_flight_.size() < in_flight_max) {
    PrefixNode& node = *pending_.begin()->second;
    const PrefixNode& parent = *node.parent;
    if (parent.parent != nullptr && !parent.record && parent.write != WriteState::in_flight) {
      skip_pending(node);  // the parent's copy was refused meanwhile
    } else if (!hand_over(node)) {
      return;
    }
  }
}

bool DiskWrites::hand_over(PrefixNode& node) {
  const std::span<const std::byte> payload = memory_.bytes(*node.host);
  BlockLease lease = pool_.lease(*node.host);
  index_.set_leased(node);
  if (!disk_.write(record_of(node, fingerprint_, payload.size()), payload, node.write_tag)) return false;
  pending_.erase(node.write_tag);
  node.write = WriteState::in_flight;
  in_flight_.emplace(node.write_tag, InFlight{&node, std::move(lease)});
  return true;
}

PrefixNode& DiskWrites::end(std::uint64_t tag) {
  const auto found = in_flight_.find(tag);
  KVASIR_ASSERT(found != in_flight_.end());
  PrefixNode& node = *found->second.node;
  const BlockId block = found->second.lease.id();
  in_flight_.erase(found);
  node.write = WriteState::none;
  if (node.host != block) pool_.release(block);  // detached
  return node;
}

void DiskWrites::on_written(std::uint64_t tag, std::uint64_t number) {
  index_.set_record(end(tag), number);
  ++counters_.written;
}

void DiskWrites::on_refused(std::uint64_t tag, TimePoint now) {
  index_.remove_if_unused(&end(tag));
  ++counters_.skipped;
  paused_until_ = now + kPauseAfterRefusal;
}

std::uint32_t DiskWrites::detach_leaves() {
  std::uint32_t detached = 0;
  for (auto& [tag, copy] : in_flight_) {
    PrefixNode& node = *copy.node;
    if (!holds(node) || pool_.lease_count(*node.host) > 1 || !node.host_children.empty()) continue;
    index_.clear_host(node);
    ++detached;
  }
  return detached;
}

void DiskWrites::stop() { stopped_ = true; }

void DiskWrites::hand_over_all() {
  pump_up_to(SIZE_MAX);
  while (!pending_.empty()) {
    const std::size_t before = pending_.size();
    disk_.flush();  // makes room in the disk's queue
    pump_up_to(SIZE_MAX);
    if (pending_.size() == before) skip_pending(*pending_.begin()->second);
  }
}

std::uint32_t DiskWrites::blocks_held() const {
  std::uint32_t held = 0;
  for (const auto& [tag, copy] : in_flight_) held += pool_.lease_count(copy.lease.id()) == 1;
  return held;
}

bool DiskWrites::holds(const PrefixNode& node) const {
  if (node.write != WriteState::in_flight) return false;
  return node.host == in_flight_.at(node.write_tag).lease.id();
}

void DiskWrites::check_invariants() const {
  KVASIR_ASSERT(in_flight_.size() <= in_flight_max_ || stopped_);
  for (const auto& [tag, node] : pending_)
    KVASIR_ASSERT(node->write == WriteState::pending && node->write_tag == tag && node->host && !node->record);
  for (const auto& [tag, copy] : in_flight_)
    KVASIR_ASSERT(copy.node->write == WriteState::in_flight && copy.node->write_tag == tag);
}

}  // namespace kvasir
