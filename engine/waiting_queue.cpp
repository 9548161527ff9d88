#include "engine/waiting_queue.h"

#include <algorithm>
#include <utility>

#include "storage/base/assert.h"

namespace kvasir {
namespace {

bool erase_from(std::deque<Sequence*>& queue, const Sequence& sequence) {
  const auto at = std::find(queue.begin(), queue.end(), &sequence);
  if (at == queue.end()) return false;
  queue.erase(at);
  return true;
}

Sequence* first_eligible(const std::deque<Sequence*>& queue, const WaitingQueue::Eligible& eligible) {
  const auto at = std::find_if(queue.begin(), queue.end(), [&](const Sequence* s) { return eligible(*s); });
  return at == queue.end() ? nullptr : *at;
}

}  // namespace

void WaitingQueue::push(Sequence& sequence) {
  ++size_;
  const std::string& name = sequence.request().tenant;
  auto at = std::find_if(tenants_.begin(), tenants_.end(), [&](const Tenant& t) { return t.name == name; });
  if (at == tenants_.end()) at = tenants_.insert(tenants_.end(), Tenant{name, {}});
  at->sequences.push_back(&sequence);
}

void WaitingQueue::push_preempted(Sequence& sequence) {
  ++size_;
  preempted_.push_front(&sequence);
}

void WaitingQueue::remove(const Sequence& sequence) {
  --size_;
  if (erase_from(preempted_, sequence)) return;
  const std::string& name = sequence.request().tenant;
  const auto at = std::find_if(tenants_.begin(), tenants_.end(), [&](const Tenant& t) { return t.name == name; });
  KVASIR_ASSERT(at != tenants_.end() && erase_from(at->sequences, sequence));
  if (at->sequences.empty()) tenants_.erase(at);
}

void WaitingQueue::admitted(const Sequence& sequence) {
  remove(sequence);
  const std::string& name = sequence.request().tenant;
  const auto at = std::find_if(tenants_.begin(), tenants_.end(), [&](const Tenant& t) { return t.name == name; });
  if (at != tenants_.end()) std::rotate(at, at + 1, tenants_.end());
}

Sequence* WaitingQueue::next(const Eligible& eligible) const {
  if (Sequence* sequence = first_eligible(preempted_, eligible)) return sequence;
  for (const Tenant& tenant : tenants_)
    if (Sequence* sequence = first_eligible(tenant.sequences, eligible)) return sequence;
  return nullptr;
}

}  // namespace kvasir
