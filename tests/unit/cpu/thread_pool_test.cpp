#include "engine/cpu/thread_pool.h"

#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sched.h>

namespace kvasir {
namespace {

TEST(ThreadPoolTest, RunsEachTaskOnce) {
  for (const std::uint32_t threads : {1u, 2u, 3u, 8u}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const std::uint32_t count : {0u, 1u, 2u, 7u, 1000u}) {
      std::vector<int> runs(count);  // plain: a task is one thread's, and run() returns after all of them
      pool.run(count, [&](std::uint32_t i, std::uint32_t thread) {
        EXPECT_LT(thread, threads);
        ++runs[i];
      });
      EXPECT_EQ(std::accumulate(runs.begin(), runs.end(), 0), static_cast<int>(count));
      for (const int r : runs) EXPECT_EQ(r, 1);
    }
  }
}

// Loops follow each other at once, and after pauses in which workers fall asleep; each sees what the one before wrote.
TEST(ThreadPoolTest, ManyLoopsInARow) {
  ThreadPool pool(3);
  std::array<std::uint64_t, 6> sums{};
  constexpr std::uint64_t kLoops = 3000;
  for (std::uint64_t loop = 0; loop < kLoops; ++loop) {
    pool.run(sums.size(), [&](std::uint32_t i, std::uint32_t) { sums[i] += loop; });
    if (loop % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (const std::uint64_t sum : sums) EXPECT_EQ(sum, kLoops * (kLoops - 1) / 2);
}

TEST(ThreadPoolTest, ThreadsShareTheWork) {
  ThreadPool pool(2);
  std::atomic<std::uint32_t> arrived{0};
  std::array<std::uint32_t, 2> thread_of{};
  pool.run(2, [&](std::uint32_t i, std::uint32_t thread) {  // ends only if both tasks run at the same time
    thread_of[i] = thread;
    arrived.fetch_add(1);
    while (arrived.load() < 2) std::this_thread::yield();
  });
  EXPECT_NE(thread_of[0], thread_of[1]);
}

int cores_of_this_thread() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  return CPU_COUNT(&set);
}

// Each thread on a core of its own, the caller too; with more threads than cores everybody runs anywhere.
TEST(ThreadPoolTest, PinsThreads) {
  std::thread([] {  // its own, as the caller stays pinned
    const int cores = cores_of_this_thread();
    for (const std::uint32_t threads : {static_cast<std::uint32_t>(cores) + 1, static_cast<std::uint32_t>(cores)}) {
      const bool pinned = threads <= static_cast<std::uint32_t>(cores);
      ThreadPool pool(threads, true);
      std::atomic<std::uint32_t> arrived{0};
      std::vector<int> cores_of(threads), core_of(threads);
      pool.run(threads, [&](std::uint32_t, std::uint32_t thread) {  // ends only if each thread has a task
        arrived.fetch_add(1);
        while (arrived.load() < threads) std::this_thread::yield();
        cores_of[thread] = cores_of_this_thread();
        core_of[thread] = sched_getcpu();
      });
      EXPECT_EQ(cores_of, std::vector<int>(threads, pinned ? 1 : cores));
      if (pinned) {
        EXPECT_EQ(std::set(core_of.begin(), core_of.end()).size(), threads);
      }
    }
  })
      .join();
}

TEST(ThreadPoolTest, IdleCostsNothing) {
  ThreadPool pool(4);
  pool.run(4, [](std::uint32_t, std::uint32_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LT(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC, 0.02);
}

}  // namespace
}  // namespace kvasir
