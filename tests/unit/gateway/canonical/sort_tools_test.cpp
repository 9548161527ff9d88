#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;

TEST(SortTools, ByNameAndStable) {
  Conversation conversation = with_tools(
      R"([{"type":"function","function":{"name":"b","x":1}},{"type":"function","function":{"name":"a"}},
          {"type":"function","function":{"name":"b","x":2}}])");
  EXPECT_EQ(changes_by(sort_tools, conversation), "2 tools[1] tools[0]");
  EXPECT_EQ(tools_of(conversation),
            R"([{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b","x":1}},)"
            R"({"type":"function","function":{"name":"b","x":2}}])");
  EXPECT_EQ(changes_by(sort_tools, conversation), "0");
}

}  // namespace
}  // namespace kvasir
