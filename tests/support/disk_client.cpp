#include "tests/support/disk_client.h"

#include <cstring>
#include <filesystem>

#include <sys/stat.h>

#include "storage/base/assert.h"
#include "storage/base/prng.h"

namespace kvasir::testing {
namespace {

template <class D>
D digest_of(std::uint64_t key, std::uint64_t seed) {
  D digest;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::uint64_t word = uniform64(key + seed * 16, i);
    std::memcpy(digest.bytes.data() + i * 8, &word, 8);
  }
  return digest;
}

}  // namespace

Fingerprint fingerprint_of(std::uint64_t seed) { return digest_of<Fingerprint>(1, seed); }

DiskRecord record_of(const Fingerprint& fingerprint, std::uint64_t seed, std::size_t payload_bytes) {
  DiskRecord record;
  record.fingerprint = fingerprint;
  record.key = digest_of<BlockKey>(2, seed);
  record.parent = digest_of<BlockKey>(3, seed);
  record.salt = digest_of<Salt>(4, seed % 3);
  for (std::uint64_t i = 0; i < 32; ++i) record.ids.push_back(static_cast<TokenId>(uniform64(seed, i) % 50000));
  record.payload_bytes = payload_bytes;
  return record;
}

std::vector<std::byte> payload_of(std::uint64_t seed, std::size_t payload_bytes) {
  std::vector<std::byte> payload(payload_bytes);
  for (std::size_t at = 0; at < payload_bytes; at += 8) {
    const std::uint64_t word = mix64(seed * 0x9E3779B97F4A7C15ull + at);
    std::memcpy(payload.data() + at, &word, std::min<std::size_t>(8, payload_bytes - at));
  }
  return payload;
}

std::uint64_t disk_usage(const std::string& path) {
  const auto blocks = [](const std::filesystem::path& p) {
    struct stat found {};
    return ::lstat(p.c_str(), &found) == 0 ? static_cast<std::uint64_t>(found.st_blocks) * 512 : 0;
  };
  std::uint64_t bytes = blocks(path);
  std::error_code ignored;
  for (std::filesystem::recursive_directory_iterator at(path, ignored), end; at != end; at.increment(ignored))
    bytes += blocks(at->path());
  return bytes;
}

DiskClient::DiskClient(DiskTier& tier, const Fingerprint& fingerprint) : tier_(tier), fingerprint_(fingerprint) {
  attached_ = tier.attach(fingerprint, [this] {
    std::lock_guard lock(mutex_);
    signalled_ = true;
    ready_.notify_all();
  });
}

DiskClient::~DiskClient() { tier_.detach(fingerprint_); }

void DiskClient::start_write(std::uint64_t seed, std::size_t payload_bytes) {
  auto& payload = payloads_in_use_[seed] = payload_of(seed, payload_bytes);
  while (!tier_.write(record_of(fingerprint_, seed, payload_bytes), payload, seed)) wait();
}

std::uint64_t DiskClient::write(std::uint64_t seed, std::size_t payload_bytes) {
  start_write(seed, payload_bytes);
  while (payloads_in_use_.count(seed)) wait();
  const auto found = written.find(seed);
  return found == written.end() ? 0 : found->second;
}

void DiskClient::settle() {
  while (!payloads_in_use_.empty()) wait();
}

std::optional<RecordFault> DiskClient::read(const DiskRecord& record, std::vector<std::byte>* got) {
  got->assign(record.payload_bytes, std::byte{0});
  const std::uint64_t tag = ++read_tag_;
  tier_.read(record, *got, tag);
  while (!reads_done_.count(tag)) wait();
  const auto fault = reads_done_[tag];
  reads_done_.erase(tag);
  return fault;
}

std::optional<RecordFault> DiskClient::read_checked(std::uint64_t seed, std::uint64_t number,
                                                    std::size_t payload_bytes) {
  DiskRecord record = record_of(fingerprint_, seed, payload_bytes);
  record.number = number;
  std::vector<std::byte> got;
  const auto fault = read(record, &got);
  if (!fault) KVASIR_ASSERT(got == payload_of(seed, payload_bytes));
  return fault;
}

void DiskClient::poll() {
  for (const DiskCompletion& completion : tier_.drain(fingerprint_)) apply(completion);
}

void DiskClient::wait() {
  {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return signalled_; });
    signalled_ = false;
  }
  poll();
}

void DiskClient::apply(const DiskCompletion& completion) {
  switch (completion.kind) {
    case DiskCompletion::Kind::read:
      reads_done_[completion.tag] = completion.fault;
      return;
    case DiskCompletion::Kind::written:
      written[completion.tag] = completion.number;
      seed_of_number_[completion.number] = completion.tag;
      payloads_in_use_.erase(completion.tag);
      return;
    case DiskCompletion::Kind::durable:
      durable.insert(completion.tag);
      return;
    case DiskCompletion::Kind::refused:
      refused.insert(completion.tag);
      payloads_in_use_.erase(completion.tag);
      return;
    case DiskCompletion::Kind::reclaimed:
      if (const auto seed = seed_of_number_.find(completion.number); seed != seed_of_number_.end())
        reclaimed.insert(seed->second);
      return;
  }
}

}  // namespace kvasir::testing
