// Matching and acquiring: the part of the prefix cache that a prompt goes through.
#include <algorithm>
#include <cstring>

#include "storage/prefix_cache_impl.h"

namespace kvasir {
namespace {

bool can_be_had(const PrefixNode& node) { return node.resident() || node.load; }

Tier tier_of(const PrefixNode& node) { return node.host ? Tier::host : Tier::disk; }

// Number of entries before the first without a lease.
std::uint32_t first_awaited(const Acquisition& acquisition) {
  const auto& entries = acquisition.entries;
  const auto awaited = std::find_if(entries.begin(), entries.end(), [](const auto& entry) { return !entry.lease; });
  return static_cast<std::uint32_t>(awaited - entries.begin());
}

std::size_t index_of(Tier tier) { return static_cast<std::size_t>(tier); }

}  // namespace

// Visits the nodes of the query's full blocks as far as all of them are in some tier, and returns the last (or the
// root).
template <class Visitor>
PrefixNode& PrefixCache::Impl::walk(const PrefixQuery& query, Visitor visit) {
  const std::uint32_t block_tokens = config_.block_tokens;
  PrefixNode* at = &index_.root();
  for (std::size_t first = 0; first + block_tokens <= query.ids.size(); first += block_tokens) {
    const Salt& salt = salt_of_block(query.salts, static_cast<std::uint32_t>(first), block_tokens);
    PrefixNode* const next = index_.child(*at, {salt, query.ids.subspan(first, block_tokens)});
    if (next == nullptr || !can_be_had(*next)) break;
    at = next;
    visit(*at);
  }
  return *at;
}

std::array<std::uint32_t, kTierCount> PrefixCache::Impl::match(const PrefixQuery& query) {
  std::array<std::uint32_t, kTierCount> tokens{};
  if (query.ids.empty()) return tokens;
  const PrefixNode& last =
      walk(query, [&](const PrefixNode& node) { tokens[index_of(tier_of(node))] += config_.block_tokens; });
  const std::uint32_t first = last.depth * config_.block_tokens;
  if (first == query.ids.size()) {  // all of it: the last token is computed all the same
    --tokens[index_of(tier_of(last))];
    return tokens;
  }
  const std::size_t count = std::min<std::size_t>(config_.block_tokens, query.ids.size() - 1 - first);
  const BlockContent content{salt_of_block(query.salts, first, config_.block_tokens), query.ids.subspan(first, count)};
  tokens[index_of(Tier::host)] += index_.longest_partial(last, content).tokens;
  return tokens;
}

AcquireId PrefixCache::Impl::begin_acquire(const PrefixQuery& query, TimePoint now) {
  const AcquireId id{next_acquire_++};
  Acquisition& acquisition = acquisitions_[id];
  acquisition.entries.reserve(query.ids.size() / config_.block_tokens);
  walk(query, [&](PrefixNode& node) { acquisition.entries.push_back({&node, tier_of(node), std::nullopt}); });
  lease_host_entries(acquisition);  // before any block is evicted to make room for reads
  index_.policy().request_begins(request_of(id), now);
  touch_path(acquisition, {request_of(id), now});
  if (disk_) {
    await_disk_entries(id, acquisition);
    for (const Acquisition::Entry& entry : acquisition.entries)
      if (entry.node->host)
        disk_->writes.request(*entry.node, now);  // used again: on_reuse, or an earlier write skipped
  }
  keep_tail(acquisition, query);
  pump_disk();
  return id;
}

void PrefixCache::Impl::lease_host_entries(Acquisition& acquisition) {
  for (Acquisition::Entry& entry : acquisition.entries)
    if (entry.node->host) entry.lease = lease(*entry.node);
}

// From the tail to the head, so that what comes later in a prompt is older: it is evicted first.
void PrefixCache::Impl::touch_path(Acquisition& acquisition, const BlockUse& use) {
  for (auto entry = acquisition.entries.rbegin(); entry != acquisition.entries.rend(); ++entry) {
    index_.touch(*entry->node, use);
    if (entry->node->record) disk_->tier.touch(*entry->node->record);
  }
}

void PrefixCache::Impl::await_disk_entries(AcquireId id, Acquisition& acquisition) {
  for (std::size_t i = 0; i < acquisition.entries.size(); ++i) {
    PrefixNode& node = *acquisition.entries[i].node;
    if (node.host) continue;
    if (node.load) {
      disk_->loads.join(node, id);
      ++acquisition.awaited;
    } else if (std::optional<BlockFill> fill = prepare()) {
      disk_->loads.start(node, std::move(*fill), id);
      ++acquisition.awaited;
    } else {
      acquisition.entries.resize(i);
      return;
    }
  }
}

void PrefixCache::Impl::keep_tail(Acquisition& acquisition, const PrefixQuery& query) const {
  acquisition.prompt_tokens = static_cast<std::uint32_t>(query.ids.size());
  acquisition.tail_first_block = first_awaited(acquisition);
  const std::size_t begin = std::size_t{acquisition.tail_first_block} * config_.block_tokens;
  const std::size_t end =
      std::min<std::size_t>((acquisition.entries.size() + 1) * config_.block_tokens, query.ids.size());
  const std::span<const TokenId> tail = query.ids.subspan(begin, end - begin);
  acquisition.tail.assign(tail.begin(), tail.end());
  acquisition.salts.assign(query.salts.begin(), query.salts.end());
}

bool PrefixCache::Impl::acquire_ready(AcquireId id) const { return acquisitions_.at(id).awaited == 0; }

PrefixHold PrefixCache::Impl::take(AcquireId id, TimePoint now) {
  auto handle = acquisitions_.extract(id);
  KVASIR_ASSERT(!handle.empty());
  Acquisition& acquisition = handle.mapped();
  truncate(id, acquisition, first_awaited(acquisition));
  PrefixHold hold;
  hold.request = id;
  hold.blocks.reserve(acquisition.entries.size());
  take_partial(acquisition, hold, {request_of(id), now});
  for (Acquisition::Entry& entry : acquisition.entries) {
    hold.blocks.push_back(std::move(*entry.lease));
    hold.tokens_by_tier[index_of(entry.tier)] += config_.block_tokens;
  }
  return hold;
}

// One more block that agrees on its first tokens: the prompt's own last one when it was matched to its very end, which
// a hold may not be, or else the best child of the last block.
void PrefixCache::Impl::take_partial(Acquisition& acquisition, PrefixHold& hold, const BlockUse& use) {
  const std::uint32_t held = static_cast<std::uint32_t>(acquisition.entries.size()) * config_.block_tokens;
  if (held > 0 && held == acquisition.prompt_tokens) {
    const Acquisition::Entry last = std::move(acquisition.entries.back());
    acquisition.entries.pop_back();
    copy_partial(*last.lease, config_.block_tokens - 1, last.tier, hold);
    return;
  }
  if (held + 1 >= acquisition.prompt_tokens) return;
  const PrefixNode& last = acquisition.entries.empty() ? index_.root() : *acquisition.entries.back().node;
  const PrefixIndex::Partial best = index_.longest_partial(last, partial_content(acquisition));
  if (best.node == nullptr) return;
  BlockLease source = lease(*best.node);
  index_.touch(*best.node, use);
  if (best.tokens == config_.block_tokens) {  // committed since the acquisition began
    acquisition.entries.push_back({best.node, Tier::host, std::move(source)});
  } else {
    copy_partial(source, best.tokens, Tier::host, hold);
    if (hold.partial) hold.copied = best.node->key;
  }
}

// Of the block after the last held one, what the prompt has without its last token. REQUIRES: it has some.
BlockContent PrefixCache::Impl::partial_content(const Acquisition& acquisition) const {
  const auto block = static_cast<std::uint32_t>(acquisition.entries.size());
  const std::uint32_t first = block * config_.block_tokens;
  const std::uint32_t count = std::min(config_.block_tokens, acquisition.prompt_tokens - 1 - first);
  const std::size_t offset = first - std::size_t{acquisition.tail_first_block} * config_.block_tokens;
  return {salt_of_block(acquisition.salts, first, config_.block_tokens),
          std::span(acquisition.tail).subspan(offset, count)};
}

void PrefixCache::Impl::copy_partial(const BlockLease& source, std::uint32_t tokens, Tier tier, PrefixHold& hold) {
  if (tokens == 0) return;
  hold.partial = prepare();
  if (!hold.partial) return;
  const std::span<std::byte> from = memory_.bytes(source.id()), to = memory_.bytes(hold.partial->id());
  std::memcpy(to.data(), from.data(), from.size());
  hold.partial_tokens = tokens;
  hold.tokens_by_tier[index_of(tier)] += tokens;
}

void PrefixCache::Impl::abandon(AcquireId id) {
  const auto found = acquisitions_.find(id);
  KVASIR_ASSERT(found != acquisitions_.end());
  truncate(id, found->second, 0);
  acquisitions_.erase(found);
  end_request(id, {.end = RequestEnd::cancelled});
}

void PrefixCache::Impl::truncate(AcquireId id, Acquisition& acquisition, std::size_t entries_kept) {
  while (acquisition.entries.size() > entries_kept) {
    const Acquisition::Entry entry = std::move(acquisition.entries.back());
    acquisition.entries.pop_back();
    if (entry.lease) continue;
    disk_->loads.leave(*entry.node, id);
    index_.remove_if_unused(entry.node);
    --acquisition.awaited;
  }
}

void PrefixCache::Impl::give_lease(AcquireId id, const PrefixNode& node) {
  Acquisition& acquisition = acquisitions_.at(id);
  Acquisition::Entry& entry = acquisition.entries.at(node.depth - 1);
  KVASIR_ASSERT(entry.node == &node && !entry.lease);
  entry.lease = pool_.lease(*node.host);
  if (--acquisition.awaited == 0) became_ready_ = true;
}

}  // namespace kvasir
