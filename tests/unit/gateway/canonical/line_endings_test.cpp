#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;

TEST(LineEndings, OfWhatWasSaidButNotOfTheModelsWords) {
  Conversation conversation = conversation_of(
      R"({"messages":[{"role":"system","content":"a\r\nb\rc\n\r\n"},{"role":"user","content":"x"},
          {"role":"assistant","content":"m\r\n"},{"role":"user","content":"\r\r\n"}],
          "tools":[{"type":"function","function":{"name":"f","description":"d\r\n",
          "parameters":{"k\r\n":["\r\n"]}}}]})");
  EXPECT_EQ(changes_by(line_endings, conversation), "3 messages[0] messages[3] tools[0]");
  EXPECT_EQ(words_of(conversation), "system=a\nb\rc\n\n;user=x;assistant=m\r\n;user=\n;");
  EXPECT_EQ(tools_of(conversation),
            R"([{"type":"function","function":{"name":"f","description":"d\n","parameters":{"k\r\n":["\n"]}}}])");
  EXPECT_EQ(changes_by(line_endings, conversation), "0");
}

}  // namespace
}  // namespace kvasir
