#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/scheduler.h"

namespace kvasir {

// The engine without its thread: prefix cache, scheduler and backend put together. The owner thread of Engine drives
// it; so does the simulator, on one thread with its own clock.
//
// One turn:  submit() and cancel() of what arrived -> advance(now) -> stats() -> deliver(now)
class EngineCore {
 public:
  // Backend and disk outlive the core. Throws std::invalid_argument when the parts do not fit together (start-up).
  EngineCore(const EngineConfig& config, Backend& backend, const Fingerprint& fingerprint,
             const PrefixCacheConfig& cache, DiskTier* disk);
  ~EngineCore();  // REQUIRES: no step in flight, unless the backend is never used again. Listeners hear nothing.

  // Why this request can never run, if so; thread-safe. Sequences come from make_sequence(), thread-safe too.
  Status check(const GenerateRequest& request) const;
  std::unique_ptr<Sequence> make_sequence(SequenceId id, GenerateRequest request,
                                          std::shared_ptr<TokenListener> listener) const;

  void submit(std::unique_ptr<Sequence> sequence) { scheduler_.add(std::move(sequence)); }
  void cancel(SequenceId id, TimePoint now);
  void tell_end(SequenceId id, RequestEnd end) { scheduler_.tell_end(id, end); }
  void stop(TimePoint now);  // ends everything as failed

  // Applies what the backend and the disk have finished, then starts the next step when none is in flight.
  void advance(TimePoint now);
  // Tells the listeners. True when a listener's answer ended sequences: another turn is due at once.
  bool deliver(TimePoint now);

  bool step_in_flight() const { return ticket_.has_value(); }
  bool empty() const { return scheduler_.empty() && !ticket_; }
  std::optional<TimePoint> next_deadline() const { return scheduler_.next_deadline(); }
  EngineStats stats() const;
  const BackendInfo& backend() const { return backend_.info(); }
  std::uint32_t context_tokens() const { return context_tokens_; }
  PrefixCache& cache() { return cache_; }
  void check_invariants() const;

 private:
  void start_step(TimePoint now);

  Backend& backend_;
  std::uint32_t context_tokens_;
  std::uint32_t pool_blocks_;
  PrefixCache cache_;
  BlockKey root_;
  Scheduler scheduler_;
  std::optional<Ticket> ticket_;
  std::uint64_t steps_ = 0;
};

}  // namespace kvasir
