#include "tests/sim/world.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>
#include <unistd.h>

namespace kvasir::testing {
namespace {

constexpr std::uint64_t kSeeds = 2000;

char running_seed[64];

extern "C" void print_seed(int) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, running_seed, std::strlen(running_seed));
}

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

WorldTotals run_world(std::uint64_t seed) {
  std::snprintf(running_seed, sizeof running_seed, "sim: KVASIR_SIM_SEED=%llu\n",
                static_cast<unsigned long long>(seed));
  Prng prng(mix64(seed));
  World world(seed, WorldConfig::draw(prng));
  world.run();
  return world.totals;
}

// KVASIR_SIM_SEED repeats one world, KVASIR_SIM_SEEDS sets how many run.
TEST(Simulation, EveryRequestGetsTheIdsItHasAlone) {
  std::signal(SIGABRT, print_seed);
  const std::uint64_t first = from_environment("KVASIR_SIM_SEED", 1);
  const std::uint64_t count = std::getenv("KVASIR_SIM_SEED") ? 1 : from_environment("KVASIR_SIM_SEEDS", kSeeds);
  std::uint64_t completed = 0, cached = 0, preemptions = 0, loads = 0, restarts = 0, drafted = 0, accepted = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const WorldTotals world = run_world(seed);
    completed += world.completed;
    cached += world.tokens_cached;
    preemptions += world.preemptions;
    loads += world.loads;
    restarts += world.restarts;
    drafted += world.drafted;
    accepted += world.accepted;
  }
  std::printf("sim: %llu worlds, %llu requests, %llu tokens cached, %llu preemptions, %llu loads, %llu restarts, ",
              static_cast<unsigned long long>(count), static_cast<unsigned long long>(completed),
              static_cast<unsigned long long>(cached), static_cast<unsigned long long>(preemptions),
              static_cast<unsigned long long>(loads), static_cast<unsigned long long>(restarts));
  std::printf("%llu of %llu drafts right\n", static_cast<unsigned long long>(accepted),
              static_cast<unsigned long long>(drafted));
  if (count < kSeeds) return;
  // The worlds are worth something only while these things happen in them.
  EXPECT_GT(completed, 100000u);
  EXPECT_GT(cached, 500000u);
  EXPECT_GT(preemptions, 2000u);
  EXPECT_GT(loads, 3000u);
  EXPECT_GT(restarts, 1000u);
  EXPECT_GT(accepted, 10000u);
  EXPECT_GT(drafted, accepted + 8000);
}

TEST(SimulationDeathTest, SeesACorruptBlock) {
  Prng prng(1);
  WorldConfig config;
  config.backend = {.block_count = 32, .block_tokens = 4, .vocabulary = 50};
  config.cache.block_tokens = 4;
  config.corrupt_blocks = true;
  EXPECT_DEATH(World(1, config).run(), "invariant broken");
}

}  // namespace
}  // namespace kvasir::testing
