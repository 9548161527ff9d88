#include "tests/support/cache_rig.h"

#include <cstring>

#include "storage/base/hash.h"
#include "storage/block_key.h"

namespace kvasir::testing {
namespace {

// Calls visit(i, expected bytes of token i) and stops when it returns false.
template <class Visitor>
bool each_token(const BlockKey& parent, const Salt& salt, std::span<const TokenId> ids, Visitor visit) {
  std::uint64_t hash = checksum64(std::as_bytes(std::span(parent.bytes)), 1);
  hash = checksum64(std::as_bytes(std::span(salt.bytes)), hash);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    hash = mix64(hash ^ static_cast<std::uint32_t>(ids[i]));
    if (!visit(i, hash)) return false;
  }
  return true;
}

}  // namespace

Salt salt_named(std::uint8_t name) {
  Salt salt;
  salt.bytes.fill(name);
  return salt;
}

void write_token_bytes(std::span<std::byte> block, const BlockKey& parent, const Salt& salt,
                       std::span<const TokenId> ids) {
  each_token(parent, salt, ids, [&](std::size_t i, std::uint64_t value) {
    std::memcpy(block.data() + i * kTokenBytes, &value, kTokenBytes);
    return true;
  });
}

bool has_token_bytes(std::span<const std::byte> block, const BlockKey& parent, const Salt& salt,
                     std::span<const TokenId> ids) {
  return each_token(parent, salt, ids, [&](std::size_t i, std::uint64_t value) {
    return std::memcmp(block.data() + i * kTokenBytes, &value, kTokenBytes) == 0;
  });
}

CacheRig::CacheRig(RigConfig config)
    : config_(config),
      memory_(config.blocks, config.cache.block_tokens * kTokenBytes),
      disk_(config.seed, config.disk_options) {
  fingerprint_.bytes.fill(0x5A);
  start();
}

void CacheRig::start() {
  cache_ = std::make_unique<PrefixCache>(config_.cache, fingerprint_, memory_, config_.disk ? &disk_ : nullptr);
}

bool CacheRig::step() {
  now += std::chrono::milliseconds(1);
  disk_.step();
  return cache_->tick(now);
}

void CacheRig::settle() {
  do {
    step();
  } while (!disk_.idle());
  step();
}

void CacheRig::restart() {
  cache_->flush();
  cache_.reset();
  start();
}

void CacheRig::kill() {
  disk_.crash();
  cache_.reset();
  start();
}

PrefixHold CacheRig::take(AcquireId id, std::span<const TokenId> ids, std::span<const SaltRange> salts) {
  while (!cache_->acquire_ready(id)) step();
  PrefixHold hold = cache_->take(id, now);
  verify(hold, ids, salts);
  return hold;
}

void CacheRig::verify(const PrefixHold& hold, std::span<const TokenId> ids, std::span<const SaltRange> salts) {
  const std::uint32_t count = block_tokens();
  KVASIR_ASSERT(hold.tokens() == hold.blocks.size() * count + hold.partial_tokens);
  KVASIR_ASSERT(hold.tokens() < ids.size() || ids.empty());
  KVASIR_ASSERT(hold.partial.has_value() == (hold.partial_tokens > 0) && hold.partial_tokens < count);
  BlockKey parent = cache_->root();
  std::uint32_t first = 0;
  for (const BlockLease& block : hold.blocks) {
    const Salt& salt = salt_of_block(salts, first, count);
    KVASIR_ASSERT(has_token_bytes(bytes(block.id()), parent, salt, ids.subspan(first, count)));
    parent = block_key(parent, salt, ids.subspan(first, count));
    first += count;
  }
  if (!hold.partial) return;
  const Salt& salt = salt_of_block(salts, first, count);
  KVASIR_ASSERT(has_token_bytes(bytes(hold.partial->id()), parent, salt, ids.subspan(first, hold.partial_tokens)));
}

HeldPrompt CacheRig::compute(PrefixHold hold, std::span<const TokenId> ids, std::span<const SaltRange> salts) {
  HeldPrompt held{std::move(hold.blocks), hold.tokens_by_tier};
  const std::uint32_t count = block_tokens();
  std::vector<BlockKey> keys = block_keys(cache_->root(), ids, salts, count);
  for (std::size_t i = held.blocks.size(); i < keys.size(); ++i) {
    std::optional<BlockFill> fill = hold.partial ? std::exchange(hold.partial, std::nullopt) : cache_->prepare(now);
    if (!fill) break;
    const std::uint32_t first = static_cast<std::uint32_t>(i) * count;
    const BlockKey& parent = i == 0 ? cache_->root() : keys[i - 1];
    const Salt& salt = salt_of_block(salts, first, count);
    const std::span<const TokenId> block_ids = ids.subspan(first, count);
    write_token_bytes(bytes(fill->id()), parent, salt, block_ids);
    BlockKey key;
    held.blocks.push_back(cache_->commit_block(std::move(*fill), parent, salt, block_ids, &key, now));
    KVASIR_ASSERT(key == keys[i]);
    KVASIR_ASSERT(has_token_bytes(bytes(held.blocks.back().id()), parent, salt, block_ids));
  }
  return held;
}

HeldPrompt CacheRig::run(std::span<const TokenId> ids, std::span<const SaltRange> salts) {
  return compute(take(cache_->begin_acquire(query(ids, salts), now), ids, salts), ids, salts);
}

}  // namespace kvasir::testing
