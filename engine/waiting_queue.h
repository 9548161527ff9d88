#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "engine/sequence.h"

namespace kvasir {

// Order of admission: preempted sequences first (the last one preempted before the others: victims are taken latest
// first), then one of each tenant in turn, oldest first within a tenant. Holds no sequence alive. Owned by the
// scheduler, on the owner thread.
class WaitingQueue {
 public:
  using Eligible = std::function<bool(const Sequence&)>;

  void push(Sequence& sequence);  // a new one: last of its tenant
  void push_preempted(Sequence& sequence);
  void remove(const Sequence& sequence);    // REQUIRES: is in the queue
  void admitted(const Sequence& sequence);  // remove(); its tenant's turn is over, unless it was a preempted one

  // The next sequence to admit among those that `eligible` takes; null when there is none.
  Sequence* next(const Eligible& eligible) const;

  std::uint32_t size() const { return size_; }

 private:
  struct Tenant {
    std::string name;
    std::deque<Sequence*> sequences;  // never empty
  };

  std::deque<Tenant>::iterator tenant_of(const Sequence& sequence);

  std::deque<Sequence*> preempted_;
  std::deque<Tenant> tenants_;  // in order of turns
  std::uint32_t size_ = 0;
};

}  // namespace kvasir
