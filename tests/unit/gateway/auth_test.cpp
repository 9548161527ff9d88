#include "gateway/auth.h"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

std::vector<TenantConfig> tenants() {
  Sha256 hash;
  TenantConfig a, b;
  a.name = "a";
  a.keys = {{to_hex(hash.update("key-a").finish()), ""}, {to_hex(hash.update("old-key-a").finish()), ""}};
  b.name = "b";
  b.keys = {{to_hex(hash.update("key-b").finish()), ""}};
  return {a, b};
}

TEST(Authenticator, WithoutTenantsEveryoneIsDefault) {
  const Authenticator open({}, "s");
  EXPECT_EQ(*open.identify(std::nullopt), "default");
  EXPECT_EQ(*open.identify("Bearer whatever"), "default");
}

TEST(Authenticator, KnowsKeysOfItsTenantsOnly) {
  const Authenticator authenticator(tenants(), "s");
  EXPECT_EQ(*authenticator.identify("Bearer key-a"), "a");
  EXPECT_EQ(*authenticator.identify("bearer  old-key-a "), "a");
  EXPECT_EQ(*authenticator.identify("Bearer key-b"), "b");
  for (const char* wrong : {"Bearer key-c", "Bearer", "Bearer ", "key-a", "Basic key-a", ""})
    EXPECT_EQ(authenticator.identify(wrong).error().code, ErrorCode::unauthorized) << wrong;
  EXPECT_FALSE(authenticator.identify(std::nullopt).ok());
}

TEST(Authenticator, SaltsDifferByTenantCacheSaltAndSecret) {
  const Authenticator one({}, "s1"), other({}, "s2");
  EXPECT_EQ(one.salt("a", ""), one.salt("a", ""));
  EXPECT_NE(one.salt("a", ""), one.salt("b", ""));
  EXPECT_NE(one.salt("a", ""), one.salt("a", "x"));
  EXPECT_NE(one.salt("a", ""), other.salt("a", ""));
  EXPECT_NE(one.salt("ab", "c"), one.salt("a", "bc"));  // length-prefixed: no concatenation collides
}

TEST(CacheSecret, IsKeptInTheFolderAndReadableByTheOwnerOnly) {
  const testing::TempDir dir;
  const std::string folder = dir / "cache";
  const Result<std::string> first = cache_secret("", folder);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->size(), 64u);
  EXPECT_EQ(*cache_secret("", folder), *first);
  struct stat info {};
  ASSERT_EQ(::stat((folder + "/secret").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(CacheSecret, TheConfiguredOneWinsAndWithoutAFolderItIsRandom) {
  EXPECT_EQ(*cache_secret("mine", "/nonexistent"), "mine");
  EXPECT_NE(*cache_secret("", ""), *cache_secret("", ""));
}

TEST(CacheSecret, ADamagedOneIsReplaced) {
  const testing::TempDir dir;
  std::ofstream(dir / "secret") << "short";
  const Result<std::string> fresh = cache_secret("", dir.path());
  ASSERT_TRUE(fresh.ok());
  EXPECT_EQ(fresh->size(), 64u);
  EXPECT_EQ(*cache_secret("", dir.path()), *fresh);
}

TEST(CacheSecret, AFolderThatCannotBeWrittenIsAnError) {
  EXPECT_EQ(cache_secret("", "/proc/kvasir").error().code, ErrorCode::io);
}

}  // namespace
}  // namespace kvasir
