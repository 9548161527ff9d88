// PrefixCache without a disk against a map from path to block: what is found, what is evicted and when, exactly.
#include "storage/prefix_cache.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "tests/support/cache_rig.h"
#include "tests/support/swarm.h"

namespace kvasir::testing {
namespace {

enum Operation : std::uint32_t { kBegin, kTake, kAbandon, kGrow, kEnd, kPrepare, kDropFill, kMatch, kKinds };

constexpr std::uint32_t kBlockTokens = 4;

// Blocks by the path to them: for each block the salt and its ids.
using Path = std::vector<TokenId>;
constexpr std::size_t kPathStep = kBlockTokens + 1;

struct ModelBlock {
  std::uint64_t recency = 0;
  std::uint32_t leases = 0;
};

struct Model {
  std::uint32_t capacity;
  std::map<Path, ModelBlock> blocks;
  std::uint32_t fills = 0;
  std::uint64_t clock = 0, evictions = 0, committed = 0, duplicates = 0;

  bool is_leaf(const Path& path) const {
    return std::none_of(blocks.begin(), blocks.end(), [&](const auto& entry) {
      return entry.first.size() == path.size() + kPathStep && std::equal(path.begin(), path.end(), entry.first.begin());
    });
  }

  bool prepare() {
    if (blocks.size() + fills == capacity) {
      auto victim = blocks.end();
      for (auto at = blocks.begin(); at != blocks.end(); ++at) {
        const bool older = victim == blocks.end() || at->second.recency < victim->second.recency;
        if (at->second.leases == 0 && older && is_leaf(at->first)) victim = at;
      }
      if (victim == blocks.end()) return false;
      blocks.erase(victim);
      ++evictions;
    }
    ++fills;
    return true;
  }

  std::uint32_t available() const {
    const auto cached = std::count_if(blocks.begin(), blocks.end(), [](const auto& b) { return b.second.leases == 0; });
    return capacity - fills - static_cast<std::uint32_t>(blocks.size()) + static_cast<std::uint32_t>(cached);
  }

  // The child of `parent` with the most first ids in common, and how many. Of equals the cache takes the neighbour in
  // order, the next before the previous.
  std::pair<Path, std::uint32_t> partial(const Path& parent, TokenId salt, std::span<const TokenId> ids) const {
    Path wanted = parent;
    wanted.push_back(salt);
    wanted.insert(wanted.end(), ids.begin(), ids.end());
    std::pair<Path, std::uint32_t> best{{}, 0};
    for (const auto& [path, block] : blocks) {  // ascending, so the last one before `wanted` and the first after it win
      if (path.size() != parent.size() + kPathStep || !std::equal(parent.begin(), parent.end(), path.begin())) continue;
      if (path[parent.size()] != salt) continue;
      std::uint32_t tokens = 0;
      while (tokens < ids.size() && path[parent.size() + 1 + tokens] == ids[tokens]) ++tokens;
      const bool before = path < wanted;
      if (tokens > 0 && (tokens > best.second || (tokens == best.second && (before || best.first < wanted))))
        best = {path, tokens};
    }
    return best;
  }
};

struct Prompt {
  std::vector<TokenId> ids;
  std::vector<SaltRange> salts;
  std::vector<TokenId> salt_names;  // of each block, one past the last too

  Path path(std::size_t blocks) const {
    Path path;
    for (std::size_t i = 0; i < blocks; ++i) {
      path.push_back(salt_names[i]);
      for (std::size_t t = 0; t < kBlockTokens; ++t) path.push_back(ids[i * kBlockTokens + t]);
    }
    return path;
  }
};

struct Acquiring {
  AcquireId id;
  Prompt prompt;
  std::size_t blocks;  // leased
};

struct Running {
  Prompt prompt;
  std::vector<BlockLease> leases;
  std::optional<BlockFill> partial;
};

class CacheRun {
 public:
  explicit CacheRun(std::uint64_t seed)
      : prng_(mix64(seed)),
        rig_(config(4 + static_cast<std::uint32_t>(prng_.below(28)))),
        alphabet_(2 + prng_.below(3)),
        swarm_(prng_, kKinds, kAlways) {
    model_.capacity = rig_.cache().stats().host.total;
  }

  void run(std::uint32_t operations) {
    for (std::uint32_t i = 0; i < operations; ++i) {
      apply(swarm_.next());
      compare();
      if (::testing::Test::HasFatalFailure()) return;
    }
    while (!acquiring_.empty()) abandon();
  }

 private:
  static constexpr std::uint32_t kAlways[] = {kBegin, kTake, kGrow, kEnd, kMatch};

  static RigConfig config(std::uint32_t blocks) {
    RigConfig config;
    config.blocks = blocks;
    config.cache.block_tokens = kBlockTokens;
    config.disk = false;
    return config;
  }

  void apply(std::uint32_t operation) {
    switch (operation) {
      case kBegin:
        return begin();
      case kTake:
        if (!acquiring_.empty()) take();
        return;
      case kAbandon:
        if (!acquiring_.empty() && prng_.chance(20)) abandon();
        return;
      case kGrow:
        if (!running_.empty()) grow();
        return;
      case kEnd:
        if (!running_.empty() && prng_.chance(20)) end();
        return;
      case kPrepare:
        if (fills_.size() < 3) prepare();
        return;
      case kDropFill:
        if (!fills_.empty()) {
          fills_.pop_back();
          --model_.fills;
        }
        return;
      case kMatch:
        return match();
      default:
        FAIL();
    }
  }

  // Few different tokens and often the start of an earlier prompt, so that paths meet and part everywhere.
  Prompt random_prompt() {
    Prompt prompt;
    if (!recent_.empty() && prng_.chance(70)) {
      const std::vector<TokenId>& earlier = recent_[prng_.below(recent_.size())];
      const std::size_t cut = std::max(prng_.below(earlier.size() + 1), prng_.below(earlier.size() + 1));
      prompt.ids.assign(earlier.begin(), earlier.begin() + static_cast<std::ptrdiff_t>(cut));
    }
    const std::size_t more = prng_.below(14) + (prompt.ids.empty() ? 1 : 0);
    for (std::size_t i = 0; i < more; ++i) prompt.ids.push_back(static_cast<TokenId>(prng_.below(alphabet_)));
    const auto shared = static_cast<std::uint32_t>(prng_.below(3) * 6);
    const auto tenant = static_cast<std::uint8_t>(1 + prng_.below(2));
    if (shared > 0) prompt.salts.push_back({0, salt_named(9)});
    prompt.salts.push_back({shared, salt_named(tenant)});
    for (std::uint32_t block = 0; block < 64; ++block)
      prompt.salt_names.push_back((block + 1) * kBlockTokens - 1 < shared ? 9 : tenant);
    recent_.push_back(prompt.ids);
    if (recent_.size() > 20) recent_.erase(recent_.begin());
    return prompt;
  }

  // Mostly a function of what is before, as greedy decoding is: sequences of one prompt make the same blocks.
  TokenId continuation(const std::vector<TokenId>& ids) {
    const std::uint64_t next = prng_.chance(90) ? ids.size() + static_cast<std::size_t>(ids.back()) : prng_.next();
    return static_cast<TokenId>(next % alphabet_);
  }

  std::size_t full_blocks(const Prompt& prompt) const {
    std::size_t blocks = 0;
    while ((blocks + 1) * kBlockTokens <= prompt.ids.size() && model_.blocks.contains(prompt.path(blocks + 1)))
      ++blocks;
    return blocks;
  }

  std::span<const TokenId> after(const Prompt& prompt, std::size_t blocks) const {
    const std::size_t first = blocks * kBlockTokens;
    return std::span(prompt.ids).subspan(first, std::min<std::size_t>(kBlockTokens, prompt.ids.size() - 1 - first));
  }

  std::uint32_t expected_match(const Prompt& prompt) const {
    const std::size_t blocks = full_blocks(prompt), tokens = blocks * kBlockTokens;
    if (tokens == prompt.ids.size()) return static_cast<std::uint32_t>(tokens - 1);
    const auto partial = model_.partial(prompt.path(blocks), prompt.salt_names[blocks], after(prompt, blocks));
    return static_cast<std::uint32_t>(tokens) + partial.second;
  }

  void match() {
    const Prompt prompt = random_prompt();
    const auto tokens = rig_.cache().match({prompt.ids, prompt.salts});
    ASSERT_EQ(tokens[0], expected_match(prompt));
    ASSERT_EQ(tokens[1], 0u);
  }

  void begin() {
    if (acquiring_.size() > 4) abandon();
    Prompt prompt = random_prompt();
    const AcquireId id = rig_.cache().begin_acquire({prompt.ids, prompt.salts}, rig_.now);
    ASSERT_TRUE(rig_.cache().acquire_ready(id));
    const std::size_t blocks = full_blocks(prompt);
    for (std::size_t i = blocks; i > 0; --i) {
      ModelBlock& block = model_.blocks.at(prompt.path(i));
      ++block.leases;
      block.recency = ++model_.clock;
    }
    acquiring_.push_back({id, std::move(prompt), blocks});
  }

  Acquiring pop_acquiring() {
    std::swap(acquiring_[prng_.below(acquiring_.size())], acquiring_.back());
    Acquiring popped = std::move(acquiring_.back());
    acquiring_.pop_back();
    return popped;
  }

  void abandon() {
    const Acquiring acquiring = pop_acquiring();
    rig_.cache().abandon(acquiring.id);
    unlease(acquiring.prompt, acquiring.blocks);
  }

  void take() {
    Acquiring acquiring = pop_acquiring();
    const Prompt& prompt = acquiring.prompt;
    PrefixHold hold = rig_.take(acquiring.id, prompt.ids, prompt.salts);
    std::size_t blocks = acquiring.blocks;
    std::uint32_t tokens = 0;
    if (blocks > 0 && blocks * kBlockTokens == prompt.ids.size()) {
      tokens = model_.prepare() ? kBlockTokens - 1 : 0;
      --model_.blocks.at(prompt.path(blocks--)).leases;
    } else {
      const auto [source, common] =
          model_.partial(prompt.path(blocks), prompt.salt_names[blocks], after(prompt, blocks));
      if (common > 0) {
        ModelBlock& block = model_.blocks.at(source);
        ++block.leases;
        block.recency = ++model_.clock;
        if (common == kBlockTokens) {  // committed since the acquisition began
          ++blocks;
        } else {
          if (model_.prepare()) tokens = common;
          --block.leases;
        }
      }
    }
    ASSERT_EQ(hold.blocks.size(), blocks);
    ASSERT_EQ(hold.partial_tokens, tokens);
    ASSERT_EQ(hold.tokens_by_tier[0], blocks * kBlockTokens + tokens);
    if (running_.size() > 4) end();
    running_.push_back({std::move(acquiring.prompt), std::move(hold.blocks), std::move(hold.partial)});
  }

  void grow() {
    std::swap(running_[prng_.below(running_.size())], running_.back());
    Running& sequence = running_.back();
    const std::size_t at = sequence.leases.size();
    if (at >= 12) {
      recent_.push_back(sequence.prompt.ids);
      return end();
    }
    while (sequence.prompt.ids.size() < (at + 1) * kBlockTokens)  // decode
      sequence.prompt.ids.push_back(continuation(sequence.prompt.ids));
    std::optional<BlockFill> fill = std::exchange(sequence.partial, std::nullopt);
    if (!fill) {
      fill = rig_.cache().prepare(rig_.now);
      ASSERT_EQ(fill.has_value(), model_.prepare());
      if (!fill) return;
    }
    commit(sequence, std::move(*fill), at);
  }

  void commit(Running& sequence, BlockFill fill, std::size_t at) {
    const Prompt& prompt = sequence.prompt;
    const auto keys = block_keys(rig_.cache().root(), std::span(prompt.ids).first((at + 1) * kBlockTokens),
                                 prompt.salts, kBlockTokens);
    const BlockKey& parent = at == 0 ? rig_.cache().root() : keys[at - 1];
    const Salt salt = salt_named(static_cast<std::uint8_t>(prompt.salt_names[at]));
    const std::span<const TokenId> ids = std::span(prompt.ids).subspan(at * kBlockTokens, kBlockTokens);
    write_token_bytes(rig_.bytes(fill.id()), parent, salt, ids);
    BlockKey key;
    sequence.leases.push_back(rig_.cache().commit_block(std::move(fill), parent, salt, ids, &key, rig_.now));
    ASSERT_EQ(key, keys[at]);
    ASSERT_TRUE(has_token_bytes(rig_.bytes(sequence.leases.back().id()), parent, salt, ids));
    --model_.fills;
    const auto [block, inserted] = model_.blocks.try_emplace(prompt.path(at + 1));
    ++(inserted ? model_.committed : model_.duplicates);
    ++block->second.leases;
    block->second.recency = ++model_.clock;
  }

  void end() {
    std::swap(running_[prng_.below(running_.size())], running_.back());
    const Running& sequence = running_.back();
    unlease(sequence.prompt, sequence.leases.size());
    model_.fills -= sequence.partial.has_value();
    running_.pop_back();
  }

  void unlease(const Prompt& prompt, std::size_t blocks) {
    for (std::size_t i = 1; i <= blocks; ++i) --model_.blocks.at(prompt.path(i)).leases;
  }

  void prepare() {
    std::optional<BlockFill> fill = rig_.cache().prepare(rig_.now);
    ASSERT_EQ(fill.has_value(), model_.prepare());
    if (fill) fills_.push_back(std::move(*fill));
  }

  void compare() {
    rig_.cache().check_invariants();
    const PrefixCacheStats stats = rig_.cache().stats();
    ASSERT_EQ(stats.host.filling, model_.fills);
    ASSERT_EQ(stats.host.leased + stats.host.cached, model_.blocks.size());
    ASSERT_EQ(rig_.cache().available_blocks(), model_.available());
    ASSERT_EQ(stats.evictions[0][0], model_.evictions);
    ASSERT_EQ(stats.blocks_committed, model_.committed);
    ASSERT_EQ(stats.blocks_duplicate, model_.duplicates);
  }

  Prng prng_;
  CacheRig rig_;
  std::uint64_t alphabet_;
  Swarm swarm_;
  Model model_{};
  std::vector<std::vector<TokenId>> recent_;
  std::vector<Acquiring> acquiring_;
  std::vector<Running> running_;
  std::vector<BlockFill> fills_;
};

TEST(PrefixCacheReference, RandomOperations) {
  for (const std::uint64_t seed : seeds(20)) {
    SCOPED_TRACE("KVASIR_SEED=" + std::to_string(seed));
    CacheRun(seed).run(10'000);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace kvasir::testing
