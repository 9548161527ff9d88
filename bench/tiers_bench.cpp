// What the disk tier makes of the device: reads and writes beside plain O_DIRECT files of the same size, in interleaved
// rounds; bytes the device is given for each byte committed; how much of the cap holds live records under churn; and
// how long a start takes. Blocks are as large as the default model's.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "storage/base/prng.h"
#include "storage/tiers/disk_tier.h"

namespace kvasir {
namespace {

constexpr std::size_t kBlockBytes = 737'280;  // 32 tokens of SmolLM2-135M in f16; a multiple of 4096
constexpr std::size_t kInFlight = 64;

struct Options {
  std::string folder;
  std::uint64_t blocks = 400;
  int rounds = 3;
  bool json = false;
};

struct AlignedBuffer {
  explicit AlignedBuffer(std::size_t size)
      : bytes(static_cast<std::byte*>(std::aligned_alloc(4096, size))), count(size) {
    KVASIR_ASSERT(bytes != nullptr);
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer() { std::free(bytes); }
  std::span<std::byte> span() const { return {bytes, count}; }
  std::byte* const bytes;
  const std::size_t count;
};

void fill(std::span<std::byte> bytes, std::uint64_t seed) {
  for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    const std::uint64_t word = mix64(seed + at);
    std::memcpy(bytes.data() + at, &word, 8);
  }
}

DiskRecord record_of(std::uint64_t seed, std::size_t bytes) {
  DiskRecord record;
  fill(std::as_writable_bytes(std::span(record.key.bytes)), seed * 4096 + 1);
  for (TokenId id = 0; id < 32; ++id) record.ids.push_back(id);
  record.payload_bytes = bytes;
  return record;
}

double seconds(const std::function<void()>& work) {
  const TimePoint before = Clock::now();
  work();
  return seconds_between(before, Clock::now());
}

std::uint64_t bytes_written_by_process() {
  std::ifstream in("/proc/self/io");
  std::string name;
  std::uint64_t value = 0;
  while (in >> name >> value)
    if (name == "write_bytes:") return value;
  return 0;
}

// Drives a tier with at most kInFlight operations under way.
class Driver {
 public:
  explicit Driver(DiskTier& tier) : tier_(tier) {
    stored = tier.attach({}, [this] {
      std::lock_guard lock(mutex_);
      signalled_ = true;
      ready_.notify_one();
    });
    for (std::size_t i = 0; i < kInFlight; ++i) {
      buffers_.push_back(std::make_unique<AlignedBuffer>(kBlockBytes));
      fill(buffers_.back()->span(), i);
      free_.push_back(i);
    }
  }
  ~Driver() { tier_.detach({}); }

  void write(std::uint64_t seed, std::size_t bytes = kBlockBytes) {
    const std::size_t buffer = take();
    while (!tier_.write(record_of(seed, bytes), buffers_[buffer]->span().first(bytes), buffer)) wait();
  }
  void read(const DiskRecord& record) {
    const std::size_t buffer = take();
    tier_.read(record, buffers_[buffer]->span(), buffer);
  }
  void finish() {
    while (free_.size() < kInFlight) wait();
  }

  std::vector<DiskRecord> stored;
  std::vector<std::uint64_t> numbers;
  std::uint64_t faults = 0;

 private:
  std::size_t take() {
    while (free_.empty()) wait();
    const std::size_t buffer = free_.back();
    free_.pop_back();
    return buffer;
  }
  void wait() {
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [&] { return signalled_; });
      signalled_ = false;
    }
    for (const DiskCompletion& c : tier_.drain({})) {
      if (c.kind == DiskCompletion::Kind::durable || c.kind == DiskCompletion::Kind::reclaimed) continue;
      if (c.fault || c.kind == DiskCompletion::Kind::refused) ++faults;
      if (c.kind == DiskCompletion::Kind::written) numbers.push_back(c.number);
      free_.push_back(c.tag);
    }
  }

  DiskTier& tier_;
  std::mutex mutex_;
  std::condition_variable ready_;
  bool signalled_ = false;
  std::vector<std::unique_ptr<AlignedBuffer>> buffers_;
  std::vector<std::size_t> free_;
};

std::unique_ptr<DiskTier> open_tier(const std::string& path, std::uint64_t capacity, std::uint32_t readers) {
  DiskTierConfig config;
  config.path = path;
  config.capacity_bytes = capacity;
  config.reader_threads = readers;
  auto tier = DiskTier::open(config);
  if (!tier.ok()) {
    std::fprintf(stderr, "tiers_bench: %s\n", tier.error().message.c_str());
    std::exit(1);
  }
  return std::move(*tier);
}

// The peer: one file, O_DIRECT, as many threads.
void plain_write(const std::string& path, std::uint64_t blocks) {
  const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_DIRECT, 0600);
  AlignedBuffer buffer(kBlockBytes);
  fill(buffer.span(), 1);
  for (std::uint64_t i = 0; i < blocks; ++i) {
    if (::pwrite(file, buffer.bytes, kBlockBytes, static_cast<off_t>(i * kBlockBytes)) !=
        static_cast<ssize_t>(kBlockBytes))
      std::exit(1);
    if (i % 44 == 43) ::fdatasync(file);  // every 32 MB, as the tier does
  }
  ::fdatasync(file);
  ::close(file);
}

void plain_read(const std::string& path, const std::vector<std::uint64_t>& order, std::uint32_t threads) {
  const int file = ::open(path.c_str(), O_RDONLY | O_DIRECT);
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> readers;
  for (std::uint32_t t = 0; t < threads; ++t)
    readers.emplace_back([&] {
      AlignedBuffer buffer(kBlockBytes);
      for (std::size_t i; (i = next++) < order.size();)
        if (::pread(file, buffer.bytes, kBlockBytes, static_cast<off_t>(order[i] * kBlockBytes)) !=
            static_cast<ssize_t>(kBlockBytes))
          std::exit(1);
    });
  for (std::thread& reader : readers) reader.join();
  ::close(file);
}

std::vector<std::uint64_t> shuffled(std::uint64_t count, std::uint64_t seed) {
  std::vector<std::uint64_t> order(count);
  Prng prng(seed);
  for (std::uint64_t i = 0; i < count; ++i) order[i] = i;
  for (std::uint64_t i = count; i > 1; --i) std::swap(order[i - 1], order[prng.below(i)]);
  return order;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Report {
 public:
  explicit Report(bool json) : json_(json) {}
  // `goal` is of the ratio where there is a peer, of the value where not; `at_least` says in which direction.
  void line(const std::string& figure, double value, const char* unit, const char* peer, double peer_value, double goal,
            bool at_least = true) const {
    const double ratio = peer_value > 0 ? value / peer_value : 0, judged = peer_value > 0 ? ratio : value;
    const bool met = at_least ? judged >= goal : judged <= goal;
    if (json_)
      std::printf(
          "{\"figure\": \"%s\", \"value\": %.4g, \"unit\": \"%s\", \"peer\": \"%s\", \"peer_value\": %.4g, "
          "\"ratio\": %.3f, \"goal\": %.3g, \"met\": %s}\n",
          figure.c_str(), value, unit, peer, peer_value, ratio, goal, met ? "true" : "false");
    else
      std::printf("%-34s %9.3g %-6s  %-22s %9.3g  ratio %6.3f  goal %s %.3g  %s\n", figure.c_str(), value, unit, peer,
                  peer_value, ratio, at_least ? ">=" : "<=", goal, met ? "met" : "missed");
    std::fflush(stdout);
  }

 private:
  bool json_;
};

constexpr const char* kPlain = "plain O_DIRECT";

void bench_bandwidth(const Options& options, const Report& report) {
  const double gigabytes = static_cast<double>(options.blocks * kBlockBytes) / 1e9;
  const std::string plain = options.folder + "/plain", store = options.folder + "/store";
  std::vector<double> ours, theirs;
  double written_per_byte = 0;
  for (int round = 0; round < options.rounds; ++round) {
    std::filesystem::remove_all(store);
    auto tier = open_tier(store, 8ull << 30, 1);
    Driver driver(*tier);
    const std::uint64_t before = bytes_written_by_process();
    ours.push_back(gigabytes / seconds([&] {
                     for (std::uint64_t seed = 0; seed < options.blocks; ++seed) driver.write(seed);
                     driver.finish();
                     tier->flush();
                   }));
    written_per_byte = static_cast<double>(bytes_written_by_process() - before) / (gigabytes * 1e9);
    theirs.push_back(gigabytes / seconds([&] { plain_write(plain, options.blocks); }));
  }
  report.line("write until durable", median(ours), "GB/s", kPlain, median(theirs), 0.5);
  report.line("device bytes per committed byte", written_per_byte, "B/B", "none", 0, 1.05, false);

  for (const std::uint32_t readers : {1u, 2u, 4u, 8u}) {
    ours.clear();
    theirs.clear();
    auto tier = open_tier(store, 8ull << 30, readers);
    Driver driver(*tier);
    for (int round = 0; round < options.rounds; ++round) {
      const auto order = shuffled(options.blocks, static_cast<std::uint64_t>(round));
      ours.push_back(gigabytes / seconds([&] {
                       for (const std::uint64_t i : order) driver.read(driver.stored[i]);
                       driver.finish();
                     }));
      theirs.push_back(gigabytes / seconds([&] { plain_read(plain, order, readers); }));
    }
    KVASIR_ASSERT(driver.faults == 0);
    report.line("read, readers=" + std::to_string(readers), median(ours), "GB/s", kPlain, median(theirs), 0.85);
  }
  std::filesystem::remove(plain);
  std::filesystem::remove_all(store);
}

// Three times the cap is written; one record in five is touched now and then.
void bench_churn(const Options& options, const Report& report) {
  const std::uint64_t capacity = 512ull << 20;
  auto tier = open_tier(options.folder + "/churn", capacity, 1);
  Driver driver(*tier);
  Prng prng(1);
  const std::uint64_t before = bytes_written_by_process(), blocks = 3 * capacity / kBlockBytes;
  double share_least = 1;
  std::uint64_t physical_most = 0;
  for (std::uint64_t seed = 0; seed < blocks; ++seed) {
    driver.write(seed);
    if (!driver.numbers.empty()) tier->touch(driver.numbers[prng.below(driver.numbers.size()) / 5 * 5]);
    const DiskStats stats = tier->stats();
    physical_most = std::max(physical_most, stats.physical_bytes);
    if (seed > blocks / 2)
      share_least =
          std::min(share_least, static_cast<double>(stats.records * kBlockBytes) / static_cast<double>(capacity));
  }
  driver.finish();
  tier->flush();
  const DiskStats stats = tier->stats();
  const double committed = static_cast<double>(blocks * kBlockBytes);
  report.line("churn: live share of the cap, mean",
              static_cast<double>(stats.records * kBlockBytes) / static_cast<double>(capacity), "", "none", 0, 0.85);
  report.line("churn: live share of the cap, least", share_least, "", "none", 0, 0.8);
  report.line("churn: device bytes per byte", static_cast<double>(bytes_written_by_process() - before) / committed,
              "B/B", "none", 0, 1.3, false);
  report.line("churn: highest use of the cap", static_cast<double>(physical_most) / static_cast<double>(capacity), "",
              "none", 0, 1.0, false);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const double buffers = static_cast<double>(kInFlight * kBlockBytes) / 1e6;
  report.line("peak memory beside the blocks", static_cast<double>(usage.ru_maxrss) / 1e3 - buffers, "MB", "none", 0,
              150, false);
  std::fprintf(stderr, "churn: %lu reclaimed, %lu appended again, %lu refused\n", stats.records_reclaimed,
               stats.records_reappended, stats.writes_refused);
}

void bench_start(const Options& options, const Report& report) {
  constexpr std::uint64_t records = 100'000;
  const std::string store = options.folder + "/start";
  {
    auto tier = open_tier(store, 4ull << 30, 1);
    Driver driver(*tier);
    for (std::uint64_t seed = 0; seed < records; ++seed) driver.write(seed, 1024);
    driver.finish();
    tier->flush();
  }
  std::size_t attached = 0;
  const double taken = seconds([&] {
    auto tier = open_tier(store, 4ull << 30, 1);
    attached = tier->attach({}, [] {}).size();
    tier->detach({});
  });
  KVASIR_ASSERT(attached == records);
  report.line("start with 100,000 records", taken, "s", "none", 0, 2, false);
}

}  // namespace
}  // namespace kvasir

int main(int argc, char** argv) {
  kvasir::Options options;
  CLI::App app("tiers_bench: the disk tier beside plain files");
  options.folder =
      (std::filesystem::temp_directory_path() / ("kvasir-tiers-bench-" + std::to_string(::getpid()))).string();
  app.add_option("--folder", options.folder, "where to write (about 3 GB), removed afterwards");
  app.add_option("--blocks", options.blocks, "blocks of 737,280 bytes in the bandwidth part");
  app.add_option("--rounds", options.rounds, "interleaved rounds; medians are reported")->check(CLI::Range(1, 100));
  app.add_flag("--json", options.json, "JSON lines");
  CLI11_PARSE(app, argc, argv);
  std::filesystem::create_directories(options.folder);
  const kvasir::Report report(options.json);
  kvasir::bench_bandwidth(options, report);
  kvasir::bench_churn(options, report);
  kvasir::bench_start(options, report);
  std::filesystem::remove_all(options.folder);
}
