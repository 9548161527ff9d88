#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/disk_client.h"
#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

using testing::DiskClient;
using testing::TempDir;

constexpr std::size_t kPayload = 100'000;

DiskTierConfig config_in(const std::string& path, std::uint64_t capacity = 256u << 20) {
  DiskTierConfig config;
  config.path = path;
  config.capacity_bytes = capacity;
  config.reader_threads = 2;
  return config;
}

std::unique_ptr<DiskTier> open_tier(const DiskTierConfig& config) {
  auto tier = DiskTier::open(config);
  EXPECT_TRUE(tier.ok()) << tier.error().message;
  return tier.ok() ? std::move(*tier) : nullptr;
}

TEST(DiskTier, ReadsBackWhatItWroteBeforeAndAfterTheFlush) {
  TempDir dir;
  auto tier = open_tier(config_in(dir / "store"));
  DiskClient client(*tier, testing::fingerprint_of(1));
  const std::uint64_t number = client.write(7, kPayload);
  ASSERT_NE(number, 0u);
  EXPECT_EQ(client.read_checked(7, number, kPayload), std::nullopt);
  tier->flush();
  client.poll();
  EXPECT_TRUE(client.durable.count(7));
  EXPECT_EQ(client.read_checked(7, number, kPayload), std::nullopt);
  EXPECT_EQ(tier->stats().records, 1u);
}

TEST(DiskTier, EmptyAndOddPayloadsRoundTrip) {
  TempDir dir;
  auto tier = open_tier(config_in(dir / "store"));
  DiskClient client(*tier, testing::fingerprint_of(1));
  std::uint64_t seed = 1;
  for (std::size_t bytes : {0u, 1u, 4095u, 4096u, 65535u, 65536u, 65537u, 3'000'001u}) {
    const std::uint64_t number = client.write(++seed, bytes);
    tier->flush();
    EXPECT_EQ(client.read_checked(seed, number, bytes), std::nullopt) << bytes;
  }
}

TEST(DiskTier, ARecordBecomesDurableWithoutAFlushCall) {
  TempDir dir;
  auto config = config_in(dir / "store");
  config.flush_interval = std::chrono::milliseconds(50);
  auto tier = open_tier(config);
  DiskClient client(*tier, testing::fingerprint_of(1));
  client.write(1, kPayload);
  for (int i = 0; i < 200 && client.durable.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    client.poll();
  }
  EXPECT_TRUE(client.durable.count(1));
}

TEST(DiskTier, ServesAfterARestartWhatWasDurableOldestFirst) {
  TempDir dir;
  const auto fingerprint = testing::fingerprint_of(1);
  {
    auto tier = open_tier(config_in(dir / "store"));
    DiskClient client(*tier, fingerprint), other(*tier, testing::fingerprint_of(2));
    for (std::uint64_t seed = 1; seed <= 20; ++seed) client.write(seed, kPayload);
    other.write(99, kPayload);
    tier->flush();
  }
  auto tier = open_tier(config_in(dir / "store"));
  DiskClient client(*tier, fingerprint);
  ASSERT_EQ(client.attached().size(), 20u);
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const DiskRecord& found = client.attached()[seed - 1];
    const DiskRecord expected = testing::record_of(fingerprint, seed, kPayload);
    EXPECT_EQ(found.key, expected.key);
    EXPECT_EQ(found.parent, expected.parent);
    EXPECT_EQ(found.salt, expected.salt);
    EXPECT_EQ(found.ids, expected.ids);
    EXPECT_EQ(found.payload_bytes, kPayload);
    EXPECT_EQ(client.read_checked(seed, found.number, kPayload), std::nullopt);
  }
  EXPECT_EQ(tier->stats().records, 21u);
}

TEST(DiskTier, AStopMakesWhatWasWrittenDurable) {
  TempDir dir;
  {
    auto tier = open_tier(config_in(dir / "store"));
    DiskClient client(*tier, testing::fingerprint_of(1));
    client.write(1, kPayload);
  }
  auto tier = open_tier(config_in(dir / "store"));
  DiskClient client(*tier, testing::fingerprint_of(1));
  EXPECT_EQ(client.attached().size(), 1u);
}

TEST(DiskTier, WhatIsExpectedIsChecked) {
  TempDir dir;
  auto tier = open_tier(config_in(dir / "store"));
  DiskClient client(*tier, testing::fingerprint_of(1)), other(*tier, testing::fingerprint_of(2));
  DiskRecord record = testing::record_of(client.fingerprint(), 1, kPayload);
  record.number = client.write(1, kPayload);
  std::vector<std::byte> got;
  auto wrong = record;
  wrong.ids[3] ^= 1;
  EXPECT_EQ(client.read(wrong, &got), RecordFault::wrong_tokens);
  wrong = record;
  wrong.payload_bytes -= 1;
  EXPECT_EQ(client.read(wrong, &got), RecordFault::wrong_size);
  wrong = record;
  wrong.number += 1;
  EXPECT_EQ(client.read(wrong, &got), RecordFault::missing);
  wrong = record;
  wrong.fingerprint = other.fingerprint();
  EXPECT_EQ(other.read(wrong, &got), RecordFault::wrong_fingerprint);
}

TEST(DiskTier, AForgottenRecordStaysForgotten) {
  TempDir dir;
  {
    auto tier = open_tier(config_in(dir / "store"));
    DiskClient client(*tier, testing::fingerprint_of(1));
    const std::uint64_t number = client.write(1, kPayload);
    client.write(2, kPayload);
    tier->flush();
    tier->forget(client.fingerprint(), testing::record_of(client.fingerprint(), 1, 0).key, number);
    tier->flush();
    EXPECT_EQ(client.read_checked(1, number, kPayload), RecordFault::missing);
  }
  auto tier = open_tier(config_in(dir / "store"));
  DiskClient client(*tier, testing::fingerprint_of(1));
  ASSERT_EQ(client.attached().size(), 1u);
  EXPECT_EQ(client.attached()[0].key, testing::record_of(client.fingerprint(), 2, 0).key);
}

TEST(DiskTier, TheFolderIsPrivateAndHeldByOneTier) {
  TempDir dir;
  auto tier = open_tier(config_in(dir / "store"));
  struct stat found {};
  ASSERT_EQ(::stat((dir / "store").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0700u);
  auto second = DiskTier::open(config_in(dir / "store"));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::io);
  EXPECT_THAT(second.error().message, ::testing::HasSubstr(dir / "store"));
}

TEST(DiskTier, OpensAFolderThatHoldsTheSecretAlone) {
  TempDir dir;
  std::ofstream(dir / "secret") << "of the gateway";
  const auto tier = DiskTier::open(config_in(dir.path()));
  EXPECT_TRUE(tier.ok()) << tier.error().message;
}

TEST(DiskTier, RefusesToOpenWhatItCannotServe) {
  TempDir dir;
  auto small = DiskTier::open(config_in(dir / "store", 1 << 20));
  ASSERT_FALSE(small.ok());
  EXPECT_THAT(small.error().message, ::testing::HasSubstr("16MiB"));
  std::ofstream(dir / "letter.txt") << "somebody's";
  auto foreign = DiskTier::open(config_in(dir.path()));
  ASSERT_FALSE(foreign.ok());
  EXPECT_EQ(foreign.error().code, ErrorCode::corrupt);
  EXPECT_TRUE(std::filesystem::exists(dir / "letter.txt"));
  auto impossible = DiskTier::open(config_in("/proc/nowhere/store"));
  ASSERT_FALSE(impossible.ok());
  EXPECT_EQ(impossible.error().code, ErrorCode::io);
}

TEST(DiskTier, AStoreOfAnotherFormatIsDropped) {
  TempDir dir;
  {
    auto tier = open_tier(config_in(dir / "store"));
    DiskClient client(*tier, testing::fingerprint_of(1));
    client.write(1, kPayload);
  }
  std::ofstream(dir / "store/KVASIR_STORE") << "kvasir prefix store, format 0\n";
  auto tier = open_tier(config_in(dir / "store"));
  EXPECT_EQ(tier->stats().records, 0u);
  EXPECT_EQ(tier->stats().stores_dropped, 1u);
}

TEST(DiskTier, StaysUnderItsCapAndDropsTheOldestButTouched) {
  TempDir dir;
  const std::uint64_t capacity = 16u << 20;
  auto tier = open_tier(config_in(dir / "store", capacity));
  DiskClient client(*tier, testing::fingerprint_of(1));
  std::uint64_t first = 0;
  for (std::uint64_t seed = 1; seed <= 600; ++seed) {
    const std::uint64_t number = client.write(seed, kPayload);
    if (seed == 1) first = number;
    if (seed % 10 == 0) tier->touch(first);
    ASSERT_LE(testing::disk_usage(dir / "store"), capacity) << seed;
  }
  tier->flush();
  client.poll();
  const DiskStats stats = tier->stats();
  EXPECT_LE(stats.physical_bytes, capacity);
  EXPECT_EQ(stats.writes_refused, 0u);
  EXPECT_GT(stats.records_reclaimed, 400u);
  EXPECT_GT(stats.records_reappended, 1u);
  EXPECT_GT(stats.records * kPayload, capacity * 7 / 10) << "the cap should mostly hold live records";
  EXPECT_EQ(client.read_checked(1, first, kPayload), std::nullopt) << "touched, so appended again";
  for (const auto& [seed, number] : client.written)
    EXPECT_EQ(client.read_checked(seed, number, kPayload).has_value(), client.reclaimed.count(seed) == 1) << seed;
}

TEST(DiskTier, ALowerCapIsKeptFromTheStart) {
  TempDir dir;
  {
    auto tier = open_tier(config_in(dir / "store", 64u << 20));
    DiskClient client(*tier, testing::fingerprint_of(1));
    for (std::uint64_t seed = 1; seed <= 400; ++seed) client.start_write(seed, kPayload);
    client.settle();
    tier->flush();
  }
  EXPECT_GT(testing::disk_usage(dir / "store"), 32u << 20);
  auto tier = open_tier(config_in(dir / "store", 20u << 20));
  EXPECT_LE(testing::disk_usage(dir / "store"), 20u << 20);
  DiskClient client(*tier, testing::fingerprint_of(1));
  ASSERT_GT(client.attached().size(), 100u);
  EXPECT_EQ(client.attached().back().key, testing::record_of(client.fingerprint(), 400, 0).key);
}

TEST(DiskTier, ARecordTooLargeForTheStoreIsRefused) {
  TempDir dir;
  auto tier = open_tier(config_in(dir / "store", 16u << 20));
  DiskClient client(*tier, testing::fingerprint_of(1));
  EXPECT_EQ(client.write(1, 8u << 20), 0u);
  EXPECT_EQ(tier->stats().writes_refused, 1u);
  EXPECT_NE(client.write(2, kPayload), 0u);
}

}  // namespace
}  // namespace kvasir
