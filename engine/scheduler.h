#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "engine/draft_pace.h"
#include "engine/fair_share.h"
#include "engine/prefill_claims.h"
#include "engine/prefill_pace.h"
#include "engine/prefill_shares.h"
#include "engine/request_ends.h"
#include "engine/sequence.h"
#include "engine/waiting_queue.h"

namespace kvasir {

// Something a listener is to be told, in order.
struct Delivery {
  SequenceId id{};
  std::shared_ptr<TokenListener> listener;
  std::variant<PromptUsage, SampledToken, FinishInfo> event;
};

struct SchedulerCounters {  // monotone
  std::uint64_t preemptions = 0, finished = 0;
  std::array<std::uint64_t, kTierCount> prompt_tokens_cached{};
  std::uint64_t prompt_tokens_computed = 0, tokens_recomputed = 0, tokens_generated = 0;
  std::uint64_t tokens_drafted = 0, tokens_accepted = 0;  // guesses checked; those that saved a step
};

// Decides what every step computes: admission, continuous batching with chunked prefill, blocks, preemption, cancel,
// deadlines. Does no I/O and never waits; time is an argument, so the same calls give the same decisions. Owned by the
// owner thread; no locks.
//
// Life of a step:  plan() -> the backend computes the batch -> apply() of its result -> take_deliveries()
// Anything else may be called at any time, also between plan() and apply().
//
// Room. A sequence is admitted when the blocks that are free or evictable cover what it lacks of its tokens, what those
// already running lack of theirs, and one block of growth for each of them. When a running one finds no block all the
// same, the one admitted last is preempted; a sequence that holds the whole pool alone has reached its length.
//
// Order. Every decode is in every step; prefill gets what PrefillPace leaves it. Between tenants FairShare decides,
// both who is admitted and who is given prefill tokens. Within a tenant goes first what is due first: a prompt is due a
// few times later than it would be done, computed alone, so short rests pass long ones, but only if they came soon
// after.
//
// Speculation. Where every running sequence decodes, some have guesses of their next tokens checked in the same step,
// as many as DraftPace finds worth it within the target of latencies. They use blocks that are free, never evict or
// preempt, and are charged as any token computed. Nothing but time tells whether a token was guessed: what is sampled,
// the blocks committed and all counts are those of one token a step.
//
// Sharing. A prompt whose first blocks another sequence computes waits until those are committed. Meanwhile the other
// one goes on as if it were due, and charged, as the most urgent of those who wait for it: nobody waits longer for a
// block than it would take to have it computed.
class Scheduler {
 public:
  // `cache` outlives the scheduler; `pool_blocks` is the size of its pool.
  Scheduler(const EngineConfig& config, PrefixCache& cache, std::uint32_t pool_blocks);

  void add(std::unique_ptr<Sequence> sequence);
  void end(SequenceId id, Ending ending, TimePoint now);  // unknown ids are ignored
  void end_all(const Ending& ending, TimePoint now);
  void tell_end(SequenceId id, RequestEnd end);  // how a request ends, as far as its caller knows
  void expire(TimePoint now);                    // ends those whose deadline has passed
  void collect_loads(TimePoint now);  // loading sequences whose reads are done, or take too long, start to run

  Batch plan(TimePoint now);  // REQUIRES: no step in flight. Empty when nothing can run.
  void apply(const BatchResult& result, TimePoint now);
  std::vector<Delivery> take_deliveries();

  bool has_deliveries() const { return !deliveries_.empty(); }
  bool empty() const { return sequences_.empty(); }
  std::optional<TimePoint> next_deadline() const;
  std::uint32_t running() const { return static_cast<std::uint32_t>(running_.size()); }
  std::uint32_t loading() const { return static_cast<std::uint32_t>(loading_.size()); }
  std::uint32_t waiting() const { return waiting_.size(); }
  const SchedulerCounters& counters() const { return counters_; }
  const PrefillPace& pace() const { return pace_; }
  std::uint32_t prefill_budget() const { return prefill_budget_; }  // of the last step
  std::vector<TenantStats> tenants() const;
  void check_invariants() const;

 private:
  struct Scheduled {
    Sequence* sequence = nullptr;
    std::uint32_t end = 0;           // computes up to this token
    FairShare::Account account = 0;  // whom it is charged to
  };
  // Why the last admission attempt failed: not worth another before something changed.
  struct NoRoom {
    SequenceId id{};
    std::uint32_t available = 0, active = 0;
  };

  void admit(TimePoint now);
  void look_up_waiting();
  bool awaits_claim(Sequence& sequence);
  void settle_shares();
  TimePoint due(const Sequence& sequence, std::uint32_t remaining) const;
  std::vector<PrefillDemand> admitted_prefill() const;
  bool try_admit(Sequence& sequence, TimePoint now);
  bool room_for(const Sequence& sequence, std::uint32_t blocks_held) const;
  void claim_from(const Sequence& sequence, std::size_t block);
  std::uint32_t blocks_wanted(const Sequence& sequence) const;
  void start_running(Sequence& sequence, PrefixHold hold, TimePoint now);
  void fix_usage(Sequence& sequence, const PrefixHold& hold, TimePoint now);

  std::vector<Scheduled> grant_tokens();
  void donate(const std::vector<Sequence*>& prefilling, std::vector<PrefillDemand>& demands) const;
  void spare_ending(const std::vector<Sequence*>& prefilling, std::vector<PrefillDemand>& demands) const;
  void add_drafts(TimePoint now);
  void take_free_blocks(Sequence& sequence, std::uint32_t end, TimePoint now);
  void account_step();
  std::uint32_t ensure_blocks(Sequence& sequence, std::uint32_t end, TimePoint now);
  bool make_room(Sequence& sequence, TimePoint now);
  void preempt(Sequence& sequence);

  void learn_step(double seconds);
  void apply_to(const Scheduled& scheduled, const SequenceOutput& output, TimePoint now);
  void take_computed(Sequence& sequence, std::uint32_t end, TimePoint now);
  bool take_token(Sequence& sequence, const SampledToken& token, TimePoint now);  // false when it ended with it
  void end(Sequence& sequence, Ending ending, TimePoint now);
  void finish(Sequence& sequence, Ending ending, TimePoint now);
  // Out of the queue or set it is in, blocks and claims given back.
  void leave(Sequence& sequence);

  EngineConfig config_;
  PrefixCache& cache_;
  std::uint32_t pool_blocks_;
  std::uint32_t block_tokens_;
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  WaitingQueue waiting_;
  std::vector<Sequence*> loading_;  // by admission
  std::vector<Sequence*> running_;  // by admission
  FairShare shares_;
  PrefillPace pace_;
  DraftPace drafts_;
  std::vector<Scheduled> in_flight_;
  bool step_in_flight_ = false;
  TimePoint step_started_;
  StepLoad step_load_;  // without drafts
  std::uint32_t step_drafts_ = 0;
  std::uint32_t prefill_budget_ = 0;
  PrefillClaims claims_;
  RequestEnds ends_;
  std::optional<NoRoom> no_room_;
  std::uint64_t admissions_ = 0;
  std::vector<Delivery> deliveries_;
  SchedulerCounters counters_;
};

}  // namespace kvasir
