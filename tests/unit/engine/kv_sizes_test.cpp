#include "engine/kv_sizes.h"

#include <gtest/gtest.h>

#include "engine/cpu/cpu_backends.h"
#include "storage/tiers/disk_record.h"
#include "tests/support/tiny_model.h"

namespace kvasir {
namespace {

const KvFormat& format(std::string_view name) {
  for (const KvFormat& f : kKvFormats) {
    if (f.name == name) return f;
  }
  KVASIR_ASSERT(!"no such format");
  return kKvFormats[0];
}

// SmolLM2-135M: 30 layers, 3 KV heads of 64.
constexpr KvShape kSmol{30, 3, 64};

TEST(KvSizes, BytesOfATokenInEachFormat) {
  EXPECT_EQ(kSmol.token_bytes(format("f16"), 32), 2u * 30 * 3 * 64 * 2);  // 22.5 KiB
  EXPECT_EQ(kSmol.token_bytes(format("f32"), 32), 2u * 30 * 3 * 64 * 4);
  EXPECT_EQ(kSmol.token_bytes(format("bf16"), 32), 2u * 30 * 3 * 64 * 2);
  EXPECT_EQ(kSmol.token_bytes(format("fp8"), 32), 2u * 30 * 3 * 64);
  EXPECT_EQ(kSmol.token_bytes(format("int8"), 32), 2u * 30 * 3 * (64 + 4));      // 8.5 bits
  EXPECT_EQ(kSmol.token_bytes(format("nvfp4"), 32), 2u * 30 * 3 * (32 + 4));     // 4.5 bits
  EXPECT_EQ(kSmol.token_bytes(format("int4"), 32), 2u * 30 * 3 * (32 + 2 * 2));  // 4.5 bits
}

// A head of 80 has no whole number of groups, the block of 16 tokens has.
TEST(KvSizes, GroupsRunThroughTheBlockOfAHead) {
  constexpr KvShape shape{1, 1, 80};
  EXPECT_EQ(shape.block_bytes(format("int4"), 16), 2u * (80 * 16 / 2 + 80 * 16 / 32 * 2));
  EXPECT_EQ(format("int4").bytes_of(33), 17u + 2 * 2);
}

TEST(KvSizes, ServedFormatsAreTheBackendsOwn) {
  testing::TinyModelSpec spec;
  spec.layers = 3, spec.kv_heads = 2, spec.head_dim = 16;
  const std::string bytes = testing::tiny_model_bytes(spec);
  const auto file = GgufFile::parse(std::as_bytes(std::span(bytes)));
  const ModelConfig config = read_model_config(**file).value();
  for (const std::uint32_t block_tokens : {16u, 32u, 64u, 128u}) {
    BackendOptions options;
    options.threads = 1, options.block_tokens = block_tokens, options.pool_bytes = 1u << 20;
    for (const KvFormat& f : kKvFormats) {
      if (f.served == KvServed::planned) continue;
      if (f.served == KvServed::cpu) options.kv_type = f.name;
      const auto backend = f.served == KvServed::cpu ? make_cpu_backend(**file, config, options)
                                                     : make_reference_backend(**file, config, options);
      ASSERT_TRUE(backend.ok()) << f.name;
      const std::uint64_t block = KvShape::of(config).block_bytes(f, block_tokens);
      EXPECT_EQ(block, (*backend)->info().block_bytes) << f.name;
      EXPECT_EQ(host_blocks(options.pool_bytes, block), (*backend)->memory().block_count()) << f.name;
    }
  }
}

TEST(KvSizes, RequestsTakeWholeBlocks) {
  const auto blocks = [](std::uint64_t tokens) { return KvLoad{.context_tokens = tokens}.request_blocks(); };
  EXPECT_EQ(blocks(1), 1u);
  EXPECT_EQ(blocks(32), 1u);
  EXPECT_EQ(blocks(33), 2u);
  EXPECT_EQ((KvLoad{.context_tokens = 33, .concurrency = 10}.blocks()), 20u);
}

TEST(KvSizes, OnlyFullBlocksAreSharedAndNeverTheLastToken) {
  const KvLoad load{.context_tokens = 128, .concurrency = 5, .shared_tokens = 70};
  EXPECT_EQ(load.shared_blocks(), 2u);
  EXPECT_EQ(load.blocks(), 2u + 5 * 2);
  const KvLoad all{.context_tokens = 128, .concurrency = 5, .shared_tokens = 1000};
  EXPECT_EQ(all.shared_blocks(), 3u);
  EXPECT_EQ(all.blocks(), 3u + 5);
}

// Both maxima fit, and one more does not: against a search, for every small case.
TEST(KvSizes, TheMaximaAreMaximal) {
  for (std::uint64_t pool = 0; pool < 14; ++pool) {
    for (std::uint64_t shared : {0, 15, 16, 40, 300}) {
      for (std::uint64_t context = 1; context < 100; context += 5) {
        KvLoad load{.context_tokens = context, .concurrency = 1, .shared_tokens = shared, .block_tokens = 16};
        const std::uint64_t most = load.concurrency_max(pool);
        load.concurrency = most;
        EXPECT_TRUE(most == 0 || load.blocks() <= pool);
        load.concurrency = most + 1;
        EXPECT_GT(load.blocks(), pool);
      }
      for (std::uint64_t concurrency = 1; concurrency < 8; ++concurrency) {
        KvLoad load{.context_tokens = 0, .concurrency = concurrency, .shared_tokens = shared, .block_tokens = 16};
        const std::uint64_t longest = load.context_max(pool);
        load.context_tokens = longest;
        EXPECT_TRUE(longest == 0 || load.blocks() <= pool) << pool << " " << shared << " " << concurrency;
        load.context_tokens = longest + 1;
        EXPECT_GT(load.blocks(), pool) << pool << " " << shared << " " << concurrency;
      }
    }
  }
}

TEST(KvSizes, HostBlocksStartOnCacheLines) {
  EXPECT_EQ(host_blocks(1000, 65), 7u);
  EXPECT_EQ(host_bytes(7, 65), 7u * 128);
  EXPECT_EQ(host_blocks(1u << 30, 737'280), 1456u);  // SmolLM2, 32 tokens
}

TEST(KvSizes, DiskRecordsAreWhatTheTierWrites) {
  disk::MetaRecord meta;
  meta.record.ids.assign(32, 7);
  const std::size_t bytes = disk::encode_payload_header(meta).size() + disk::encode_meta(meta).size() +
                            disk::meta_key(meta.record.fingerprint, 1).size() + 1000;
  EXPECT_EQ(disk_record_bytes(1000, 32), bytes);
}

TEST(KvSizes, ADiskHoldsLessThanItsBytes) {
  constexpr std::uint64_t capacity = 20ull << 30, block = 737'280;
  EXPECT_LT(disk_blocks(capacity, block, 32), capacity / block);
  EXPECT_GT(disk_blocks(capacity, block, 32), capacity / block * 97 / 100);
  EXPECT_EQ(disk_blocks(1u << 20, block, 32), 0u);
}

}  // namespace
}  // namespace kvasir
