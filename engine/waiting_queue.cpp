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

std::deque<WaitingQueue::Tenant>::iterator WaitingQueue::tenant_of(const Sequence& sequence) {
  const std::string& name = sequence.request().tenant;
  return std::find_if(tenants_.begin(), tenants_.end(), [&](const Tenant& t) { return t.name == name; });
}

void WaitingQueue::push(Sequence& sequence) {
  ++size_;
  auto tenant = tenant_of(sequence);
  if (tenant == tenants_.end()) tenant = tenants_.insert(tenants_.end(), Tenant{sequence.request().tenant, {}});
  tenant->sequences.push_back(&sequence);
}

void WaitingQueue::push_preempted(Sequence& sequence) {
  ++size_;
  preempted_.push_front(&sequence);
}

void WaitingQueue::remove(const Sequence& sequence) {
  --size_;
  if (erase_from(preempted_, sequence)) return;
  const auto tenant = tenant_of(sequence);
  KVASIR_ASSERT(tenant != tenants_.end());
  const bool found = erase_from(tenant->sequences, sequence);
  KVASIR_ASSERT(found);
  if (tenant->sequences.empty()) tenants_.erase(tenant);
}

void WaitingQueue::admitted(const Sequence& sequence) {
  const bool its_turn = std::find(preempted_.begin(), preempted_.end(), &sequence) == preempted_.end();
  remove(sequence);
  const auto tenant = tenant_of(sequence);
  if (its_turn && tenant != tenants_.end()) std::rotate(tenant, tenant + 1, tenants_.end());
}

Sequence* WaitingQueue::next(const Eligible& eligible) const {
  if (Sequence* sequence = first_eligible(preempted_, eligible)) return sequence;
  for (const Tenant& tenant : tenants_)
    if (Sequence* sequence = first_eligible(tenant.sequences, eligible)) return sequence;
  return nullptr;
}

}  // namespace kvasir
