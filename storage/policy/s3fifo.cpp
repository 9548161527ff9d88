#include "storage/policy/s3fifo.h"

#include <algorithm>
#include <utility>

namespace kvasir {
namespace {

constexpr std::uint32_t kSmallShare = 10;  // the small queue is a tenth of the pool
constexpr std::uint8_t kUsesMax = 3;

}  // namespace

S3FifoPolicy::S3FifoPolicy(std::uint32_t capacity_blocks) : capacity_(capacity_blocks) {}

void S3FifoPolicy::used(PrefixNode& node, const BlockUse&) {
  if (node.host) return used_again(node.policy);
  if (node.policy.order == 0) enter(node);  // else used already, on its way into the pool
}

void S3FifoPolicy::enter(PrefixNode& node) {
  PolicyState& state = node.policy;
  state.queue = ghosts_.contains(node.key) ? kMain : kSmall;
  small_blocks_ += state.queue == kSmall;
  state.order = ++clock_;
  state.uses = 0;
}

// A read from disk may bring a block back that was evicted since its last use.
void S3FifoPolicy::evictable(PrefixNode& node) {
  if (node.policy.order == 0) enter(node);
  queues_[node.policy.queue].insert(&node);
}

void S3FifoPolicy::used_again(PolicyState& state) {
  if (state.queue == kMain) {
    state.uses = std::min<std::uint8_t>(state.uses + 1, kUsesMax);
    return;
  }
  state.queue = kMain;
  state.order = ++clock_;
  --small_blocks_;
}

void S3FifoPolicy::kept(PrefixNode& node) { queues_[node.policy.queue].erase(&node); }

void S3FifoPolicy::evicted(PrefixNode& node) {
  if (std::exchange(node.policy.order, 0) == 0 || node.policy.queue == kMain) return;
  --small_blocks_;
  remember(node.key);
}

void S3FifoPolicy::remember(const BlockKey& key) {
  ghosts_[key] = ++ghost_number_;
  ghosts_in_order_.push_back(key);
  if (ghosts_in_order_.size() <= capacity_) return;
  const auto oldest = ghosts_.find(ghosts_in_order_.front());
  if (oldest->second + capacity_ == ghost_number_) ghosts_.erase(oldest);  // else it left again later
  ghosts_in_order_.pop_front();
}

PrefixNode* S3FifoPolicy::victim() {
  auto& small = queues_[kSmall];
  auto& main = queues_[kMain];
  if (!small.empty() && (main.empty() || small_blocks_ * kSmallShare > capacity_)) return *small.begin();
  if (main.empty()) return nullptr;
  while ((*main.begin())->policy.uses > 0) {
    PrefixNode* const again = *main.begin();
    main.erase(main.begin());
    --again->policy.uses;
    again->policy.order = ++clock_;
    main.insert(again);
  }
  return *main.begin();
}

bool S3FifoPolicy::holds(const PrefixNode& node) const {
  return queues_[node.policy.queue].contains(const_cast<PrefixNode*>(&node));
}

}  // namespace kvasir
