#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "storage/base/ids.h"
#include "storage/base/prng.h"
#include "storage/policy/eviction_policy.h"
#include "storage/policy/hazard_table.h"
#include "storage/policy/lru_shadow.h"
#include "storage/policy/run_log.h"
#include "storage/prefix_node.h"

namespace kvasir {

// Evicts the run of blocks that is worth least: the fewest uses to expect per second kept. What to expect is learned
// (HazardTable) for classes of runs by how often their blocks were used, the pause before the last use, and how the
// request ended; runs of a continuation that a later request left form a class of their own.
//
// It counts what plain LRU would have hit (LruShadow), and evicts like LRU while it is behind.
class ValuePolicy final : public EvictionPolicy {
 public:
  // `pins`: running requests hold their blocks in this pool.
  ValuePolicy(std::uint32_t capacity_blocks, bool pins);

  void request_begins(PolicyRequest request, TimePoint now) override;
  void request_ends(PolicyRequest request, const RequestOutcome& outcome, TimePoint now) override;
  void used(PrefixNode& node, const BlockUse& use) override;
  void evictable(PrefixNode& node) override;
  void kept(PrefixNode& node) override;
  void evicted(PrefixNode& node) override;
  void forgotten(PrefixNode& node) override;
  PrefixNode* victim() override;
  bool holds(const PrefixNode& node) const override;
  std::size_t evictable_count() const override { return leaves_.size(); }
  void check_invariants() const override;

  const HazardTable& table() const { return table_; }
  bool follows_lru() const { return follows_lru_; }

 private:
  static constexpr std::uint32_t kUseClasses = 5;

  // Of a request: the runs of its blocks so far, by how often they had been used.
  struct Request {
    Request() { runs.fill(kNoRun); }
    std::array<RunId, kUseClasses> runs;
    std::array<std::uint64_t, kUseClasses> numbers{};  // of those runs, whose ids may be used again
    std::uint32_t gap = 0;
    bool gap_known = false;
    bool left_known = false;  // past the last block that was ever seen before
  };
  // What is known of a block that is in no tier.
  struct Ghost {
    RunId run;
    std::uint8_t uses, fanout;
    std::uint64_t number;
  };

  void see(TimePoint now);
  void finish(const Request& request, std::optional<RequestOutcome> outcome);
  bool owns(const Request& request, std::uint32_t uses) const;
  Request& request(PolicyRequest id);
  Request& anonymous_request();
  void recall(PrefixNode& node);
  void set_gap(Request& request, double gap);
  void return_of(PrefixNode& node);
  void flush_returns();
  void join_run(PrefixNode& node, Request& request, PolicyRequest id);
  void supersede(PrefixNode& parent);
  void drop_ghosts();
  void judge();

  const std::uint32_t capacity_;
  const bool pins_;
  HazardTable table_;
  RunLog runs_;
  LruShadow shadow_;
  Prng prng_{1};
  double now_ = 0;
  TimePoint origin_ = TimePoint::min();

  std::unordered_map<PolicyRequest, Request> requests_;
  std::deque<PolicyRequest> requests_in_order_;
  std::uint64_t requests_seen_ = 0;
  Request anonymous_;
  double anonymous_since_ = 0;
  RunId returning_run_ = kNoRun;  // blocks used again but not yet told to runs_: they come in runs

  std::vector<PrefixNode*> leaves_;
  PrefixNode* chosen_ = nullptr;
  RunId last_run_ = kNoRun;  // of the block evicted last

  std::unordered_map<std::uint64_t, Ghost> ghosts_;                      // by the first word of the key
  std::deque<std::pair<std::uint64_t, std::uint64_t>> ghosts_in_order_;  // key and number; some came back
  std::uint64_t ghost_number_ = 0;

  double hits_ = 0, lru_hits_ = 0;
  bool follows_lru_ = false;
  std::uint64_t follows_until_ = 0;      // a number of requests seen
  std::uint64_t follow_requests_ = 256;  // the next time
};

}  // namespace kvasir
