// kill -9 at random moments under load: the next start works, and what was reported durable is served.
#include <cstdlib>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/base/prng.h"
#include "tests/support/disk_client.h"
#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

using testing::DiskClient;

constexpr std::size_t kPayload = 60'000;
constexpr int kReportFile = 37;

DiskTierConfig config_in(const std::string& path, std::uint64_t capacity) {
  DiskTierConfig config;
  config.path = path;
  config.capacity_bytes = capacity;
  config.reader_threads = 1;
  config.flush_interval = std::chrono::milliseconds(20);
  config.flush_bytes = 1 << 20;
  return config;
}

// Writes without end and reports each durable seed on `out`. Never returns.
[[noreturn]] void write_until_killed(const DiskTierConfig& config, std::uint64_t first_seed, int out) {
  auto tier = DiskTier::open(config);
  if (!tier.ok()) _exit(1);
  DiskClient client(**tier, testing::fingerprint_of(1));
  std::set<std::uint64_t> reported;
  for (std::uint64_t seed = first_seed;; ++seed) {
    client.write(seed, kPayload);
    if (seed % 7 == 0 && client.written.count(seed)) (*tier)->touch(client.written[seed]);
    for (const std::uint64_t durable : client.durable)
      if (reported.insert(durable).second && ::write(out, &durable, sizeof durable) != sizeof durable) _exit(2);
  }
}

// Not a test: what the child processes of the tests below run. A fresh process, because RocksDB's threads do not
// survive a fork.
TEST(DiskKill, DISABLED_Child) {
  const char* path = std::getenv("KVASIR_KILL_PATH");
  ASSERT_NE(path, nullptr);
  write_until_killed(config_in(path, std::strtoull(std::getenv("KVASIR_KILL_CAPACITY"), nullptr, 10)),
                     std::strtoull(std::getenv("KVASIR_KILL_SEED"), nullptr, 10), kReportFile);
}

[[noreturn]] void exec_child(const DiskTierConfig& config, std::uint64_t first_seed, int out) {
  ::dup2(out, kReportFile);
  ::setenv("KVASIR_KILL_PATH", config.path.c_str(), 1);
  ::setenv("KVASIR_KILL_CAPACITY", std::to_string(config.capacity_bytes).c_str(), 1);
  ::setenv("KVASIR_KILL_SEED", std::to_string(first_seed).c_str(), 1);
  ::execl("/proc/self/exe", "disk_kill_child", "--gtest_filter=DiskKill.DISABLED_Child",
          "--gtest_also_run_disabled_tests", "--gtest_output=", "--gtest_brief=1", nullptr);
  _exit(3);
}

// Seeds that a child reported durable before it was killed: `life` after its start, or after its first report.
std::set<std::uint64_t> run_and_kill(const DiskTierConfig& config, std::uint64_t first_seed, bool from_start,
                                     std::chrono::milliseconds life) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    exec_child(config, first_seed, ends[1]);
  }
  ::close(ends[1]);
  std::thread killer;
  const auto kill_later = [&] {
    killer = std::thread([child, life] {
      std::this_thread::sleep_for(life);
      ::kill(child, SIGKILL);
    });
  };
  if (from_start) kill_later();
  std::set<std::uint64_t> durable;
  std::uint64_t seed = 0;
  while (::read(ends[0], &seed, sizeof seed) == sizeof seed) {
    durable.insert(seed);
    if (!killer.joinable()) kill_later();
  }
  if (killer.joinable()) killer.join();
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << status;
  ::close(ends[0]);
  return durable;
}

int rounds() { return std::getenv("KVASIR_FULL") ? 60 : 10; }

// Reads all records of the store, each checked against its seed; returns the seeds that were served.
std::set<std::uint64_t> served_by(const DiskTierConfig& config, const std::set<std::uint64_t>& candidates) {
  auto tier = DiskTier::open(config);
  EXPECT_TRUE(tier.ok()) << tier.error().message;
  DiskClient client(**tier, testing::fingerprint_of(1));
  std::map<BlockKey, std::uint64_t> seeds;
  for (const std::uint64_t seed : candidates)
    seeds[testing::record_of(client.fingerprint(), seed, kPayload).key] = seed;
  std::set<std::uint64_t> served;
  for (const DiskRecord& record : client.attached()) {
    const auto seed = seeds.find(record.key);
    if (seed == seeds.end()) continue;  // written, killed before it was reported
    if (!client.read_checked(seed->second, record.number, kPayload)) served.insert(seed->second);
  }
  EXPECT_LE(testing::disk_usage(config.path), config.capacity_bytes);
  return served;
}

TEST(DiskKill, WhatWasDurableIsServedAfterKillNine) {
  testing::TempDir dir;
  const auto config = config_in(dir / "store", 1u << 30);
  Prng prng(7);
  std::set<std::uint64_t> durable;
  for (int round = 0; round < rounds(); ++round) {
    const auto life = std::chrono::milliseconds(5 + prng.below(120));
    const auto more = run_and_kill(config, 1'000'000u * static_cast<std::uint64_t>(round + 1), round % 3 == 2, life);
    durable.insert(more.begin(), more.end());
    ASSERT_EQ(served_by(config, durable), durable) << "round " << round;
  }
  EXPECT_GT(durable.size(), 100u);
}

TEST(DiskKill, AFullStoreSurvivesToo) {
  testing::TempDir dir;
  const auto config = config_in(dir / "store", 16u << 20);
  Prng prng(8);
  for (int round = 0; round < rounds(); ++round) {
    const auto life = std::chrono::milliseconds(100 + prng.below(250));
    const auto durable = run_and_kill(config, 1'000'000u * static_cast<std::uint64_t>(round + 1), round % 3 == 2, life);
    const auto served = served_by(config, durable);
    // The newest are there; how many depends on where reclaiming stood.
    EXPECT_GE(served.size(), std::min<std::size_t>(durable.size(), 50)) << "round " << round;
    EXPECT_TRUE(durable.empty() || served.count(*durable.rbegin())) << "round " << round;
  }
}

}  // namespace
}  // namespace kvasir
