#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;

TEST(StripCacheMarkers, OfToolsAndTheirFunctions) {
  Conversation conversation = with_tools(
      R"([{"type":"function","cache_control":{"type":"ephemeral"},"function":{"name":"f","cache_control":1,
           "parameters":{"properties":{"cache_control":{"type":"string"}}}}},
          {"type":"function","function":{"name":"g"}}])");
  EXPECT_EQ(changes_by(strip_cache_markers, conversation), "1 tools[0]");
  EXPECT_EQ(tools_of(conversation),
            R"([{"type":"function","function":{"name":"f","parameters":{"properties":{"cache_control":{"type":)"
            R"("string"}}}}},{"type":"function","function":{"name":"g"}}])")
      << "a parameter of that name stays";
  EXPECT_EQ(changes_by(strip_cache_markers, conversation), "0");
}

TEST(StripCacheMarkers, OfCallsWithoutTouchingArguments) {
  Conversation conversation = conversation_of(
      R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[
          {"id":"1","type":"function","function":{"name":"f","arguments":"{}"}},
          {"id":"2","type":"function","cache_control":{},
           "function":{"name":"f","arguments":"{\"cache_control\":  1}"}}]}]})");
  EXPECT_EQ(changes_by(strip_cache_markers, conversation), "1 messages[1].tool_calls[1]");
  const Value& call = conversation.messages[1].tool_calls[1];
  EXPECT_EQ(call.find("cache_control"), nullptr);
  EXPECT_EQ(*call.find("function")->find("arguments")->as_object()->source, R"({"cache_control":  1})");
}

}  // namespace
}  // namespace kvasir
