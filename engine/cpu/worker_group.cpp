#include "engine/cpu/worker_group.h"

#include <algorithm>

namespace kvasir {

WorkerGroup::WorkerGroup(std::uint32_t threads) {
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  for (std::uint32_t thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { run(thread); });
}

WorkerGroup::~WorkerGroup() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  start_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void WorkerGroup::for_each(std::size_t count, const std::function<void(std::size_t)>& work) {
  {
    const std::lock_guard lock(mutex_);
    work_ = &work;
    count_ = count;
    busy_ = static_cast<std::uint32_t>(workers_.size());
    ++round_;
  }
  start_.notify_all();
  for (std::size_t i = 0; i < count; i += workers_.size() + 1) work(i);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return busy_ == 0; });
}

void WorkerGroup::run(std::uint32_t thread) {
  std::uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    start_.wait(lock, [&] { return stopping_ || round_ != seen; });
    if (stopping_) return;
    seen = round_;
    lock.unlock();
    take_share(thread);
    lock.lock();
    if (--busy_ == 0) done_.notify_one();
  }
}

void WorkerGroup::take_share(std::uint32_t thread) {
  for (std::size_t i = thread; i < count_; i += threads()) (*work_)(i);
}

}  // namespace kvasir
