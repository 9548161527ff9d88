// PrefixIndex against a plain list of nodes that is searched from end to end.
#include "storage/prefix_index.h"

#include <algorithm>
#include <list>

#include <gtest/gtest.h>

#include "storage/base/assert.h"
#include "storage/block_key.h"
#include "tests/support/swarm.h"

namespace kvasir::testing {
namespace {

constexpr std::uint32_t kBlockTokens = 3;
constexpr std::uint32_t kHostBlocks = 24;

enum Operation : std::uint32_t {
  kInsert,
  kSetHost,
  kLease,
  kUnlease,
  kTouch,
  kEvict,
  kSetRecord,
  kClearRecord,
  kLoad,
  kProbe,
  kRequestEnd,
  kKinds
};

struct ModelNode {
  ModelNode* parent;
  Salt salt;
  std::vector<TokenId> ids;
  BlockKey key;
  std::uint64_t recency = 0;
  bool host = false, cached = false, record = false, load = false;
  std::uint32_t children = 0;
};

std::uint32_t common(const std::vector<TokenId>& a, std::span<const TokenId> b) {
  std::uint32_t n = 0;
  while (n < a.size() && n < b.size() && a[n] == b[n]) ++n;
  return n;
}

class IndexRun {
 public:
  IndexRun(std::uint64_t seed, PolicyKind policy)
      : policy_(policy),
        prng_(mix64(seed)),
        alphabet_(1 + prng_.below(4)),
        root_(root_key({}, kBlockTokens)),
        index_(root_, kHostBlocks, make_policy(policy, kHostBlocks, true)),
        swarm_(prng_, kKinds, kAlways) {
    nodes_.push_back({nullptr, {}, {}, root_});
    for (std::uint32_t i = 0; i < kHostBlocks; ++i) free_.push_back(BlockId{i});
  }

  void run(std::uint32_t operations) {
    for (std::uint32_t i = 0; i < operations; ++i) {
      apply(swarm_.next());
      compare();
      if (::testing::Test::HasFatalFailure()) return;
    }
  }

 private:
  static constexpr std::uint32_t kAlways[] = {kInsert, kEvict, kClearRecord, kProbe};

  void apply(std::uint32_t operation) {
    ModelNode& node = any();
    switch (operation) {
      case kInsert:
        return insert(node);
      case kSetHost:
        return set_host(node);
      case kLease:
        if (node.host) {
          index_.set_leased(real(node));
          node.cached = false;
        }
        return;
      case kUnlease:
        if (node.host) {
          index_.set_cached(real(node));
          node.cached = true;
        }
        return;
      case kTouch:
        if (node.parent && !evictable(node)) touch(node);
        return;
      case kEvict:
        return evict();
      case kSetRecord:
        if (node.parent) {
          index_.set_record(real(node), prng_.next());
          node.record = true;
        }
        return;
      case kClearRecord:
        return clear_record(node);
      case kLoad:
        return toggle_load(node);
      case kProbe:
        return probe(node);
      case kRequestEnd:
        return index_.policy().request_ends(PolicyRequest{prng_.below(6)},
                                            {static_cast<RequestEnd>(prng_.below(5)), 40}, TimePoint::min());
      default:
        FAIL();
    }
  }

  ModelNode& any() { return *std::next(nodes_.begin(), static_cast<std::ptrdiff_t>(prng_.below(nodes_.size()))); }
  PrefixNode& real(const ModelNode& node) {
    PrefixNode* const found = index_.find(node.key);
    KVASIR_ASSERT(found != nullptr);
    return *found;
  }

  Salt random_salt() {
    Salt salt;
    salt.bytes[31] = static_cast<std::uint8_t>(prng_.below(2));
    return salt;
  }
  std::vector<TokenId> random_ids(std::size_t count) {
    std::vector<TokenId> ids(count);
    for (TokenId& id : ids) id = static_cast<TokenId>(prng_.below(alphabet_));
    return ids;
  }

  ModelNode* model_child(const ModelNode& parent, const Salt& salt, std::span<const TokenId> ids) {
    for (ModelNode& node : nodes_)
      if (node.parent == &parent && node.salt == salt && std::ranges::equal(node.ids, ids)) return &node;
    return nullptr;
  }

  void insert(ModelNode& parent) {
    const Salt salt = random_salt();
    const std::vector<TokenId> ids = random_ids(kBlockTokens);
    PrefixNode& made = index_.child_or_insert(real(parent), {salt, ids});
    ASSERT_EQ(made.key, block_key(parent.key, salt, ids));
    if (model_child(parent, salt, ids) != nullptr) return;
    index_.set_record(made, 1);  // a node is in some tier
    nodes_.push_back({&parent, salt, ids, made.key});
    nodes_.back().record = true;
    ++parent.children;
  }

  void set_host(ModelNode& node) {
    if (!node.parent || node.host || free_.empty()) return;
    touch(node);
    index_.set_host(real(node), free_.back());
    ASSERT_EQ(index_.owner(free_.back()), &real(node));
    free_.pop_back();
    node.host = true;
    node.cached = false;
  }

  void touch(ModelNode& node) {
    index_.touch(real(node), {PolicyRequest{prng_.below(6)}, TimePoint(std::chrono::milliseconds(100 * clock_))});
    node.recency = ++clock_;
  }

  void evict() {
    PrefixNode* const victim = index_.victim();
    if (victim == nullptr) return;
    const auto node =
        std::find_if(nodes_.begin(), nodes_.end(), [&](const ModelNode& n) { return n.key == victim->key; });
    free_.push_back(*victim->host);
    index_.clear_host(*victim);
    index_.remove_if_unused(victim);
    node->host = node->cached = false;
    remove_if_unused(&*node);
  }

  void clear_record(ModelNode& node) {
    if (!node.parent) return;
    PrefixNode& in_index = real(node);
    index_.clear_record(in_index);
    index_.remove_if_unused(&in_index);
    node.record = false;
    remove_if_unused(&node);
  }

  void toggle_load(ModelNode& node) {
    if (!node.parent) return;
    PrefixNode& in_index = real(node);
    node.load = !node.load;
    node.load ? void(in_index.load = 1) : in_index.load.reset();
    index_.remove_if_unused(&in_index);
    remove_if_unused(&node);
  }

  void remove_if_unused(ModelNode* node) {
    while (node->parent && !node->host && !node->record && !node->load && node->children == 0) {
      ModelNode* const parent = node->parent;
      --parent->children;
      nodes_.remove_if([&](const ModelNode& n) { return &n == node; });
      node = parent;
    }
  }

  void probe(const ModelNode& parent) {
    const Salt salt = random_salt();
    const std::vector<TokenId> ids = random_ids(1 + prng_.below(kBlockTokens));
    const ModelNode* const expected = model_child(parent, salt, ids);
    const PrefixNode* const child = index_.child(real(parent), {salt, ids});
    ASSERT_EQ(child ? std::optional(child->key) : std::nullopt, expected ? std::optional(expected->key) : std::nullopt);
    std::uint32_t longest = 0;
    for (const ModelNode& node : nodes_)
      if (node.parent == &parent && node.host && node.salt == salt) longest = std::max(longest, common(node.ids, ids));
    const PrefixIndex::Partial partial = index_.longest_partial(real(parent), {salt, ids});
    ASSERT_EQ(partial.tokens, longest);
    ASSERT_EQ(partial.node != nullptr, longest > 0);
    ASSERT_TRUE(longest == 0 || (partial.node->host && common(partial.node->ids, ids) == longest));
  }

  bool evictable(const ModelNode& node) const {
    return node.cached &&
           std::none_of(nodes_.begin(), nodes_.end(), [&](const ModelNode& n) { return n.parent == &node && n.host; });
  }

  void compare() {
    std::size_t visited = 0;
    index_.check_invariants([&](const PrefixNode&) { ++visited; });
    ASSERT_EQ(visited, nodes_.size());
    ASSERT_EQ(index_.nodes(), nodes_.size());
    const ModelNode* victim = nullptr;
    std::uint64_t records = 0;
    for (const ModelNode& node : nodes_) {
      records += node.record;
      if (evictable(node) && (victim == nullptr || node.recency < victim->recency)) victim = &node;
    }
    ASSERT_EQ(index_.records(), records);
    const PrefixNode* const chosen = index_.victim();
    ASSERT_EQ(chosen != nullptr, victim != nullptr);
    ASSERT_EQ(index_.victim(), chosen);  // asked twice it says the same
    if (chosen == nullptr) return;
    if (policy_ == PolicyKind::lru) {
      ASSERT_EQ(chosen->key, victim->key);
    }
    ASSERT_TRUE(std::any_of(nodes_.begin(), nodes_.end(),
                            [&](const ModelNode& node) { return node.key == chosen->key && evictable(node); }));
  }

  PolicyKind policy_;
  Prng prng_;
  std::uint64_t alphabet_;
  BlockKey root_;
  PrefixIndex index_;
  Swarm swarm_;
  std::list<ModelNode> nodes_;  // the root first
  std::vector<BlockId> free_;
  std::uint64_t clock_ = 0;
};

TEST(PrefixIndexReference, RandomOperations) {
  for (const std::uint64_t seed : seeds(20)) {
    SCOPED_TRACE("KVASIR_SEED=" + std::to_string(seed));
    for (const PolicyKind policy : kPolicyKinds) {
      SCOPED_TRACE(to_string(policy));
      IndexRun(seed, policy).run(policy == PolicyKind::lru ? 5'000 : 2'000);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace kvasir::testing
