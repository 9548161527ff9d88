#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;

const std::string kHeader = "x-anthropic-billing-header: cc_version=2.1.9; cc_entrypoint=cli; cch=0a1b2;";

TEST(DropClientHeaders, ALineInFrontGoes) {
  Conversation conversation = with_system(kHeader + "\nYou help.\n" + kHeader);
  EXPECT_EQ(changes_by(drop_client_headers, conversation), "1 messages[0]");
  EXPECT_EQ(words_of(conversation), "system=You help.\n" + kHeader + ";user=hi;") << "only in front";
  EXPECT_EQ(changes_by(drop_client_headers, conversation), "0");
}

TEST(DropClientHeaders, AMessageOfNothingElseGoes) {
  Conversation conversation = with_system(kHeader);
  EXPECT_EQ(changes_by(drop_client_headers, conversation), "1 messages[0]");
  EXPECT_EQ(words_of(conversation), "user=hi;");
  EXPECT_EQ(conversation.messages[0].place, 1u) << "places are those of the request";
}

TEST(DropClientHeaders, AConversationKeepsAMessage) {
  Conversation conversation = with_system(kHeader);
  conversation.messages.pop_back();
  EXPECT_EQ(changes_by(drop_client_headers, conversation), "1 messages[0]");
  EXPECT_EQ(words_of(conversation), "system=;");
}

TEST(DropClientHeaders, WordsOfOthersStay) {
  Conversation conversation = with_system("You help.");
  conversation.messages[1].content = kHeader;
  EXPECT_EQ(changes_by(drop_client_headers, conversation), "0");
  EXPECT_EQ(words_of(conversation), "system=You help.;user=" + kHeader + ";");
}

}  // namespace
}  // namespace kvasir
