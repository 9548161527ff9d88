#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;

TEST(Nfc, OfWhatWasSaidButNotOfTheModelsWords) {
  Conversation conversation = with_system("Cafe\u0301");
  conversation.messages.push_back(message_of("assistant", "e\u0301"));
  EXPECT_EQ(changes_by(nfc, conversation), "1 messages[0]");
  EXPECT_EQ(words_of(conversation), "system=Caf\u00e9;user=hi;assistant=e\u0301;");
  EXPECT_EQ(changes_by(nfc, conversation), "0");
}

}  // namespace
}  // namespace kvasir
