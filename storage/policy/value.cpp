#include "storage/policy/value.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "storage/base/assert.h"

namespace kvasir {
namespace {

using ClassId = HazardTable::ClassId;

constexpr std::uint32_t kGapClasses = 7, kEndClasses = 3, kLengthClasses = 6;
constexpr double kGapBorders[] = {4, 12, 40, 120, 400};  // seconds; class 0: never seen before

constexpr std::uint32_t kUses = 5;
constexpr ClassId kFirstUses = 1;
constexpr ClassId kFirstGap = kFirstUses + kUses;
constexpr ClassId kFirstEnd = kFirstGap + kUses * kGapClasses;
constexpr ClassId kFirstLength = kFirstEnd + kUses * kGapClasses * kEndClasses;
constexpr ClassId kSuperseded = kFirstLength + kUses * kGapClasses * kEndClasses * kLengthClasses;
constexpr ClassId kClasses = kSuperseded + 1;

constexpr std::uint32_t kRefreshRequests = 64;
constexpr std::uint32_t kLeavesSampled = 64;
constexpr std::uint64_t kGhostsPerBlock = 8;
constexpr std::size_t kRequestsMax = 4096;  // remembered ones; of those who never end the oldest are given up
constexpr std::uint8_t kFanoutMax = 4;      // children ever: more is a place that many start from
constexpr double kShadowMemory = 0.995;     // per refresh
constexpr double kBehindShare = 0.001;      // of LRU's hits: more is a mistake
constexpr double kBehindPool = 1.0 / 64;    // of the pool, on top: chance

ClassId gap_class(std::uint32_t uses, std::uint32_t gap) {
  return static_cast<ClassId>(kFirstGap + uses * kGapClasses + gap);
}

std::vector<ClassId> class_parents() {
  std::vector<ClassId> parents(kClasses, 0);
  for (std::uint32_t i = 0; i < kUses * kGapClasses; ++i)
    parents[kFirstGap + i] = static_cast<ClassId>(kFirstUses + i / kGapClasses);
  for (std::uint32_t i = 0; i < kUses * kGapClasses * kEndClasses; ++i)
    parents[kFirstEnd + i] = static_cast<ClassId>(kFirstGap + i / kEndClasses);
  for (std::uint32_t i = 0; i < kUses * kGapClasses * kEndClasses * kLengthClasses; ++i)
    parents[kFirstLength + i] = static_cast<ClassId>(kFirstEnd + i / kLengthClasses);
  return parents;
}

std::uint32_t uses_bucket(std::uint32_t uses) {
  return uses >= 16 ? 4 : uses >= 8 ? 3 : uses >= 4 ? 2 : uses >= 2 ? 1 : 0;
}

std::uint32_t gap_bucket(double seconds) {
  const auto* const above = std::upper_bound(std::begin(kGapBorders), std::end(kGapBorders), seconds);
  return 1 + static_cast<std::uint32_t>(above - std::begin(kGapBorders));
}

ClassId end_class(ClassId gap, const RequestOutcome& outcome) {
  const std::uint32_t e = outcome.end == RequestEnd::unknown ? 0 : outcome.end == RequestEnd::tool_use ? 1 : 2;
  const std::uint32_t at = (gap - kFirstGap) * kEndClasses + e;
  std::uint32_t len = 0;
  for (std::uint32_t border = 32; len + 1 < kLengthClasses && outcome.output_tokens >= border; border *= 2) ++len;
  return static_cast<ClassId>(kFirstLength + at * kLengthClasses + len);
}

std::uint64_t first_word(const BlockKey& key) {
  std::uint64_t word;
  std::memcpy(&word, key.bytes.data(), sizeof word);
  return word;
}

}  // namespace

ValuePolicy::ValuePolicy(std::uint32_t capacity_blocks, bool pins)
    : capacity_(capacity_blocks), pins_(pins), table_(class_parents()), runs_(table_), shadow_(runs_, capacity_blocks) {
  static_assert(kUses == kUseClasses);
}

void ValuePolicy::see(TimePoint now) {
  if (now == TimePoint::min()) return;
  if (origin_ == TimePoint::min()) origin_ = now;
  const double seconds = seconds_between(origin_, now);
  if (seconds <= now_) return;
  flush_returns();
  now_ = seconds;
  runs_.advance(now_);
}

void ValuePolicy::request_begins(PolicyRequest id, TimePoint now) {
  see(now);
  flush_returns();
  request(id);
  if (++requests_seen_ % kRefreshRequests == 0) {
    table_.age_statistics(now_);
    hits_ *= kShadowMemory;
    lru_hits_ *= kShadowMemory;
  }
  judge();
}

// Follows LRU while that is clearly ahead, and for longer each time.
void ValuePolicy::judge() {
  const bool behind = lru_hits_ - hits_ > kBehindShare * lru_hits_ + kBehindPool * capacity_;
  if (follows_lru_) {
    follows_lru_ = behind || requests_seen_ < follows_until_;
  } else if (behind) {
    follows_lru_ = true;
    follows_until_ = requests_seen_ + follow_requests_;
    follow_requests_ *= 2;
  }
}

ValuePolicy::Request& ValuePolicy::request(PolicyRequest id) {
  if (id == PolicyRequest::unknown) return anonymous_request();
  const auto [found, made] = requests_.try_emplace(id);
  if (!made) return found->second;
  requests_in_order_.push_back(id);
  if (requests_in_order_.size() > kRequestsMax) {
    const auto oldest = requests_.find(requests_in_order_.front());
    requests_in_order_.pop_front();
    if (oldest != requests_.end() && oldest->first != id) {
      finish(oldest->second, {});
      requests_.erase(oldest);
    }
  }
  return requests_.at(id);
}

// Uses that nobody is named for are taken for one request as long as they come at the same time.
ValuePolicy::Request& ValuePolicy::anonymous_request() {
  if (std::exchange(anonymous_since_, now_) != now_) anonymous_ = Request();
  return anonymous_;
}

void ValuePolicy::request_ends(PolicyRequest id, const RequestOutcome& outcome, TimePoint now) {
  see(now);
  flush_returns();
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  finish(found->second, outcome);
  requests_.erase(found);
}

bool ValuePolicy::owns(const Request& by, std::uint32_t uses) const {
  return by.runs[uses] != kNoRun && runs_[by.runs[uses]].number == by.numbers[uses];
}

void ValuePolicy::finish(const Request& by, std::optional<RequestOutcome> outcome) {
  flush_returns();
  for (std::uint32_t uses = 0; uses < kUses; ++uses) {
    if (!owns(by, uses)) continue;
    const RunId run = by.runs[uses];
    shadow_.unpins(run);
    runs_.unpin(run);
    if (outcome && runs_[run].at != kSuperseded) runs_.move_to(run, end_class(gap_class(uses, by.gap), *outcome), now_);
  }
}

void ValuePolicy::used(PrefixNode& node, const BlockUse& use) {
  see(use.now);
  last_run_ = kNoRun;
  Request& by = request(use.request);
  if (node.policy.run == kNoRun) recall(node);
  const RunId old = node.policy.run;
  if (old != kNoRun && runs_[old].request == use.request && use.request != PolicyRequest::unknown) return;
  if (old != kNoRun) {
    if (node.host ? !by.gap_known : !by.left_known) set_gap(by, now_ - runs_[old].start);
    return_of(node);
  } else {
    by.left_known = true;
    PrefixNode& parent = *node.parent;
    if (parent.policy.fanout <= kFanoutMax) ++parent.policy.fanout;
    if (parent.parent != nullptr && parent.policy.fanout >= 2 && parent.policy.fanout <= kFanoutMax) supersede(parent);
  }
  join_run(node, by, use.request);
}

void ValuePolicy::recall(PrefixNode& node) {
  const auto found = ghosts_.find(first_word(node.key));
  if (found == ghosts_.end()) return;
  node.policy.run = found->second.run;
  node.policy.uses = found->second.uses;
  node.policy.fanout = found->second.fanout;
  ghosts_.erase(found);
}

void ValuePolicy::set_gap(Request& by, double gap) {
  by.gap_known = true;
  const std::uint32_t bucket = gap_bucket(gap);
  if (bucket == by.gap) return;
  by.gap = bucket;
  for (std::uint32_t uses = 0; uses < kUses; ++uses) {
    if (owns(by, uses) && runs_[by.runs[uses]].at != kSuperseded)
      runs_.move_to(by.runs[uses], gap_class(uses, by.gap), now_);
  }
}

void ValuePolicy::return_of(PrefixNode& node) {
  const RunId run = node.policy.run;
  if (run != returning_run_) flush_returns();
  returning_run_ = run;
  hits_ += node.host.has_value();
  lru_hits_ += shadow_.used(run);
  runs_.return_block(run);
}

void ValuePolicy::flush_returns() {
  const RunId run = std::exchange(returning_run_, kNoRun);
  if (run == kNoRun) return;
  if (runs_[run].blocks == 0) shadow_.ends(run);
  runs_.settle(run, now_);
}

void ValuePolicy::join_run(PrefixNode& node, Request& by, PolicyRequest id) {
  PolicyState& state = node.policy;
  if (state.uses < UINT8_MAX) ++state.uses;
  const std::uint32_t uses = uses_bucket(state.uses);
  RunId& run = by.runs[uses];
  if (!owns(by, uses)) {
    run = runs_.start(gap_class(uses, by.gap), id, pins_ && id != PolicyRequest::unknown, now_);
    by.numbers[uses] = runs_[run].number;
  }
  runs_.add_block(run);
  shadow_.added(run);
  state.run = run;
}

// A request leaves the path that the last one through `parent` took: what follows there is of another kind now.
void ValuePolicy::supersede(PrefixNode& parent) {
  flush_returns();
  for (const PrefixNode* at = &parent; !at->host_children.empty();) {
    const PrefixNode* newest = *at->host_children.begin();
    for (const PrefixNode* child : at->host_children)
      if (child->recency > newest->recency) newest = child;
    at = newest;
    const RunId run = at->policy.run;
    if (run != kNoRun && runs_[run].at != kSuperseded) runs_.move_to(run, kSuperseded, now_);
  }
}

void ValuePolicy::evictable(PrefixNode& node) {
  node.policy.slot = static_cast<std::uint32_t>(leaves_.size());
  leaves_.push_back(&node);
  if (last_run_ != kNoRun && node.policy.run == last_run_) chosen_ = &node;
}

void ValuePolicy::kept(PrefixNode& node) {
  if (chosen_ == &node) chosen_ = nullptr;
  PrefixNode* const moved = leaves_.back();
  leaves_[node.policy.slot] = moved;
  moved->policy.slot = node.policy.slot;
  leaves_.pop_back();
  node.policy.slot = PolicyState::kNone;
}

void ValuePolicy::evicted(PrefixNode& node) { last_run_ = node.policy.run; }

void ValuePolicy::forgotten(PrefixNode& node) {
  if (node.policy.run == kNoRun) return;
  const std::uint64_t word = first_word(node.key);
  ghosts_[word] = {node.policy.run, node.policy.uses, node.policy.fanout, ++ghost_number_};
  ghosts_in_order_.emplace_back(word, ghost_number_);
  drop_ghosts();
}

void ValuePolicy::drop_ghosts() {
  while (ghosts_in_order_.size() > kGhostsPerBlock * capacity_) {
    const auto [word, number] = ghosts_in_order_.front();
    ghosts_in_order_.pop_front();
    const auto found = ghosts_.find(word);
    if (found == ghosts_.end() || found->second.number != number) continue;
    flush_returns();
    shadow_.used(found->second.run);
    if (runs_[found->second.run].blocks == 1) shadow_.ends(found->second.run);
    runs_.drop_block(found->second.run, now_);
    ghosts_.erase(found);
  }
}

PrefixNode* ValuePolicy::victim() {
  if (leaves_.empty() || chosen_ != nullptr) return chosen_;
  flush_returns();
  const bool all = leaves_.size() <= kLeavesSampled;
  double least = 0;
  const Run* least_run = nullptr;
  for (std::uint32_t i = 0; i < std::min<std::size_t>(kLeavesSampled, leaves_.size()); ++i) {
    PrefixNode* const leaf = leaves_[all ? i : prng_.below(leaves_.size())];
    const Run& run = runs_[leaf->policy.run];
    if (&run == least_run) continue;
    const double value = follows_lru_ ? 0 : table_.value(run.at, now_ - run.start);
    if (least_run != nullptr && (value > least || (value == least && run.number >= least_run->number))) continue;
    least = value;
    least_run = &run;
    chosen_ = leaf;
  }
  return chosen_;
}

bool ValuePolicy::holds(const PrefixNode& node) const {
  return node.policy.slot < leaves_.size() && leaves_[node.policy.slot] == &node;
}

void ValuePolicy::check_invariants() const { runs_.check_invariants(); }

}  // namespace kvasir
