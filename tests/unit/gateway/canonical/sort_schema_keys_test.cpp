#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;

TEST(SortSchemaKeys, AtEveryDepthButNotArrays) {
  Conversation conversation = with_tools(
      R"([{"type":"function","function":{"name":"f","description":"d","parameters":
          {"type":"object","required":["b","a"],"properties":{"b":{"type":"string","enum":["z","y"]},
           "a":{"oneOf":[{"type":"null"},{"title":"t","const":1.0}]}}}}}])");
  EXPECT_EQ(changes_by(sort_schema_keys, conversation), "1 tools[0]");
  EXPECT_EQ(tools_of(conversation),
            R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"properties":{"a":{"oneOf":)"
            R"([{"type":"null"},{"const":1.0,"title":"t"}]},"b":{"enum":["z","y"],"type":"string"}},)"
            R"("required":["b","a"],"type":"object"}}}])");
  EXPECT_EQ(changes_by(sort_schema_keys, conversation), "0");
}

TEST(SortSchemaKeys, ToolsWithoutASchemaStay) {
  Conversation conversation = with_tools(R"([{"type":"function","function":{"name":"f"}}])");
  EXPECT_EQ(changes_by(sort_schema_keys, conversation), "0");
}

}  // namespace
}  // namespace kvasir
