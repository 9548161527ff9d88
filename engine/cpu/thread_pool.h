#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace kvasir {

// Runs short parallel loops. The caller works too, so a pool of N has N - 1 threads. Tasks are claimed one by one from
// a shared counter: a thread that the system preempted between loops delays nothing, the others take its share. Between
// loops a worker looks for work for about 50 us, then sleeps until the next loop; an idle pool costs nothing.
//
// One caller at a time. Loops don't nest.
class ThreadPool {
 public:
  // `threads`: >= 1, the caller included. Pinned, each stays on a core of its own among those that the process may use,
  // the caller from its first loop on; where there are fewer cores than threads nothing is pinned.
  explicit ThreadPool(std::uint32_t threads, bool pinned = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::uint32_t threads() const { return static_cast<std::uint32_t>(workers_.size()) + 1; }

  // Calls task(index, thread) for each index in [0, count), thread in [0, threads()); returns when all are done.
  template <class Task>
  void run(std::uint32_t count, Task&& task) {
    using Plain = std::remove_reference_t<Task>;
    run_tasks(
        count,
        [](void* context, std::uint32_t index, std::uint32_t thread) {
          (*static_cast<Plain*>(context))(index, thread);
        },
        const_cast<void*>(static_cast<const void*>(&task)));
  }

  static constexpr std::uint32_t kTasksMax = (1u << 20) - 1;  // of one loop

 private:
  using Function = void (*)(void* context, std::uint32_t index, std::uint32_t thread);

  void run_tasks(std::uint32_t count, Function function, void* context);
  void pin_caller();
  void work(std::uint32_t thread);
  bool run_one(std::uint32_t thread);            // claims and runs a task; false: none left
  bool wait_for_loop(std::uint64_t seen_epoch);  // false: the pool stops

  // Epoch of the loop (24 bits), its tasks (20), the next to claim (20): one word, so that a late claim is for the loop
  // whose function it reads, or fails.
  std::atomic<std::uint64_t> claims_{0};
  std::atomic<Function> function_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<std::uint32_t> unfinished_{0};
  std::atomic<std::uint32_t> sleepers_{0};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<int> cores_;         // of the threads; empty: not pinned
  std::thread::id pinned_caller_;  // touched by callers only
  std::vector<std::thread> workers_;
};

}  // namespace kvasir
