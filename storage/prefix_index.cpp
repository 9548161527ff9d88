#include "storage/prefix_index.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "storage/base/assert.h"
#include "storage/base/hash.h"
#include "storage/block_key.h"

namespace kvasir {
namespace {

bool sibling_before(const BlockContent& a, const BlockContent& b) {
  if (const auto order = a.salt <=> b.salt; order != 0) return order < 0;
  return std::lexicographical_compare(a.ids.begin(), a.ids.end(), b.ids.begin(), b.ids.end());
}

std::uint32_t tokens_in_common(const PrefixNode& node, const BlockContent& content) {
  if (node.salt != content.salt) return 0;
  const auto differs = std::mismatch(node.ids.begin(), node.ids.end(), content.ids.begin(), content.ids.end());
  return static_cast<std::uint32_t>(differs.first - node.ids.begin());
}

bool same_content(const PrefixNode& node, const BlockContent& content) {
  return node.salt == content.salt && std::ranges::equal(node.ids, content.ids);
}

template <class Digest>
std::uint64_t first_word(const Digest& digest) {
  std::uint64_t word;
  std::memcpy(&word, digest.bytes.data(), sizeof word);
  return word;
}

}  // namespace

bool SiblingOrder::operator()(const PrefixNode* a, const PrefixNode* b) const {
  return sibling_before(a->content(), b->content());
}
bool SiblingOrder::operator()(const PrefixNode* a, const BlockContent& b) const {
  return sibling_before(a->content(), b);
}
bool SiblingOrder::operator()(const BlockContent& a, const PrefixNode* b) const {
  return sibling_before(a, b->content());
}

bool PrefixIndex::ContentEqual::operator()(const ContentProbe& a, const PrefixNode* b) const {
  return a.hash == b->content_hash && a.parent == b->parent && same_content(*b, a.content);
}

PrefixIndex::PrefixIndex(const BlockKey& root, std::uint32_t host_blocks, std::unique_ptr<EvictionPolicy> policy)
    : policy_(std::move(policy)), owners_(host_blocks), root_(&nodes_[root]) {
  root_->key = root;
}

PrefixNode* PrefixIndex::find(const BlockKey& key) {
  const auto found = nodes_.find(key);
  return found == nodes_.end() ? nullptr : &found->second;
}

PrefixNode* PrefixIndex::child(PrefixNode& parent, const BlockContent& content) const {
  if (parent.children == 0) return nullptr;
  if (PrefixNode* const newest = parent.newest_child; newest != nullptr && same_content(*newest, content))
    return newest;
  const auto found = by_content_.find(ContentProbe{&parent, content, hash_content(parent, content)});
  return found == by_content_.end() ? nullptr : *found;
}

PrefixIndex::Partial PrefixIndex::longest_partial(const PrefixNode& parent, const BlockContent& content) const {
  const auto after = parent.host_children.lower_bound(content);
  Partial best;
  const auto consider = [&](PrefixNode* node) {
    const std::uint32_t tokens = tokens_in_common(*node, content);
    if (tokens > best.tokens) best = {node, tokens};
  };
  if (after != parent.host_children.end()) consider(*after);
  if (after != parent.host_children.begin()) consider(*std::prev(after));
  return best;
}

PrefixNode& PrefixIndex::child_or_insert(PrefixNode& parent, const BlockContent& content) {
  PrefixNode* const known = child(parent, content);
  return known != nullptr ? *known : child_or_insert(parent, content, block_key(parent.key, content.salt, content.ids));
}

PrefixNode& PrefixIndex::child_or_insert(PrefixNode& parent, const BlockContent& content, const BlockKey& key) {
  const std::uint64_t hash = hash_content(parent, content);
  const auto known = by_content_.find(ContentProbe{&parent, content, hash});
  return known != by_content_.end() ? **known : insert(parent, content, key, hash);
}

PrefixNode& PrefixIndex::insert(PrefixNode& parent, const BlockContent& content, const BlockKey& key,
                                std::uint64_t hash) {
  const auto [position, inserted] = nodes_.try_emplace(key);
  KVASIR_ASSERT(inserted);  // other content under the same key: SHA-256 broken, or a caller that made the key up
  PrefixNode& node = position->second;
  node.key = key;
  node.salt = content.salt;
  node.ids.assign(content.ids.begin(), content.ids.end());
  node.parent = &parent;
  node.depth = parent.depth + 1;
  node.content_hash = hash;
  ++parent.children;
  parent.newest_child = &node;
  by_content_.insert(&node);
  return node;
}

void PrefixIndex::remove_if_unused(PrefixNode* node) {
  while (node != root_ && node->children == 0 && !node->resident() && !node->load && node->write == WriteState::none) {
    PrefixNode* const parent = node->parent;
    remove(*node);
    node = parent;
  }
}

void PrefixIndex::remove(PrefixNode& node) {
  --node.parent->children;
  if (node.parent->newest_child == &node) node.parent->newest_child = nullptr;
  by_content_.erase(&node);
  policy_->forgotten(node);
  nodes_.erase(BlockKey(node.key));  // a copy: the key is in the node
}

void PrefixIndex::set_host(PrefixNode& node, BlockId id) {
  KVASIR_ASSERT(!node.host && owner(id) == nullptr && &node != root_ && node.recency > 0);
  node.host = id;
  owners_[index_of(id)] = &node;
  if (is_evictable(*node.parent)) policy_->kept(*node.parent);
  node.parent->host_children.insert(&node);
}

void PrefixIndex::clear_host(PrefixNode& node) {
  KVASIR_ASSERT(node.host && node.host_children.empty());
  set_leased(node);
  owners_[index_of(*node.host)] = nullptr;
  node.host.reset();
  node.parent->host_children.erase(&node);
  policy_->evicted(node);
  if (is_evictable(*node.parent)) policy_->evictable(*node.parent);
}

void PrefixIndex::set_record(PrefixNode& node, std::uint64_t number) {
  records_ += !node.record;
  node.record = number;
}

void PrefixIndex::clear_record(PrefixNode& node) {
  records_ -= node.record.has_value();
  node.record.reset();
}

void PrefixIndex::set_leased(PrefixNode& node) {
  if (is_evictable(node)) policy_->kept(node);
  node.cached = false;
}

void PrefixIndex::set_cached(PrefixNode& node) {
  KVASIR_ASSERT(node.host);
  if (std::exchange(node.cached, true)) return;
  if (is_evictable(node)) policy_->evictable(node);
}

void PrefixIndex::touch(PrefixNode& node, const BlockUse& use) {
  KVASIR_ASSERT(!is_evictable(node));  // its place among them goes by what follows
  node.recency = ++clock_;
  policy_->used(node, use);
}

// Salts come from a server secret, so callers cannot aim at collisions.
std::uint64_t PrefixIndex::hash_content(const PrefixNode& parent, const BlockContent& content) {
  return checksum64(std::as_bytes(content.ids), first_word(parent.key) ^ first_word(content.salt));
}

void PrefixIndex::check(const PrefixNode& node) const {
  KVASIR_ASSERT(policy_->holds(node) == is_evictable(node));
  for (const PrefixNode* child : node.host_children) KVASIR_ASSERT(child->parent == &node && child->host);
  KVASIR_ASSERT(node.host_children.size() <= node.children);
  KVASIR_ASSERT(node.newest_child == nullptr || (node.children > 0 && node.newest_child->parent == &node));
  KVASIR_ASSERT((node.parent == nullptr) == (&node == root_));
  if (&node == root_) {
    KVASIR_ASSERT(!node.resident() && !node.load && node.write == WriteState::none && !node.cached);
    return;
  }
  KVASIR_ASSERT(node.depth == node.parent->depth + 1);
  KVASIR_ASSERT(node.children > 0 || node.resident() || node.load || node.write != WriteState::none);
  KVASIR_ASSERT(by_content_.contains(const_cast<PrefixNode*>(&node)));
  KVASIR_ASSERT(!node.cached || node.host);
  if (!node.host) return;
  KVASIR_ASSERT(owner(*node.host) == &node);
  KVASIR_ASSERT(node.parent->host_children.contains(const_cast<PrefixNode*>(&node)));
}

void PrefixIndex::check_totals(std::size_t evictable, std::size_t records) const {
  policy_->check_invariants();
  KVASIR_ASSERT(policy_->evictable_count() == evictable && records_ == records &&
                by_content_.size() == nodes_.size() - 1);
  std::size_t children = 0, host_children = 0, owners = 0;
  for (const auto& [key, node] : nodes_) {
    children += node.children;
    host_children += node.host_children.size();
  }
  for (const PrefixNode* node : owners_) owners += node != nullptr;
  KVASIR_ASSERT(children == nodes_.size() - 1 && host_children == owners);
}

}  // namespace kvasir
