// The prefix cache over the real disk tier and its threads.
#include <atomic>
#include <numeric>
#include <thread>

#include <gtest/gtest.h>

#include "storage/prefix_cache.h"
#include "storage/tiers/disk_tier.h"
#include "tests/support/cache_rig.h"
#include "tests/support/temp_dir.h"

namespace kvasir::testing {
namespace {

constexpr std::uint32_t kBlockTokens = 32;
constexpr std::uint32_t kBlocks = 40;

std::vector<TokenId> prompt(std::size_t count, TokenId first) {
  std::vector<TokenId> ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

// One process: disk, pool and cache.
class Process {
 public:
  explicit Process(const std::string& folder) : memory_(kBlocks, std::size_t{kBlockTokens} * 1024) {
    DiskTierConfig config;
    config.path = folder;
    config.flush_interval = std::chrono::milliseconds(20);
    auto opened = DiskTier::open(config);
    KVASIR_ASSERT(opened.ok());
    disk_ = std::move(*opened);
    Fingerprint fingerprint;
    fingerprint.bytes.fill(3);
    cache_ = std::make_unique<PrefixCache>(PrefixCacheConfig{.block_tokens = kBlockTokens}, fingerprint, memory_,
                                           disk_.get());
    cache_->set_wakeup([this] { wakeups_.fetch_add(1); });
  }

  PrefixCache& cache() { return *cache_; }
  std::uint32_t wakeups() const { return wakeups_; }

  template <class Condition>
  void tick_until(Condition condition) {
    while (!condition()) {
      cache_->tick(Clock::now());
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }

  // Acquires, checks every byte, computes the rest; returns the tokens that were held, by tier.
  std::array<std::uint32_t, kTierCount> run(const std::vector<TokenId>& ids) {
    const std::vector<SaltRange> salts{{0, salt_named(1)}};
    const AcquireId id = cache_->begin_acquire({ids, salts}, Clock::now());
    tick_until([&] { return cache_->acquire_ready(id); });
    PrefixHold hold = cache_->take(id, Clock::now());
    BlockKey parent = cache_->root();
    for (std::size_t first = 0; first + kBlockTokens <= ids.size(); first += kBlockTokens) {
      const std::span<const TokenId> block_ids = std::span(ids).subspan(first, kBlockTokens);
      const std::size_t at = first / kBlockTokens;
      if (at == hold.blocks.size()) {
        std::optional<BlockFill> fill = cache_->prepare(Clock::now());
        write_token_bytes(memory_.bytes(fill->id()), parent, salts[0].salt, block_ids);
        hold.blocks.push_back(
            cache_->commit_block(std::move(*fill), parent, salts[0].salt, block_ids, nullptr, Clock::now()));
      }
      EXPECT_TRUE(has_token_bytes(memory_.bytes(hold.blocks[at].id()), parent, salts[0].salt, block_ids));
      parent = block_key(parent, salts[0].salt, block_ids);
    }
    cache_->check_invariants();
    return hold.tokens_by_tier;
  }

 private:
  HeapBlockMemory memory_;
  std::atomic<std::uint32_t> wakeups_{0};
  std::unique_ptr<DiskTier> disk_;
  std::unique_ptr<PrefixCache> cache_;
};

TEST(PrefixCacheRocksDb, MorePromptsThanThePoolHoldsComeBackFromDisk) {
  TempDir folder;
  {
    Process process(folder / "store");
    for (TokenId i = 0; i < 10; ++i) {
      process.run(prompt(10 * kBlockTokens + 1, i * 10'000));
      process.tick_until([&] { return process.cache().transient_blocks() == 0; });
    }
    process.tick_until([&] { return process.cache().stats().disk_blocks_durable == 100; });
    EXPECT_GT(process.wakeups(), 0u);
    EXPECT_EQ(process.run(prompt(10 * kBlockTokens + 1, 0)), (std::array<std::uint32_t, 2>{0, 10 * kBlockTokens}));
  }
  Process next(folder / "store");
  EXPECT_EQ(next.cache().stats().disk_blocks, 100u);
  for (TokenId i = 0; i < 10; ++i)
    EXPECT_EQ(next.run(prompt(10 * kBlockTokens + 1, i * 10'000)),
              (std::array<std::uint32_t, 2>{0, 10 * kBlockTokens}));
  for (const std::uint64_t faults : next.cache().stats().record_faults) EXPECT_EQ(faults, 0u);
}

TEST(PrefixCacheRocksDb, DestroyedWhileTheDiskIsBusy) {
  TempDir folder;
  {
    Process process(folder / "store");
    process.run(prompt(30 * kBlockTokens, 0));
  }
  {
    Process process(folder / "store");
    process.run(prompt(30 * kBlockTokens, 0));
    process.cache().flush();
  }
  Process process(folder / "store");
  const std::vector<SaltRange> salts{{0, salt_named(1)}};
  const std::vector<TokenId> ids = prompt(30 * kBlockTokens, 0);
  (void)process.cache().begin_acquire({ids, salts}, Clock::now());
}

TEST(PrefixCacheRocksDb, FlushMakesAllDurable) {
  TempDir folder;
  {
    Process process(folder / "store");
    process.run(prompt(20 * kBlockTokens + 1, 0));
    process.cache().flush();
    EXPECT_EQ(process.cache().stats().disk_blocks_durable, 20u);
  }
  Process next(folder / "store");
  EXPECT_EQ(next.run(prompt(20 * kBlockTokens + 1, 0)), (std::array<std::uint32_t, 2>{0, 20 * kBlockTokens}));
}

}  // namespace
}  // namespace kvasir::testing
