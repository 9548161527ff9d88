// A disk that is full or fails: writes stop and are counted, reads go on, writing starts again by itself.
#include <gtest/gtest.h>

#include "storage/tiers/disk_store.h"
#include "tests/support/disk_client.h"
#include "tests/support/failing_disk.h"
#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

using testing::FailingDisk;
using testing::TempDir;

constexpr std::size_t kPayload = 50'000;

// The synchronous store, with what it reported.
struct Fixture {
  explicit Fixture(const std::string& path, rocksdb::Env* env) {
    DiskTierConfig config;
    config.path = path;
    config.capacity_bytes = 32u << 20;
    auto opened =
        disk::DiskStore::open(config, env, [this](const Fingerprint&, DiskCompletion c) { said.push_back(c); });
    KVASIR_ASSERT(opened.ok());
    store = std::move(*opened);
  }
  void write(std::uint64_t seed) {
    const auto payload = testing::payload_of(seed, kPayload);
    store->write(testing::record_of(fingerprint, seed, kPayload), payload, seed, TimePoint{});
  }
  std::set<std::uint64_t> tags(DiskCompletion::Kind kind) const {
    std::set<std::uint64_t> tags;
    for (const auto& completion : said)
      if (completion.kind == kind) tags.insert(completion.tag);
    return tags;
  }
  // Reads everything that was reported written; the number of records served.
  std::size_t readable() const {
    std::size_t count = 0;
    for (const auto& completion : said) {
      if (completion.kind != DiskCompletion::Kind::written) continue;
      DiskRecord record = testing::record_of(fingerprint, completion.tag, kPayload);
      record.number = completion.number;
      std::vector<std::byte> got(kPayload);
      if (store->read(record, got)) continue;
      EXPECT_EQ(got, testing::payload_of(completion.tag, kPayload));
      ++count;
    }
    return count;
  }

  const Fingerprint fingerprint = testing::fingerprint_of(1);
  std::vector<DiskCompletion> said;
  std::unique_ptr<disk::DiskStore> store;
};

TEST(DiskFull, StopsWritingServesReadsAndRecovers) {
  TempDir dir;
  FailingDisk disk;
  Fixture f(dir / "store", disk.env());
  for (std::uint64_t seed = 1; seed <= 10; ++seed) f.write(seed);
  f.store->flush();
  EXPECT_EQ(f.tags(DiskCompletion::Kind::durable).size(), 10u);

  disk.full = true;
  for (std::uint64_t seed = 11; seed <= 15; ++seed) f.write(seed);
  f.store->flush();
  EXPECT_FALSE(f.store->stats().writable);
  EXPECT_EQ(f.store->stats().write_errors, 1u);
  f.write(16);
  EXPECT_TRUE(f.tags(DiskCompletion::Kind::refused).count(16));
  EXPECT_EQ(f.store->stats().writes_refused, 1u);
  EXPECT_EQ(f.tags(DiskCompletion::Kind::durable).size(), 10u) << "nothing is durable that did not reach the disk";
  EXPECT_EQ(f.readable(), 15u);

  f.store->on_time(*f.store->next_time());
  EXPECT_FALSE(f.store->stats().writable) << "still full";
  EXPECT_EQ(f.readable(), 15u);

  disk.full = false;
  f.store->on_time(*f.store->next_time());
  EXPECT_TRUE(f.store->stats().writable);
  EXPECT_EQ(f.tags(DiskCompletion::Kind::durable).size(), 15u) << "what had waited is durable now";
  f.write(17);
  f.store->flush();
  EXPECT_EQ(f.readable(), 16u);
}

TEST(DiskFull, WhatWasDurableBeforeTheDiskFilledIsThereAfterARestart) {
  TempDir dir;
  FailingDisk disk;
  {
    Fixture f(dir / "store", disk.env());
    for (std::uint64_t seed = 1; seed <= 10; ++seed) f.write(seed);
    f.store->flush();
    disk.full = true;
    for (std::uint64_t seed = 11; seed <= 15; ++seed) f.write(seed);
    f.store->flush();
  }
  disk.full = false;
  Fixture f(dir / "store", disk.env());
  EXPECT_EQ(f.store->records_of(f.fingerprint).size(), 10u);
}

// Fails after every possible number of bytes, reclaiming included: no crash, no wrong byte, and it goes on afterwards.
TEST(DiskFull, FailingAtAnyPointLosesNoDurableRecordAndNoService) {
  for (std::int64_t budget = 20'000; budget < 24'000'000; budget = budget * 3) {
    TempDir dir;
    FailingDisk disk;
    std::size_t durable = 0;
    {
      Fixture f(dir / "store", disk.env());
      disk.bytes_left = budget;
      for (std::uint64_t seed = 1; seed <= 800 && f.store->stats().writable; ++seed) f.write(seed);
      f.store->flush();
      EXPECT_TRUE(budget >= 20'000'000 || !f.store->stats().writable) << budget;
      f.readable();
      const std::size_t committed = f.tags(DiskCompletion::Kind::durable).size();
      durable = committed - std::min<std::size_t>(committed, f.store->stats().records_reclaimed);
      disk.bytes_left = INT64_MAX;
      if (const auto time = f.store->next_time()) f.store->on_time(*time);
      EXPECT_TRUE(f.store->stats().writable) << budget;
      f.write(1000);
      f.store->flush();
      EXPECT_TRUE(f.tags(DiskCompletion::Kind::durable).count(1000)) << budget;
      f.store->check_invariants();
    }
    Fixture again(dir / "store", disk.env());
    EXPECT_GE(again.store->records_of(again.fingerprint).size(), durable) << budget;
    EXPECT_EQ(again.store->stats().stores_dropped, 0u) << budget;
  }
}

}  // namespace
}  // namespace kvasir
