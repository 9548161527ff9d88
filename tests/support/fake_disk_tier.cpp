#include "tests/support/fake_disk_tier.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace kvasir::testing {

FakeDiskTier::FakeDiskTier(std::uint64_t seed, FakeDiskOptions fault_options) : options(fault_options), prng_(seed) {}

void FakeDiskTier::step() {
  if (options.stuck) return;
  std::vector<Operation> due = take_due();
  if (options.reorder) {
    for (std::size_t i = due.size(); i > 1; --i) std::swap(due[i - 1], due[prng_.below(i)]);
  }
  for (Operation& operation : due) perform(operation);
  age_records();
  if (prng_.chance(options.reclaim_percent)) reclaim_oldest();
}

bool FakeDiskTier::idle() const {
  return operations_.empty() &&
         std::all_of(stored_.begin(), stored_.end(), [](const auto& entry) { return entry.second.durable; });
}

void FakeDiskTier::run_until_idle() {
  KVASIR_ASSERT(!options.stuck);
  while (!idle()) step();
}

void FakeDiskTier::crash() {
  std::erase_if(stored_, [](const auto& entry) { return !entry.second.durable; });
  operations_.clear();
  clients_.clear();
}

void FakeDiskTier::fail_next_reads(std::uint32_t count, RecordFault fault) {
  faults_to_inject_ = count;
  fault_to_inject_ = fault;
}

void FakeDiskTier::reclaim_oldest() {
  if (stored_.empty()) return;
  Stored& oldest = stored_.begin()->second;
  if (std::exchange(oldest.touched, false)) {  // worth keeping: appended again, under the number it is known by
    ++stats_.records_reappended;
    return;
  }
  reclaim(oldest.meta.number);
}

void FakeDiskTier::reclaim(std::uint64_t number) {
  const DiskRecord record = std::move(stored_.at(number).meta);
  stored_.erase(number);
  ++stats_.records_reclaimed;
  complete(record.fingerprint, {DiskCompletion::Kind::reclaimed, record.key, record.number, 0, std::nullopt});
}

const DiskRecord* FakeDiskTier::find(const BlockKey& key) const {
  const DiskRecord* newest = nullptr;
  for (const auto& [number, stored] : stored_)
    if (stored.meta.key == key) newest = &stored.meta;
  return newest;
}

std::vector<DiskRecord> FakeDiskTier::records() const {
  std::vector<DiskRecord> all;
  for (const auto& [number, stored] : stored_) all.push_back(stored.meta);
  return all;
}

void FakeDiskTier::insert(DiskRecord record, std::vector<std::byte> payload) {
  record.number = next_number_++;
  const std::uint64_t number = record.number;
  stored_.emplace(number, Stored{std::move(record), std::move(payload), 0, true, false});
}

std::uint32_t FakeDiskTier::reads_waiting() const {
  return static_cast<std::uint32_t>(
      std::count_if(operations_.begin(), operations_.end(), [](const Operation& o) { return !o.is_write; }));
}

std::uint32_t FakeDiskTier::writes_waiting() const {
  return static_cast<std::uint32_t>(operations_.size()) - reads_waiting();
}

std::vector<DiskRecord> FakeDiskTier::attach(const Fingerprint& fingerprint,
                                             std::function<void()> on_completion_ready) {
  clients_[fingerprint] = {std::move(on_completion_ready), {}};
  std::vector<DiskRecord> own;
  for (const auto& [number, stored] : stored_)
    if (stored.meta.fingerprint == fingerprint) own.push_back(stored.meta);
  return own;
}

void FakeDiskTier::detach(const Fingerprint& fingerprint) {
  std::erase_if(operations_, [&](const Operation& o) { return o.record.fingerprint == fingerprint; });
  clients_.erase(fingerprint);
}

void FakeDiskTier::read(const DiskRecord& expected, std::span<std::byte> into, std::uint64_t tag) {
  KVASIR_ASSERT(into.size() == expected.payload_bytes);
  ++reads_started_;
  enqueue({false, expected, into, {}, tag, 0});
}

bool FakeDiskTier::write(DiskRecord record, std::span<const std::byte> payload, std::uint64_t tag) {
  KVASIR_ASSERT(payload.size() == record.payload_bytes);
  if (operations_.size() >= options.queue_max) return false;
  enqueue({true, std::move(record), {}, payload, tag, 0});
  return true;
}

void FakeDiskTier::forget(const Fingerprint& fingerprint, const BlockKey& key, std::uint64_t number) {
  const auto found = stored_.find(number);
  if (found == stored_.end()) return;
  KVASIR_ASSERT(found->second.meta.key == key && found->second.meta.fingerprint == fingerprint);
  stored_.erase(found);
}

void FakeDiskTier::touch(std::uint64_t number) {
  ++touches_;
  if (const auto found = stored_.find(number); found != stored_.end()) found->second.touched = true;
}

std::vector<DiskCompletion> FakeDiskTier::drain(const Fingerprint& fingerprint) {
  const auto client = clients_.find(fingerprint);
  return client == clients_.end() ? std::vector<DiskCompletion>{} : std::exchange(client->second.completions, {});
}

void FakeDiskTier::flush() {
  std::vector<Operation> all = std::exchange(operations_, {});
  for (Operation& operation : all) perform(operation);
  for (auto& [number, stored] : stored_) make_durable(stored);
}

DiskStats FakeDiskTier::stats() const {
  DiskStats stats = stats_;
  stats.records = stored_.size();
  for (const auto& [number, stored] : stored_) stats.physical_bytes += stored.payload.size();
  return stats;
}

void FakeDiskTier::enqueue(Operation operation) {
  KVASIR_ASSERT(clients_.contains(operation.record.fingerprint));
  operation.steps_left = 1 + static_cast<std::uint32_t>(prng_.below(options.delay_steps_max + 1));
  operations_.push_back(std::move(operation));
}

std::vector<FakeDiskTier::Operation> FakeDiskTier::take_due() {
  for (Operation& operation : operations_) --operation.steps_left;
  const auto first_due = std::stable_partition(operations_.begin(), operations_.end(),
                                               [](const Operation& o) { return o.steps_left > 0; });
  std::vector<Operation> due(std::make_move_iterator(first_due), std::make_move_iterator(operations_.end()));
  operations_.erase(first_due, operations_.end());
  return due;
}

void FakeDiskTier::perform(Operation& operation) {
  operation.is_write ? perform_write(operation) : perform_read(operation);
}

void FakeDiskTier::perform_read(Operation& operation) {
  const DiskRecord& expected = operation.record;
  const std::optional<RecordFault> fault = read_fault(expected);
  if (fault) {
    for (std::byte& byte : operation.into) byte = static_cast<std::byte>(prng_.next());
  } else {
    std::memcpy(operation.into.data(), stored_.at(expected.number).payload.data(), operation.into.size());
  }
  complete(expected.fingerprint, {DiskCompletion::Kind::read, expected.key, expected.number, operation.tag, fault});
}

std::optional<RecordFault> FakeDiskTier::read_fault(const DiskRecord& expected) {
  const auto found = stored_.find(expected.number);
  if (found == stored_.end()) return RecordFault::missing;
  const DiskRecord& actual = found->second.meta;
  if (actual.ids != expected.ids || actual.key != expected.key) return RecordFault::wrong_tokens;
  if (found->second.payload.size() != expected.payload_bytes) return RecordFault::wrong_size;
  if (faults_to_inject_ > 0) {
    --faults_to_inject_;
    return fault_to_inject_;
  }
  if (prng_.chance(options.read_fault_percent)) return static_cast<RecordFault>(prng_.below(kRecordFaultCount));
  return std::nullopt;
}

void FakeDiskTier::perform_write(Operation& operation) {
  DiskRecord& record = operation.record;
  if (prng_.chance(options.refuse_percent)) {
    ++stats_.writes_refused;
    complete(record.fingerprint, {DiskCompletion::Kind::refused, record.key, 0, operation.tag, std::nullopt});
    return;
  }
  record.number = next_number_++;
  stats_.bytes_written += operation.payload.size();
  complete(record.fingerprint, {DiskCompletion::Kind::written, record.key, record.number, operation.tag, std::nullopt});
  const std::uint64_t number = record.number;
  stored_.emplace(number, Stored{std::move(record),
                                 {operation.payload.begin(), operation.payload.end()},
                                 options.durable_after_steps,
                                 false,
                                 false});
  while (stored_.size() > options.records_max) reclaim_oldest();
}

void FakeDiskTier::age_records() {
  for (auto& [number, stored] : stored_) {
    if (stored.steps_until_durable > 0) {
      --stored.steps_until_durable;
    } else {
      make_durable(stored);
    }
  }
}

void FakeDiskTier::make_durable(Stored& stored) {
  if (std::exchange(stored.durable, true)) return;
  complete(stored.meta.fingerprint,
           {DiskCompletion::Kind::durable, stored.meta.key, stored.meta.number, 0, std::nullopt});
}

void FakeDiskTier::complete(const Fingerprint& fingerprint, DiskCompletion completion) {
  const auto client = clients_.find(fingerprint);
  if (client == clients_.end()) return;
  client->second.completions.push_back(completion);
  client->second.wake();
}

}  // namespace kvasir::testing
