#include "storage/block_key.h"

#include <numeric>

#include <gtest/gtest.h>

#include "storage/base/hash.h"

namespace kvasir {
namespace {

Salt salt(std::uint8_t value) {
  Salt s;
  s.bytes.fill(value);
  return s;
}

std::vector<TokenId> counting(std::size_t count) {
  std::vector<TokenId> ids(count);
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

TEST(BlockKey, RootDependsOnFingerprintAndBlockTokens) {
  Fingerprint a, b;
  b.bytes[31] = 1;
  EXPECT_EQ(root_key(a, 32), root_key(a, 32));
  EXPECT_NE(root_key(a, 32), root_key(b, 32));
  EXPECT_NE(root_key(a, 32), root_key(a, 16));
}

// Stored keys must stay what they are: another value here means that every store in the field becomes unreadable.
TEST(BlockKey, IsStable) {
  const BlockKey root = root_key({}, 32);
  EXPECT_EQ(to_hex(root.bytes), "e03a534f080a88fd4cf5e79430ab0f78785065b43450cca328e4aaa2de9860f7");
  EXPECT_EQ(to_hex(block_key(root, salt(7), counting(32)).bytes),
            "c317ed765b55051da19d036ce58dd466620d61420ffca143114c2b8500015b4d");
}

TEST(BlockKey, DependsOnParentSaltAndEveryId) {
  const BlockKey root = root_key({}, 4);
  const BlockKey key = block_key(root, salt(1), counting(4));
  EXPECT_NE(block_key(key, salt(1), counting(4)), key);
  EXPECT_NE(block_key(root, salt(2), counting(4)), key);
  for (std::size_t i = 0; i < 4; ++i) {
    std::vector<TokenId> ids = counting(4);
    ids[i] ^= 0x10000;
    EXPECT_NE(block_key(root, salt(1), ids), key);
  }
  EXPECT_NE(block_key(root, salt(1), counting(5)), key);
}

TEST(SaltOfBlock, IsThatOfTheLastToken) {
  const std::vector<SaltRange> salts{{0, salt(1)}, {6, salt(2)}, {8, salt(3)}};
  EXPECT_EQ(salt_of_block(salts, 0, 4), salt(1));
  EXPECT_EQ(salt_of_block(salts, 2, 4), salt(1));  // tokens 2 to 5
  EXPECT_EQ(salt_of_block(salts, 3, 4), salt(2));  // one private token makes it private
  EXPECT_EQ(salt_of_block(salts, 4, 4), salt(2));
  EXPECT_EQ(salt_of_block(salts, 8, 4), salt(3));
  EXPECT_EQ(salt_of_block(salts, 4000, 4), salt(3));
}

TEST(BlockKeys, ChainOverFullBlocks) {
  const BlockKey root = root_key({}, 4);
  const std::vector<SaltRange> salts{{0, salt(1)}, {5, salt(2)}};
  const std::vector<TokenId> ids = counting(11);
  const std::vector<BlockKey> keys = block_keys(root, ids, salts, 4);
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0], block_key(root, salt(1), std::span(ids).first(4)));
  EXPECT_EQ(keys[1], block_key(keys[0], salt(2), std::span(ids).subspan(4, 4)));
  EXPECT_TRUE(block_keys(root, std::span(ids).first(3), salts, 4).empty());
}

}  // namespace
}  // namespace kvasir
