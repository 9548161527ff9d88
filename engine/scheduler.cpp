#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

namespace kvasir {
namespace {

constexpr double kPatience = 4;          // a prompt is due after so many times what computing it takes
constexpr std::uint32_t kLeadSteps = 8;  // steps of prefill that a tenant's lead is remembered for

void insert_by_admission(std::vector<Sequence*>& set, Sequence& sequence) {
  const auto later = [&](const Sequence* s) { return s->admission > sequence.admission; };
  set.insert(std::find_if(set.begin(), set.end(), later), &sequence);
}

EngineConfig checked(EngineConfig config) {
  KVASIR_ASSERT(config.step_tokens_max > 0 && config.running_max > 0);
  config.running_max = std::min(config.running_max, config.step_tokens_max);
  return config;
}

}  // namespace

Scheduler::Scheduler(const EngineConfig& config, PrefixCache& cache, std::uint32_t pool_blocks)
    : config_(checked(config)),
      cache_(cache),
      pool_blocks_(pool_blocks),
      block_tokens_(cache.config().block_tokens),
      shares_(config_.tenant_weights, kLeadSteps * config_.step_tokens_max),
      pace_(config_.itl_target, config_.step_tokens_max),
      ends_(cache, config_.traces) {}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  Sequence& added = *sequence;
  added.account = shares_.account_of(added.request().tenant);
  const bool is_new = sequences_.emplace(added.id(), std::move(sequence)).second;
  KVASIR_ASSERT(is_new);
  waiting_.push(added);
}

// --- admission ---

// Of a tenant's prompts those due first are admitted, about one step of prefill ahead of the next: nobody's long
// prompts hold leases early, and what comes later and is due sooner still goes first.
void Scheduler::admit(TimePoint now) {
  if (waiting_.size() == 0 || running_.size() + loading_.size() >= config_.running_max) return;
  look_up_waiting();
  std::vector<PrefillDemand> admitted = admitted_prefill();
  std::vector<std::uint64_t> pending(shares_.size());
  for (const PrefillDemand& demand : admitted) pending[demand.account] += demand.tokens;
  const auto due_of = [&](const Sequence& s) { return due(s, s.expected_remaining()); };
  const auto may_start = [&](const Sequence& s) {
    if (s.awaited || s.admission > 0) return !s.awaited;
    std::uint64_t ahead = 0;
    for (const PrefillDemand& demand : admitted)
      if (demand.account == s.account && demand.due <= due_of(s)) ahead += demand.tokens;
    return ahead < config_.step_tokens_max;
  };
  const auto before = [&](const Sequence& a, const Sequence& b) {
    if (a.account == b.account) return due_of(a) < due_of(b);
    return shares_.time(a.account, pending[a.account]) < shares_.time(b.account, pending[b.account]);
  };
  while (running_.size() + loading_.size() < config_.running_max) {
    Sequence* candidate = waiting_.next(may_start, before);
    if (!candidate || !try_admit(*candidate, now)) return;
    admitted = admitted_prefill();
    pending[candidate->account] += candidate->remaining();
    waiting_.for_each([this](Sequence& s) { awaits_claim(s); });
  }
}

// What is known of those that wait: whether another computes their prefix, and how much is left to compute.
void Scheduler::look_up_waiting() {
  waiting_.for_each([this](Sequence& s) {
    if (awaits_claim(s) || s.prefix_expected) return;
    const auto found = cache_.match(s.query());
    s.prefix_expected = found[0] + found[1];
  });
}

bool Scheduler::awaits_claim(Sequence& sequence) {
  if (sequence.awaited) {
    if (claims_.owner(*sequence.awaited)) return true;
    sequence.awaited.reset();
    sequence.prefix_expected.reset();
  } else if (sequence.claims_seen == claims_.version()) {
    return false;
  }
  sequence.claims_seen = claims_.version();
  const std::optional<std::size_t> last = claims_.last_of(sequence.prompt_keys());
  if (!last) return false;
  sequence.awaited = sequence.prompt_keys()[*last];
  sequence.prefix_expected = static_cast<std::uint32_t>(*last + 1) * block_tokens_;
  return true;
}

void Scheduler::settle_shares() {
  std::vector<bool> backlogged(shares_.size());
  waiting_.for_each([&](const Sequence& s) { backlogged[s.account] = true; });
  for (const Sequence* s : loading_) backlogged[s->account] = true;
  for (const Sequence* s : running_)
    if (!s->decoding()) backlogged[s->account] = true;
  shares_.settle(backlogged);
}

TimePoint Scheduler::due(const Sequence& sequence, std::uint32_t remaining) const {
  const std::chrono::duration<double> patience(kPatience * remaining * pace_.seconds_per_token());
  return sequence.times.arrived + std::chrono::duration_cast<Duration>(patience);
}

std::vector<PrefillDemand> Scheduler::admitted_prefill() const {
  std::vector<PrefillDemand> admitted;
  const auto add = [&](const Sequence& s, std::uint32_t left) { admitted.push_back({s.account, due(s, left), left}); };
  for (const Sequence* s : running_)
    if (!s->decoding()) add(*s, s->remaining());
  for (const Sequence* s : loading_) add(*s, s->tokens() - std::min(s->tokens(), s->blocks_acquiring * block_tokens_));
  return admitted;
}

bool Scheduler::try_admit(Sequence& sequence, TimePoint now) {
  const NoRoom attempt{sequence.id(), cache_.available_blocks(), running() + loading()};
  if (no_room_ && attempt.active > 0 && no_room_->id == attempt.id && no_room_->active == attempt.active &&
      no_room_->available >= attempt.available)
    return false;
  const AcquireId acquire = cache_.begin_acquire(sequence.query(), now);
  if (cache_.acquire_ready(acquire)) {
    PrefixHold hold = cache_.take(acquire, now);
    if (!room_for(sequence, static_cast<std::uint32_t>(hold.blocks.size()) + (hold.partial ? 1 : 0))) {
      no_room_ = attempt;
      return false;
    }
    waiting_.remove(sequence);
    sequence.admission = ++admissions_;
    start_running(sequence, std::move(hold), now);
    return true;
  }
  const auto found = cache_.match(sequence.query());
  const std::uint32_t blocks = (found[0] + found[1]) / block_tokens_;
  if (!room_for(sequence, blocks)) {
    cache_.abandon(acquire);
    no_room_ = attempt;
    return false;
  }
  waiting_.remove(sequence);
  sequence.admission = ++admissions_;
  sequence.acquire = acquire;
  sequence.load_started = now;
  sequence.blocks_acquiring = blocks;
  sequence.state = Sequence::State::loading;
  insert_by_admission(loading_, sequence);
  claim_from(sequence, blocks);
  return true;
}

void Scheduler::claim_from(const Sequence& sequence, std::size_t block) {
  const std::span<const BlockKey> keys = sequence.prompt_keys();
  claims_.claim(sequence.id(), keys.subspan(std::min(block, keys.size())));
}

std::uint32_t Scheduler::blocks_wanted(const Sequence& sequence) const {
  return std::min(div_ceil(sequence.tokens() + 1, block_tokens_), pool_blocks_);
}

// `blocks_held`: what the sequence's acquisition has taken out of the available blocks already.
bool Scheduler::room_for(const Sequence& sequence, std::uint32_t blocks_held) const {
  if (running_.empty() && loading_.empty()) return true;
  const auto lacks = [this](const Sequence& s, std::uint32_t held) {
    return blocks_wanted(s) - std::min(blocks_wanted(s), held);
  };
  std::uint32_t wanted = lacks(sequence, blocks_held) + running() + loading();
  for (const Sequence* s : running_) wanted += lacks(*s, s->blocks_held());
  for (const Sequence* s : loading_) wanted += lacks(*s, s->blocks_acquiring);
  return cache_.available_blocks() >= wanted;
}

void Scheduler::start_running(Sequence& sequence, PrefixHold hold, TimePoint now) {
  if (!sequence.usage) fix_usage(sequence, hold, now);
  sequence.hold(std::move(hold));
  sequence.state = Sequence::State::running;
  insert_by_admission(running_, sequence);
  claim_from(sequence, sequence.blocks_committed());
}

void Scheduler::fix_usage(Sequence& sequence, const PrefixHold& hold, TimePoint now) {
  PromptUsage usage;
  usage.prompt_tokens = sequence.prompt_tokens();
  usage.cached = hold.tokens_by_tier;
  KVASIR_ASSERT(usage.cached_total() < usage.prompt_tokens);
  usage.computed = usage.prompt_tokens - usage.cached_total();
  for (std::size_t tier = 0; tier < kTierCount; ++tier) counters_.prompt_tokens_cached[tier] += usage.cached[tier];
  counters_.prompt_tokens_computed += usage.computed;
  sequence.usage = usage;
  sequence.copied = hold.copied;
  sequence.times.admitted = now;
  deliveries_.push_back({sequence.id(), sequence.listener(), usage});
}

void Scheduler::collect_loads(TimePoint now) {
  for (Sequence* sequence : std::vector<Sequence*>(loading_)) {
    const bool ready = cache_.acquire_ready(sequence->acquire);
    if (!ready && now - sequence->load_started < config_.load_timeout) continue;
    std::erase(loading_, sequence);
    start_running(*sequence, cache_.take(sequence->acquire, now), now);
  }
}

// --- a step ---

Batch Scheduler::plan(TimePoint now) {
  KVASIR_ASSERT(!step_in_flight_ && in_flight_.empty());
  settle_shares();
  admit(now);
  Batch batch;
  for (const Scheduled& grant : grant_tokens()) {
    Sequence& sequence = *grant.sequence;
    if (sequence.state != Sequence::State::running) continue;  // preempted by an earlier one
    const std::uint32_t end = ensure_blocks(sequence, grant.end, now);
    if (end == 0) continue;
    sequence.in_step = true;
    in_flight_.push_back({&sequence, end, grant.account});
  }
  add_drafts(now);
  for (const Scheduled& scheduled : in_flight_) batch.sequences.push_back(scheduled.sequence->input(scheduled.end));
  step_in_flight_ = !in_flight_.empty();
  step_started_ = now;
  account_step();
  return batch;
}

// Guesses to be checked beside the decodes that were planned. Prompts go first: none while one is being computed.
void Scheduler::add_drafts(TimePoint now) {
  step_drafts_ = 0;
  if (!config_.speculation || in_flight_.empty()) return;
  if (!std::all_of(running_.begin(), running_.end(), [](const Sequence* s) { return s->decoding(); })) return;
  const auto decodes = static_cast<std::uint32_t>(in_flight_.size());
  StepLoad load;
  std::vector<DraftOffer> offers;
  for (const Scheduled& scheduled : in_flight_) {
    Sequence& sequence = *scheduled.sequence;
    load.add_decode(scheduled.end);
    offers.push_back({&sequence.look_up_drafts(), sequence.tokens_left() - 1});
  }
  drafts_.share(decodes, config_.step_tokens_max - decodes, pace_.stretch_allowed(load), offers);
  for (std::size_t i = 0; i < offers.size(); ++i) {
    Sequence& sequence = *in_flight_[i].sequence;
    if (offers[i].granted == 0) continue;
    take_free_blocks(sequence, sequence.tokens() + offers[i].granted, now);
    sequence.add_drafts(std::min(offers[i].granted, sequence.block_capacity() - sequence.tokens()));
    step_drafts_ += sequence.drafts();
  }
  counters_.tokens_drafted += step_drafts_;
}

void Scheduler::take_free_blocks(Sequence& sequence, std::uint32_t end, TimePoint now) {
  while (sequence.block_capacity() < end && cache_.stats().host.free > 0) {
    std::optional<BlockFill> fill = cache_.prepare(now);
    KVASIR_ASSERT(fill);
    sequence.add_block(std::move(*fill));
  }
}

// What the planned step computes: for the model of step times, and at whose expense.
void Scheduler::account_step() {
  step_load_ = {};
  for (const Scheduled& scheduled : in_flight_) {
    const Sequence& sequence = *scheduled.sequence;
    if (sequence.decoding()) {
      step_load_.add_decode(scheduled.end);
    } else {
      step_load_.add_prefill(sequence.computed(), scheduled.end - sequence.computed());
    }
    shares_.charge(scheduled.account, scheduled.end - sequence.computed() + sequence.drafts());
  }
}

// Every decode gets its token; what is left for prefill is shared out. By admission.
std::vector<Scheduler::Scheduled> Scheduler::grant_tokens() {
  std::vector<Scheduled> grants;
  std::vector<PrefillDemand> demands;
  std::vector<Sequence*> prefilling;
  StepLoad decodes;
  for (Sequence* s : running_) {
    grants.push_back({s, s->decoding() ? s->tokens() : s->computed(), s->account});
    if (s->decoding()) {
      decodes.add_decode(s->tokens());
    } else {
      prefilling.push_back(s);
      demands.push_back({s->account, due(*s, s->remaining()), s->remaining()});
    }
  }
  if (!demands.empty()) {
    donate(prefilling, demands);
    const auto first = std::min_element(demands.begin(), demands.end(),
                                        [](const PrefillDemand& a, const PrefillDemand& b) { return a.due < b.due; });
    prefill_budget_ = pace_.budget(decodes, prefilling[static_cast<std::size_t>(first - demands.begin())]->computed());
    share_prefill(prefill_budget_, shares_, demands);
    if (decodes.decodes == 0) spare_ending(prefilling, demands);
  }
  std::size_t at = 0;
  for (Scheduled& grant : grants) {
    if (grant.sequence->decoding()) continue;
    grant.end += demands[at].granted;
    grant.account = demands[at++].account;
  }
  std::erase_if(grants, [](const Scheduled& grant) { return grant.end == grant.sequence->computed(); });
  return grants;
}

// Where some prompts come to their first token in this step, those that go on hold it up no longer than they would hold
// up streams.
void Scheduler::spare_ending(const std::vector<Sequence*>& prefilling, std::vector<PrefillDemand>& demands) const {
  const auto ends = [&](std::size_t i) { return demands[i].granted == prefilling[i]->remaining(); };
  StepLoad ending;
  std::size_t longest = demands.size();
  std::uint32_t others = 0;
  for (std::size_t i = 0; i < demands.size(); ++i) {
    if (ends(i)) {
      ending.add_prefill(prefilling[i]->computed(), demands[i].granted);
    } else if (demands[i].granted > 0) {
      others += demands[i].granted;
      if (longest == demands.size() || demands[i].granted > demands[longest].granted) longest = i;
    }
  }
  if (ending.prefill_tokens == 0 || others == 0) return;
  std::uint32_t left = pace_.budget_beside(ending, prefilling[longest]->computed(), others);
  for (std::size_t i = 0; i < demands.size(); ++i) {
    if (ends(i)) continue;
    demands[i].granted = std::min(demands[i].granted, left);
    left -= demands[i].granted;
  }
}

// Lends those that others wait for the urgency of these, and the account of the one who would go first.
void Scheduler::donate(const std::vector<Sequence*>& prefilling, std::vector<PrefillDemand>& demands) const {
  if (claims_.empty()) return;
  waiting_.for_each([&](const Sequence& waiter) {
    if (!waiter.awaited) return;
    const std::optional<SequenceId> owner = claims_.owner(*waiter.awaited);
    if (!owner) return;
    for (std::size_t i = 0; i < demands.size(); ++i) {
      if (prefilling[i]->id() != *owner) continue;
      demands[i].due = std::min(demands[i].due, due(waiter, waiter.expected_remaining()));
      if (shares_.time(waiter.account) < shares_.time(demands[i].account)) demands[i].account = waiter.account;
    }
  });
}

// Blocks for computing up to `end`; fewer tokens when there are not enough, 0 when the sequence cannot take part.
std::uint32_t Scheduler::ensure_blocks(Sequence& sequence, std::uint32_t end, TimePoint now) {
  while (sequence.block_capacity() < end) {
    if (std::optional<BlockFill> fill = cache_.prepare(now)) {
      sequence.add_block(std::move(*fill));
    } else if (sequence.block_capacity() > sequence.computed()) {
      return sequence.block_capacity();
    } else if (!make_room(sequence, now)) {
      return 0;
    }
  }
  return end;
}

// Preempts the latest admission. False when `sequence` itself is out of this step: preempted, ended, or alone and
// waiting for blocks that the disk still reads or writes.
bool Scheduler::make_room(Sequence& sequence, TimePoint now) {
  Sequence* victim = running_.back();
  if (!loading_.empty() && loading_.back()->admission > victim->admission) victim = loading_.back();
  if (victim != &sequence) {
    preempt(*victim);
    return true;
  }
  if (running_.size() + loading_.size() > 1) {
    preempt(sequence);
  } else if (sequence.blocks_held() == pool_blocks_) {
    end(sequence, {FinishReason::length, {}}, now);
  } else {
    KVASIR_ASSERT(cache_.transient_blocks() > 0);  // else nothing would ever give it a block
  }
  return false;
}

void Scheduler::preempt(Sequence& sequence) {
  ++counters_.preemptions;
  cache_.end_request(sequence.held_by(), {});
  leave(sequence);
  sequence.state = Sequence::State::waiting;
  sequence.prefix_expected.reset();
  sequence.claims_seen = 0;
  waiting_.push_preempted(sequence);
}

// --- results ---

void Scheduler::apply(const BatchResult& result, TimePoint now) {
  KVASIR_ASSERT(step_in_flight_ && result.sequences.size() == in_flight_.size());
  step_in_flight_ = false;
  learn_step(seconds_between(step_started_, now));
  const std::vector<Scheduled> done = std::exchange(in_flight_, {});
  for (std::size_t i = 0; i < done.size(); ++i) apply_to(done[i], result.sequences[i], now);
}

// The pace of prefill is about steps without drafts: what those with some would have taken without.
void Scheduler::learn_step(double seconds) {
  const std::uint32_t decodes = step_load_.decodes;
  if (step_load_.prefill_tokens > 0) return pace_.learn(step_load_, seconds);
  pace_.learn(step_load_, seconds / drafts_.stretch(decodes, step_drafts_));
  drafts_.learn(decodes, step_drafts_, seconds);
}

void Scheduler::apply_to(const Scheduled& scheduled, const SequenceOutput& output, TimePoint now) {
  Sequence& sequence = *scheduled.sequence;
  KVASIR_ASSERT(output.id == sequence.id() && sequence.in_step);
  sequence.in_step = false;
  const std::vector<TokenId> drafts = sequence.take_drafts();
  take_computed(sequence, scheduled.end, now);
  if (sequence.ending) return finish(sequence, *std::exchange(sequence.ending, std::nullopt), now);
  if (!output.sampled) return;
  KVASIR_ASSERT(sequence.remaining() == 0 && output.after_drafts.size() == drafts.size());
  if (!take_token(sequence, *output.sampled, now)) return;
  for (std::size_t i = 0; i < drafts.size() && sequence.ids().back() == drafts[i]; ++i) {
    ++counters_.tokens_accepted;
    take_computed(sequence, sequence.tokens(), now);
    if (!take_token(sequence, output.after_drafts[i], now)) return;
  }
  if (!drafts.empty()) sequence.release_spare_blocks();
}

// The KV of the tokens up to `end` is there.
void Scheduler::take_computed(Sequence& sequence, std::uint32_t end, TimePoint now) {
  const std::size_t before = sequence.blocks_committed();
  counters_.tokens_recomputed += sequence.advance(end);
  sequence.commit_full_blocks(cache_, now);
  const std::size_t keys = sequence.prompt_keys().size();
  const std::size_t first = std::min(before, keys), last = std::min<std::size_t>(sequence.blocks_committed(), keys);
  claims_.release(sequence.id(), sequence.prompt_keys().subspan(first, last - first));
}

bool Scheduler::take_token(Sequence& sequence, const SampledToken& token, TimePoint now) {
  if (sequence.generated() == 0) sequence.times.first_token = now;
  const std::optional<FinishReason> reason = sequence.append(token.id);
  ++counters_.tokens_generated;
  deliveries_.push_back({sequence.id(), sequence.listener(), token});
  if (reason) finish(sequence, {*reason, {}}, now);
  return !reason;
}

std::vector<Delivery> Scheduler::take_deliveries() { return std::exchange(deliveries_, {}); }

// --- endings ---

void Scheduler::end(SequenceId id, Ending ending, TimePoint now) {
  const auto at = sequences_.find(id);
  if (at != sequences_.end()) return end(*at->second, std::move(ending), now);
  ends_.tell(id, RequestEnd::cancelled);  // nobody reads the answer any more
}

void Scheduler::tell_end(SequenceId id, RequestEnd told) {
  const auto at = sequences_.find(id);
  if (at == sequences_.end()) return ends_.tell(id, told);
  at->second->end_told = told;
}

void Scheduler::end(Sequence& sequence, Ending ending, TimePoint now) {
  if (sequence.ending) return;
  if (sequence.in_step) {
    sequence.ending = std::move(ending);
  } else {
    finish(sequence, std::move(ending), now);
  }
}

void Scheduler::end_all(const Ending& ending, TimePoint now) {
  std::vector<SequenceId> ids;
  for (const auto& [id, sequence] : sequences_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  for (const SequenceId id : ids) end(id, ending, now);
}

void Scheduler::expire(TimePoint now) {
  std::vector<SequenceId> ids;
  for (const auto& [id, sequence] : sequences_)
    if (sequence->request().deadline && *sequence->request().deadline <= now) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  for (const SequenceId id : ids) end(id, {FinishReason::failed, "the request's deadline has passed"}, now);
}

std::optional<TimePoint> Scheduler::next_deadline() const {
  std::optional<TimePoint> next;
  for (const auto& [id, sequence] : sequences_) {
    const std::optional<TimePoint>& deadline = sequence->request().deadline;
    if (deadline && !sequence->ending && (!next || *deadline < *next)) next = deadline;
  }
  return next;
}

void Scheduler::leave(Sequence& sequence) {
  switch (sequence.state) {
    case Sequence::State::waiting:
      waiting_.remove(sequence);
      break;
    case Sequence::State::loading:
      cache_.abandon(sequence.acquire);
      std::erase(loading_, &sequence);
      break;
    case Sequence::State::running:
      std::erase(running_, &sequence);
      break;
  }
  claims_.release(sequence.id(), sequence.prompt_keys());
  sequence.release_blocks();
}

void Scheduler::finish(Sequence& sequence, Ending ending, TimePoint now) {
  ends_.ended(sequence, ending.reason, sequence.commit_tail(cache_), now);
  leave(sequence);
  FinishInfo info;
  info.reason = ending.reason;
  info.message = std::move(ending.message);
  info.usage = sequence.usage.value_or(PromptUsage{});
  info.generated_tokens = sequence.generated();
  info.times = sequence.times;
  info.times.finished = now;
  ++counters_.finished;
  deliveries_.push_back({sequence.id(), sequence.listener(), std::move(info)});
  sequences_.erase(sequence.id());
}

std::vector<TenantStats> Scheduler::tenants() const {
  std::vector<TenantStats> tenants(std::min<std::size_t>(shares_.size(), kTenantStatsMax + 1));
  const auto of = [&](FairShare::Account account) -> TenantStats& {
    return tenants[std::min<std::size_t>(account, kTenantStatsMax)];
  };
  for (FairShare::Account account = 0; account < shares_.size(); ++account) {
    of(account).tenant = account < kTenantStatsMax ? shares_.tenant(account) : "other";
    of(account).tokens_computed += shares_.tokens(account);
  }
  waiting_.for_each([&](const Sequence& s) {
    TenantStats& tenant = of(s.account);
    ++tenant.waiting;
    tenant.oldest_waiting = std::min(tenant.oldest_waiting.value_or(s.times.arrived), s.times.arrived);
  });
  return tenants;
}

void Scheduler::check_invariants() const {
  KVASIR_ASSERT(running_.size() + loading_.size() + waiting_.size() == sequences_.size());
  KVASIR_ASSERT(running_.size() + loading_.size() <= config_.running_max);
  const auto by_admission = [](const Sequence* a, const Sequence* b) { return a->admission < b->admission; };
  KVASIR_ASSERT(std::is_sorted(running_.begin(), running_.end(), by_admission));
  KVASIR_ASSERT(std::is_sorted(loading_.begin(), loading_.end(), by_admission));
  KVASIR_ASSERT(step_in_flight_ == !in_flight_.empty());
  for (const auto& [id, sequence] : sequences_) {
    const bool running = sequence->state == Sequence::State::running;
    KVASIR_ASSERT(running || (sequence->blocks_held() == 0 && !sequence->in_step));
    KVASIR_ASSERT(!running || (sequence->computed() <= sequence->block_capacity() && sequence->usage));
    KVASIR_ASSERT(!sequence->ending || sequence->in_step);
    KVASIR_ASSERT(sequence->drafts() == 0 || sequence->in_step);
    KVASIR_ASSERT(!sequence->awaited || sequence->state == Sequence::State::waiting);
  }
  if (running_.empty() && loading_.empty()) KVASIR_ASSERT(claims_.empty());
}

}  // namespace kvasir
