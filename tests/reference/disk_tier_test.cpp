// The disk store under random operations, against a map of what was written.
#include <cstdlib>

#include <gtest/gtest.h>

#include "storage/base/prng.h"
#include "storage/tiers/disk_store.h"
#include "tests/support/disk_client.h"
#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

struct ModelRecord {
  std::uint64_t seed = 0;
  std::size_t bytes = 0;
  bool durable = false;
};

// Store and model side by side; the store's completions keep the model up to date.
class Pair {
 public:
  Pair(std::string path, std::uint64_t seed) : path_(std::move(path)), prng_(seed) {
    for (std::uint64_t i = 0; i < 3; ++i) fingerprints_.push_back(testing::fingerprint_of(i));
    open();
  }

  void step() {
    switch (prng_.below(20)) {
      case 0:
        return flush();
      case 1:
        return forget();
      case 2:
        return prng_.chance(10) ? reopen() : flush();
      case 3:
      case 4:
      case 5:
        return touch();
      case 6:
      case 7:
      case 8:
      case 9:
        return read();
      default:
        return write();
    }
  }

  void check() {
    store_->check_invariants();
    ASSERT_LE(testing::disk_usage(path_), kCapacity);
    std::size_t records = 0;
    for (const auto& model : models_) records += model.size();
    ASSERT_EQ(store_->stats().records, records);
    ASSERT_EQ(store_->stats().writes_refused, 0u);
  }

  std::uint64_t reclaimed = 0, reappended = 0;

 private:
  static constexpr std::uint64_t kCapacity = 16u << 20;
  using Model = std::map<std::uint64_t, ModelRecord>;  // by number

  void open() {
    DiskTierConfig config;
    config.path = path_;
    config.capacity_bytes = kCapacity;
    auto opened = disk::DiskStore::open(
        config, nullptr,
        [this](const Fingerprint& fingerprint, DiskCompletion completion) { apply(fingerprint, completion); });
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    store_ = std::move(*opened);
  }

  std::size_t model_of(const Fingerprint& fingerprint) const {
    return static_cast<std::size_t>(std::find(fingerprints_.begin(), fingerprints_.end(), fingerprint) -
                                    fingerprints_.begin());
  }

  void apply(const Fingerprint& fingerprint, const DiskCompletion& completion) {
    Model& model = models_[model_of(fingerprint)];
    switch (completion.kind) {
      case DiskCompletion::Kind::written:
        model[completion.number] = {completion.tag, sizes_.at(completion.tag), false};
        return;
      case DiskCompletion::Kind::durable:
        model.at(completion.number).durable = true;
        return;
      case DiskCompletion::Kind::reclaimed:
        ++reclaimed;
        if (!store_) return void(++reclaimed_by_open_);  // a start makes room too
        ASSERT_EQ(model.erase(completion.number), 1u);
        return;
      case DiskCompletion::Kind::refused:
      case DiskCompletion::Kind::read:
        FAIL();
        return;
    }
  }

  void write() {
    const Fingerprint& fingerprint = fingerprints_[prng_.below(3)];
    const std::uint64_t seed = ++last_seed_;
    const std::size_t bytes = sizes_[seed] = prng_.below(prng_.chance(20) ? 400'000 : 40'000);
    const auto payload = testing::payload_of(seed, bytes);
    store_->write(testing::record_of(fingerprint, seed, bytes), payload, seed, TimePoint{});
  }

  // Any record of the model; none when it is empty.
  std::pair<std::size_t, Model::iterator> pick() {
    const std::size_t which = prng_.below(3);
    Model& model = models_[which];
    if (model.empty()) return {which, model.end()};
    return {which, std::next(model.begin(), static_cast<std::ptrdiff_t>(prng_.below(model.size())))};
  }

  void touch() {
    const auto [which, record] = pick();
    if (record != models_[which].end()) store_->touch(record->first);
  }

  void forget() {
    const auto [which, record] = pick();
    if (record == models_[which].end()) return;
    store_->forget(fingerprints_[which], testing::record_of(fingerprints_[which], record->second.seed, 0).key,
                   record->first);
    models_[which].erase(record);
  }

  void read() {
    const auto [which, record] = pick();
    if (record == models_[which].end()) return;
    DiskRecord expected = testing::record_of(fingerprints_[which], record->second.seed, record->second.bytes);
    expected.number = record->first;
    std::vector<std::byte> got(record->second.bytes);
    ASSERT_EQ(store_->read(expected, got), std::nullopt);
    ASSERT_EQ(got, testing::payload_of(record->second.seed, record->second.bytes));
  }

  void flush() {
    store_->flush();
    for (const auto& model : models_)
      for (const auto& [number, record] : model) ASSERT_TRUE(record.durable);
  }

  // Numbers may differ afterwards; everything else may not, except what the start had to drop.
  void reopen() {
    std::size_t records_before = 0, records_after = 0;
    reclaimed_by_open_ = 0;
    reappended += store_->stats().records_reappended;
    store_.reset();
    std::array<Model, 3> before = std::exchange(models_, {});
    open();
    for (std::size_t which = 0; which < 3; ++which) {
      std::map<BlockKey, ModelRecord> by_key;
      for (const auto& [number, record] : before[which])
        by_key[testing::record_of(fingerprints_[which], record.seed, 0).key] = record;
      for (const DiskRecord& found : store_->records_of(fingerprints_[which])) {
        ASSERT_TRUE(by_key.count(found.key));
        models_[which][found.number] = by_key[found.key];
        models_[which][found.number].durable = true;
      }
      records_before += before[which].size();
      records_after += models_[which].size();
    }
    ASSERT_EQ(records_after, records_before - reclaimed_by_open_);
  }

  const std::string path_;
  Prng prng_;
  std::vector<Fingerprint> fingerprints_;
  std::array<Model, 3> models_;
  std::map<std::uint64_t, std::size_t> sizes_;  // by seed
  std::uint64_t last_seed_ = 0;
  std::size_t reclaimed_by_open_ = 0;
  std::unique_ptr<disk::DiskStore> store_;
};

TEST(DiskTierReference, RandomOperationsAgreeWithAMap) {
  const std::uint64_t seeds = std::getenv("KVASIR_FULL") ? 10 : 2;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(seed);
    testing::TempDir dir;
    Pair pair(dir / "store", seed);
    for (int i = 0; i < 3000 && !HasFatalFailure(); ++i) {
      pair.step();
      if (i % 10 == 0) pair.check();
    }
    EXPECT_GT(pair.reclaimed, 100u);
    EXPECT_GT(pair.reappended, 10u);
  }
}

}  // namespace
}  // namespace kvasir
