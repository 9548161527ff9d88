#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace kvasir {

// Threads that run one function together, the caller being one of them. For the reference backend: simple, a few
// microseconds a call. One caller at a time.
class WorkerGroup {
 public:
  explicit WorkerGroup(std::uint32_t threads);  // with the caller; 0: one per core
  ~WorkerGroup();
  WorkerGroup(const WorkerGroup&) = delete;
  WorkerGroup& operator=(const WorkerGroup&) = delete;

  std::uint32_t threads() const { return static_cast<std::uint32_t>(workers_.size()) + 1; }

  // Calls work(i) for every i < count, thread t taking t, t + threads, ...; returns when all are done.
  void for_each(std::size_t count, const std::function<void(std::size_t)>& work);

 private:
  void run(std::uint32_t thread);
  void take_share(std::uint32_t thread);

  std::mutex mutex_;  // guards what follows; work_ and count_ are read without it while a round runs
  std::condition_variable start_, done_;
  const std::function<void(std::size_t)>* work_ = nullptr;
  std::size_t count_ = 0;
  std::uint64_t round_ = 0;
  std::uint32_t busy_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace kvasir
