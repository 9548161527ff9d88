#include "engine/cpu/thread_pool.h"

#include <chrono>

#include <sched.h>

#include "storage/base/assert.h"

namespace kvasir {
namespace {

constexpr std::uint32_t kFieldBits = 20;
constexpr std::uint64_t kFieldMask = (1u << kFieldBits) - 1;

std::uint64_t epoch_of(std::uint64_t claims) { return claims >> (2 * kFieldBits); }
std::uint32_t count_of(std::uint64_t claims) { return static_cast<std::uint32_t>(claims >> kFieldBits & kFieldMask); }
std::uint32_t next_of(std::uint64_t claims) { return static_cast<std::uint32_t>(claims & kFieldMask); }

void pause() { __builtin_ia32_pause(); }

constexpr auto kSpinTime = std::chrono::microseconds(50);

// The cores that this process may use, in order.
std::vector<int> usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  return cores;
}

void stay_on(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  sched_setaffinity(0, sizeof set, &set);  // of this thread; refused, it runs anywhere
}

}  // namespace

ThreadPool::ThreadPool(std::uint32_t threads, bool pinned) {
  KVASIR_ASSERT(threads >= 1);
  if (pinned) cores_ = usable_cores();
  if (cores_.size() < threads) cores_.clear();
  for (std::uint32_t t = 1; t < threads; ++t) workers_.emplace_back([this, t] { work(t); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_.store(true);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_tasks(std::uint32_t count, Function function, void* context) {
  if (count == 0) return;
  if (!cores_.empty()) pin_caller();
  KVASIR_ASSERT(count <= kTasksMax);
  if (count == 1 || workers_.empty()) {
    for (std::uint32_t i = 0; i < count; ++i) function(context, i, 0);
    return;
  }
  function_.store(function, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  unfinished_.store(count, std::memory_order_relaxed);
  const std::uint64_t epoch = epoch_of(claims_.load(std::memory_order_relaxed)) + 1;
  claims_.store(epoch << (2 * kFieldBits) | static_cast<std::uint64_t>(count) << kFieldBits);  // publishes; seq_cst
  if (sleepers_.load() > 0) {
    { const std::lock_guard lock(mutex_); }  // a worker about to sleep has seen the new epoch or waits by now
    wake_.notify_all();
  }
  while (run_one(0)) {
  }
  for (std::uint32_t spins = 0; unfinished_.load(std::memory_order_acquire) != 0; ++spins) {
    pause();
    if (spins % 4096 == 4095) std::this_thread::yield();  // the one that we wait for may need this core
  }
}

void ThreadPool::pin_caller() {
  if (pinned_caller_ == std::this_thread::get_id()) return;
  pinned_caller_ = std::this_thread::get_id();
  stay_on(cores_[0]);
}

bool ThreadPool::run_one(std::uint32_t thread) {
  std::uint64_t claims = claims_.load(std::memory_order_acquire);
  do {
    if (next_of(claims) >= count_of(claims)) return false;
  } while (!claims_.compare_exchange_weak(claims, claims + 1, std::memory_order_acq_rel, std::memory_order_acquire));
  // The loop cannot end before this task did, so function and context are its own.
  function_.load(std::memory_order_relaxed)(context_.load(std::memory_order_relaxed), next_of(claims), thread);
  unfinished_.fetch_sub(1, std::memory_order_acq_rel);
  return true;
}

void ThreadPool::work(std::uint32_t thread) {
  if (!cores_.empty()) stay_on(cores_[thread]);
  std::uint64_t seen_epoch = 0;
  while (wait_for_loop(seen_epoch)) {
    seen_epoch = epoch_of(claims_.load(std::memory_order_acquire));
    while (run_one(thread)) {
    }
  }
}

bool ThreadPool::wait_for_loop(std::uint64_t seen_epoch) {
  const auto news = [&] { return epoch_of(claims_.load()) != seen_epoch || stopping_.load(); };
  const auto give_up = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (std::uint32_t i = 0; i < 64; ++i) {
      if (news()) return !stopping_.load();
      pause();
    }
  } while (std::chrono::steady_clock::now() < give_up);
  std::unique_lock lock(mutex_);
  sleepers_.fetch_add(1);
  wake_.wait(lock, news);
  sleepers_.fetch_sub(1);
  return !stopping_.load();
}

}  // namespace kvasir
