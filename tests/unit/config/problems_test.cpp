#include "config/problems.h"

#include <gtest/gtest.h>

namespace kvasir {
namespace {

TEST(Problems, SortedByLineWithKeyAndAllowed) {
  Problems problems("f.yaml");
  EXPECT_TRUE(problems.empty());
  problems.add(7, "cache.policy", "'value' is not known", "lru");
  problems.add(2, "listen", "is no address");
  problems.add(0, "", "is empty");
  EXPECT_EQ(problems.message(),
            "f.yaml: is empty\nf.yaml:2: listen: is no address\n"
            "f.yaml:7: cache.policy: 'value' is not known (allowed: lru)");
}

TEST(NearestName, FindsTyposAndNothingElse) {
  const std::vector<std::string> names{"listen", "tls", "models", "cache", "requests_waiting", "requests_running"};
  EXPECT_EQ(nearest_name("lisen", names), "listen");
  EXPECT_EQ(nearest_name("model", names), "models");
  EXPECT_EQ(nearest_name("cahce", names), "cache");
  EXPECT_EQ(nearest_name("request_waiting", names), "requests_waiting");
  EXPECT_EQ(nearest_name("something", names), "");
  EXPECT_EQ(nearest_name("", names), "");
  EXPECT_EQ(nearest_name(std::string(100'000, 'x'), names), "");
}

}  // namespace
}  // namespace kvasir
