// What the prefix cache costs the engine's owner thread, and the hashes below it. No disk, no model: metadata only, so
// blocks are one byte for each token.
#include <numeric>
#include <vector>

#include <benchmark/benchmark.h>

#include "storage/base/hash.h"
#include "storage/prefix_cache.h"

namespace kvasir {
namespace {

constexpr std::uint32_t kBlockTokens = 32;

class TinyMemory final : public BlockMemory {
 public:
  explicit TinyMemory(std::uint32_t block_count) : block_count_(block_count), bytes_(block_count * kBlockTokens) {}
  std::uint32_t block_count() const override { return block_count_; }
  std::size_t block_bytes() const override { return kBlockTokens; }
  std::span<std::byte> bytes(BlockId id) override {
    return std::span(bytes_).subspan(index_of(id) * kBlockTokens, kBlockTokens);
  }

 private:
  std::uint32_t block_count_;
  std::vector<std::byte> bytes_;
};

std::vector<TokenId> prompt(std::size_t tokens, TokenId first) {
  std::vector<TokenId> ids(tokens);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

struct Rig {
  explicit Rig(std::uint32_t blocks) : memory(blocks), cache({.block_tokens = kBlockTokens}, {}, memory, nullptr) {}

  PrefixQuery query(const std::vector<TokenId>& ids) const { return {ids, salts}; }

  // Computes what is missing of the prompt, as a sequence would, and lets it go.
  std::size_t run(const std::vector<TokenId>& ids) {
    PrefixHold hold = cache.take(cache.begin_acquire(query(ids), {}), {});
    BlockKey key = cache.root();
    for (std::size_t first = hold.blocks.size() * kBlockTokens; first + kBlockTokens <= ids.size();
         first += kBlockTokens) {
      std::optional<BlockFill> fill = cache.prepare({});
      const BlockKey parent = key;
      hold.blocks.push_back(cache.commit_block(std::move(*fill), parent, salts[0].salt,
                                               std::span(ids).subspan(first, kBlockTokens), &key, {}));
    }
    return hold.blocks.size();
  }

  TinyMemory memory;
  PrefixCache cache;
  std::vector<SaltRange> salts{SaltRange{}};
};

// A cache of 20,000 blocks in 200 prompts of 100 blocks; each iteration looks at another one, cold in the processor's
// caches.
struct Filled : Rig {
  Filled() : Rig(21'000) {
    for (TokenId i = 0; i < 200; ++i) {
      prompts.push_back(prompt(100 * kBlockTokens + 1, i * 10'000));
      run(prompts.back());
    }
  }
  const std::vector<TokenId>& next() { return prompts[at++ % prompts.size()]; }
  std::vector<std::vector<TokenId>> prompts;
  std::size_t at = 0;
};

void Match100Blocks(benchmark::State& state) {
  Filled rig;
  for (auto _ : state) benchmark::DoNotOptimize(rig.cache.match(rig.query(rig.next())));
}
BENCHMARK(Match100Blocks)->Unit(benchmark::kMicrosecond);

void AcquireAndRelease100Blocks(benchmark::State& state) {
  Filled rig;
  for (auto _ : state) {
    const AcquireId id = rig.cache.begin_acquire(rig.query(rig.next()), {});
    benchmark::DoNotOptimize(rig.cache.take(id, {}));
  }
}
BENCHMARK(AcquireAndRelease100Blocks)->Unit(benchmark::kMicrosecond);

void MissAmong20000Blocks(benchmark::State& state) {
  Filled rig;
  const std::vector<TokenId> other = prompt(3'200, 9'000'000);
  for (auto _ : state) benchmark::DoNotOptimize(rig.cache.match(rig.query(other)));
}
BENCHMARK(MissAmong20000Blocks)->Unit(benchmark::kNanosecond);

// Commits into a pool that is full: every block costs an eviction.
void CommitAndEvict(benchmark::State& state) {
  Rig rig(4'096);
  TokenId first = 0;
  std::size_t blocks = 0;
  for (auto _ : state) blocks += rig.run(prompt(100 * kBlockTokens, first += 10'000));
  state.SetItemsProcessed(static_cast<std::int64_t>(blocks));
}
BENCHMARK(CommitAndEvict)->Unit(benchmark::kMicrosecond);

// Many prompts that differ within their first block: the partial match among siblings.
void PartialAmongSiblings(benchmark::State& state) {
  const auto siblings = static_cast<TokenId>(state.range(0));
  Rig rig(static_cast<std::uint32_t>(siblings) + 1);
  std::vector<TokenId> ids = prompt(kBlockTokens, 0);
  for (TokenId i = 0; i < siblings; ++i) {
    ids[20] = i;
    rig.run(ids);
  }
  ids[20] = siblings / 2;
  ids[30] = -1;
  for (auto _ : state) benchmark::DoNotOptimize(rig.cache.match(rig.query(ids)));
}
BENCHMARK(PartialAmongSiblings)->Arg(10)->Arg(1'000)->Arg(20'000);

void KeyOfABlock(benchmark::State& state) {
  const std::vector<TokenId> ids = prompt(kBlockTokens, 0);
  BlockKey key;
  for (auto _ : state) key = block_key(key, {}, ids);
  benchmark::DoNotOptimize(key);
}
BENCHMARK(KeyOfABlock);

template <auto Function>
void OverBytes(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)), std::byte{7});
  for (auto _ : state) benchmark::DoNotOptimize(Function(bytes));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}
std::uint64_t checksum_of(std::span<const std::byte> bytes) { return checksum64(bytes); }
std::uint32_t crc_of(std::span<const std::byte> bytes) { return crc32c(bytes); }
BENCHMARK(OverBytes<checksum_of>)->Name("Checksum64")->Arg(128)->Arg(737'280);
BENCHMARK(OverBytes<crc_of>)->Name("Crc32c")->Arg(128)->Arg(737'280);

}  // namespace
}  // namespace kvasir

BENCHMARK_MAIN();
