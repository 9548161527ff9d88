#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;

TEST(ToolLayout, MembersHaveOneOrder) {
  Conversation conversation = with_tools(
      R"([{"zeta":1,"function":{"strict":true,"x":2,"parameters":{"b":1,"a":2},"a":3,"description":"d","name":"f"},
           "type":"function"}])");
  EXPECT_EQ(changes_by(tool_layout, conversation), "1 tools[0]");
  EXPECT_EQ(tools_of(conversation),
            R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"b":1,"a":2},"strict":true,)"
            R"("a":3,"x":2},"zeta":1}])");
  EXPECT_EQ(changes_by(tool_layout, conversation), "0");
}

TEST(ToolLayout, WhiteSpaceOfTheRequestNeverCounts) {
  const Conversation narrow = with_tools(R"([{"type":"function","function":{"name":"f","parameters":{"a":[1,2]}}}])");
  const Conversation wide = with_tools(
      "[ {\n\t\"type\" : \"function\", \"function\": {\"name\": \"f\" , \"parameters\": { \"a\": [ 1 , 2 ] } } } ]");
  EXPECT_EQ(tools_of(narrow), tools_of(wide));
}

}  // namespace
}  // namespace kvasir
