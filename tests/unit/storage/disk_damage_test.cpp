// Damaged stores: every open succeeds, every read gives the right bytes or a fault, and a store goes on taking blocks.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "storage/base/prng.h"
#include "tests/support/disk_client.h"
#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

namespace fs = std::filesystem;
using testing::DiskClient;
using testing::TempDir;

constexpr std::size_t kPayload = 50'000;
constexpr std::uint64_t kRecords = 40;

DiskTierConfig config_in(const std::string& path) {
  DiskTierConfig config;
  config.path = path;
  config.capacity_bytes = 32u << 20;
  config.reader_threads = 1;
  return config;
}

// A store of kRecords in several flushes, hence several files.
void make_store(const std::string& path) {
  auto tier = DiskTier::open(config_in(path));
  ASSERT_TRUE(tier.ok());
  DiskClient client(**tier, testing::fingerprint_of(1));
  for (std::uint64_t seed = 1; seed <= kRecords; ++seed) {
    client.write(seed, kPayload);
    if (seed % 10 == 0) (*tier)->flush();
  }
}

struct Outcome {
  std::uint64_t attached = 0, readable = 0, dropped = 0;
};

// Opens, reads everything there is, and writes on. DiskClient::read_checked asserts that no wrong byte arrives.
Outcome open_and_use(const std::string& path) {
  Outcome outcome;
  auto tier = DiskTier::open(config_in(path));
  EXPECT_TRUE(tier.ok()) << tier.error().message;
  if (!tier.ok()) return outcome;
  DiskClient client(**tier, testing::fingerprint_of(1));
  outcome.attached = client.attached().size();
  for (const DiskRecord& record : client.attached())
    for (std::uint64_t seed = 1; seed <= kRecords; ++seed)
      if (record.key == testing::record_of(client.fingerprint(), seed, kPayload).key)
        outcome.readable += client.read_checked(seed, record.number, kPayload) == std::nullopt;
  const std::uint64_t number = client.write(1000, kPayload);
  (*tier)->flush();
  EXPECT_EQ(client.read_checked(1000, number, kPayload), std::nullopt);
  outcome.dropped = (*tier)->stats().stores_dropped;
  return outcome;
}

std::vector<fs::path> files_in(const std::string& path) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void flip_byte(const fs::path& path, std::uint64_t at, int bits) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  const char byte = static_cast<char>(file.get() ^ bits);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(byte);
}

class DiskDamage : public ::testing::Test {
 protected:
  void SetUp() override { make_store(dir_ / "whole"); }
  // A fresh copy to damage.
  std::string copy() {
    const std::string path = dir_ / "copy";
    fs::remove_all(path);
    fs::copy(dir_ / "whole", path);
    return path;
  }
  TempDir dir_;
};

// Files that hold no record: RocksDB's and our bookkeeping.
bool holds_no_record(const fs::path& file) {
  const std::string name = file.filename().string();
  return file.extension() != ".sst" && file.extension() != ".blob" && name.rfind("MANIFEST", 0) != 0;
}

// A flip in the identity can make it another format's, rightly dropped.
bool is_known(const fs::path& file) { return holds_no_record(file) && file.filename() != "KVASIR_STORE"; }

// One blob file holds ten records here, one table of either family too.
constexpr std::uint64_t kRecordsInAFile = 10;

TEST_F(DiskDamage, UndamagedServesEverything) {
  const Outcome outcome = open_and_use(copy());
  EXPECT_EQ(outcome.readable, kRecords);
}

TEST_F(DiskDamage, ADeletedOrCutFileCostsAtMostWhatItHeld) {
  for (const fs::path& file : files_in(dir_ / "whole")) {
    for (std::uint64_t left_of_three : {0u, 2u, 3u}) {  // 3: deleted
      const std::string path = copy();
      const fs::path victim = fs::path(path) / file.filename();
      if (left_of_three == 3)
        fs::remove(victim);
      else
        fs::resize_file(victim, fs::file_size(victim) * left_of_three / 3);
      const Outcome outcome = open_and_use(path);
      if (file.extension() == ".blob") {
        EXPECT_EQ(outcome.readable, kRecords - kRecordsInAFile) << file << left_of_three;
        EXPECT_EQ(outcome.dropped, 0u);
      }
      if (holds_no_record(file)) {
        EXPECT_EQ(outcome.readable, kRecords) << file << left_of_three;
      }
    }
  }
}

TEST_F(DiskDamage, FlippedBytesAreFaultsOrHarmless) {
  const std::uint64_t rounds = std::getenv("KVASIR_FULL") ? 100 : 3;
  Prng prng(1);
  for (const fs::path& file : files_in(dir_ / "whole")) {
    const std::uint64_t size = fs::file_size(file);
    for (std::uint64_t round = 0; round < rounds && size > 0; ++round) {
      const std::string path = copy();
      const std::uint64_t at = prng.below(size);
      flip_byte(fs::path(path) / file.filename(), at, static_cast<int>(1 + prng.below(255)));
      const Outcome outcome = open_and_use(path);
      const std::uint64_t least = file.extension() == ".blob" ? kRecords - 1 : is_known(file) ? kRecords : 0;
      EXPECT_GE(outcome.readable, least) << file << " at " << at;
    }
  }
}

TEST_F(DiskDamage, DamagedMetadataIsCountedAndMended) {
  for (const fs::path& file : files_in(dir_ / "whole")) {
    if (file.extension() != ".sst") continue;
    const std::string path = copy();
    flip_byte(fs::path(path) / file.filename(), 200, 0x40);  // in the first data block
    {
      auto tier = DiskTier::open(config_in(path));
      ASSERT_TRUE(tier.ok());
      const DiskStats stats = (*tier)->stats();
      std::uint64_t faults = 0;
      for (const std::uint64_t count : stats.open_faults) faults += count;
      EXPECT_EQ(faults == 0, stats.records == kRecords) << file;  // a payload table's damage is met by reads
      EXPECT_GE(stats.records, kRecords - kRecordsInAFile) << file;
    }
    auto again = DiskTier::open(config_in(path));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ((*again)->stats().open_faults, decltype(DiskStats::open_faults){}) << file;
  }
}

// What compaction cannot get past costs the store, not the service.
TEST_F(DiskDamage, ADamagedPayloadTableDoesNotStopWriting) {
  for (const fs::path& file : files_in(dir_ / "whole")) {
    if (file.extension() != ".sst" || fs::file_size(file) > 2000) continue;  // metadata tables are larger here
    const std::string path = copy();
    flip_byte(fs::path(path) / file.filename(), 40, 0x40);
    auto tier = DiskTier::open(config_in(path));
    ASSERT_TRUE(tier.ok());
    DiskClient client(**tier, testing::fingerprint_of(1));
    std::size_t good = 0;
    for (std::uint64_t seed = 2000; seed < 2600; ++seed) {
      const std::uint64_t number = client.write(seed, kPayload);
      good += number && !client.read_checked(seed, number, kPayload);
      ASSERT_LE(testing::disk_usage(path), 32u << 20);
    }
    EXPECT_GT(good, 580u) << file;
    EXPECT_TRUE((*tier)->stats().writable) << file;
  }
}

TEST_F(DiskDamage, GarbageInTheFolderIsIgnored) {
  const std::string path = copy();
  std::ofstream(path + "/000999.sst") << "not a table";
  std::ofstream(path + "/000998.blob") << "not a blob file";
  std::ofstream(path + "/MANIFEST-999999") << "not a manifest";
  std::ofstream(path + "/notes.txt") << "somebody's";
  fs::create_directory(path + "/folder");
  const Outcome outcome = open_and_use(path);
  EXPECT_EQ(outcome.readable, kRecords);
  EXPECT_TRUE(fs::exists(path + "/notes.txt"));
}

}  // namespace
}  // namespace kvasir
