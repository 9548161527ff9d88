#include "engine/waiting_queue.h"

#include <algorithm>

#include "storage/base/assert.h"

namespace kvasir {

void WaitingQueue::remove(const Sequence& sequence) {
  for (std::deque<Sequence*>* queue : {&preempted_, &arrived_}) {
    const auto at = std::find(queue->begin(), queue->end(), &sequence);
    if (at == queue->end()) continue;
    queue->erase(at);
    return;
  }
  KVASIR_ASSERT(false);
}

Sequence* WaitingQueue::next(const Eligible& eligible, const Before& before) const {
  const auto first =
      std::find_if(preempted_.begin(), preempted_.end(), [&](const Sequence* s) { return eligible(*s); });
  if (first != preempted_.end()) return *first;
  Sequence* best = nullptr;
  for (Sequence* sequence : arrived_)
    if ((!best || before(*sequence, *best)) && eligible(*sequence)) best = sequence;
  return best;
}

void WaitingQueue::for_each(const std::function<void(Sequence&)>& visit) const {
  for (const std::deque<Sequence*>* queue : {&preempted_, &arrived_})
    for (Sequence* sequence : *queue) visit(*sequence);
}

}  // namespace kvasir
