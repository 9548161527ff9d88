#include "engine/cpu/step_worker.h"

#include <atomic>
#include <semaphore>

#include <gtest/gtest.h>

#include "engine/cpu/host_block_memory.h"
#include "engine/cpu/worker_group.h"

namespace kvasir {
namespace {

Batch batch_of(std::uint64_t sequence) {
  Batch batch;
  batch.sequences.emplace_back();
  batch.sequences.back().id = SequenceId{sequence};
  return batch;
}

// Answers with the batch's sequence ids.
BatchResult echo(const Batch& batch) {
  BatchResult result;
  for (const SequenceInput& input : batch.sequences) {
    result.sequences.emplace_back();
    result.sequences.back().id = input.id;
  }
  return result;
}

BatchResult wait_for(StepWorker& worker, Ticket ticket) {
  while (true) {
    if (auto result = worker.poll(ticket)) return std::move(*result);
    std::this_thread::yield();
  }
}

TEST(StepWorker, GivesEachResultOnce) {
  StepWorker worker(echo);
  for (std::uint64_t i = 0; i < 200; ++i) {
    const Ticket ticket = worker.submit(batch_of(i));
    const BatchResult result = wait_for(worker, ticket);
    ASSERT_EQ(result.sequences.size(), 1u);
    EXPECT_EQ(result.sequences[0].id, SequenceId{i});
  }
}

TEST(StepWorker, PollReturnsNothingWhileTheStepRuns) {
  std::binary_semaphore go(0);
  StepWorker worker([&](const Batch& batch) {
    go.acquire();
    return echo(batch);
  });
  const Ticket ticket = worker.submit(batch_of(1));
  EXPECT_FALSE(worker.poll(ticket));
  go.release();
  EXPECT_EQ(wait_for(worker, ticket).sequences[0].id, SequenceId{1});
}

TEST(StepWorker, WakesAfterTheResultIsReady) {
  std::atomic<std::uint32_t> wakeups = 0;
  StepWorker worker(echo);
  worker.set_wakeup([&] {
    ++wakeups;
    wakeups.notify_one();
  });
  for (std::uint32_t i = 0; i < 100; ++i) {
    const Ticket ticket = worker.submit(batch_of(i));
    wakeups.wait(i);
    EXPECT_TRUE(worker.poll(ticket));
  }
  EXPECT_EQ(wakeups, 100u);
}

TEST(StepWorker, EndsWithAStepInFlight) {
  std::atomic<bool> computed = false;
  {
    StepWorker worker([&](const Batch& batch) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      computed = true;
      return echo(batch);
    });
    worker.submit(batch_of(1));
  }
  EXPECT_TRUE(computed);
}

TEST(StepWorkerDeathTest, OneStepAtATime) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        StepWorker worker([](const Batch& batch) {
          std::this_thread::sleep_for(std::chrono::seconds(5));
          return echo(batch);
        });
        worker.submit(batch_of(1));
        worker.submit(batch_of(2));
      },
      "idle");
}

TEST(WorkerGroup, DoesEveryItemOnce) {
  for (const std::uint32_t threads : {1u, 2u, 5u}) {
    WorkerGroup group(threads);
    EXPECT_EQ(group.threads(), threads);
    for (const std::size_t count : {0u, 1u, 3u, 1000u}) {
      std::vector<int> done(count);
      group.for_each(count, [&](std::size_t i) { ++done[i]; });
      EXPECT_EQ(done, std::vector<int>(count, 1));
    }
  }
}

TEST(HostBlockMemory, HoldsWholeBlocksUnderTheCap) {
  auto memory = HostBlockMemory::create(1000, 192);
  ASSERT_TRUE(memory) << memory.error().message;
  EXPECT_EQ((*memory)->block_count(), 5u);
  EXPECT_EQ((*memory)->block_bytes(), 192u);
  for (std::uint32_t i = 0; i < 5; ++i) {
    const std::span<std::byte> bytes = (*memory)->bytes(BlockId{i});
    ASSERT_EQ(bytes.size(), 192u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % 64, 0u);
    for (std::byte& byte : bytes) {
      EXPECT_EQ(byte, std::byte{0});
      byte = std::byte(i + 1);
    }
  }
  for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ((*memory)->bytes(BlockId{i})[191], std::byte(i + 1));
}

TEST(HostBlockMemory, AlignsOddBlocksAndRefusesLessThanOne) {
  auto memory = HostBlockMemory::create(1000, 100);
  ASSERT_TRUE(memory);
  EXPECT_EQ((*memory)->block_count(), 7u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>((*memory)->bytes(BlockId{1}).data()) % 64, 0u);
  EXPECT_EQ(HostBlockMemory::create(99, 100).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace kvasir
