#include "gateway/api/template_variables.h"
#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;

Value content_for(const Conversation& conversation, TemplateFeatures::Content form) {
  const Value all = template_variables(conversation, {.content = form}, "", "");
  return *(*all.find("messages")->as_array())[0].find("content");
}

const std::string kParts = R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]})";
const std::string kTwo =
    R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]})";

TEST(TextForm, PartsAreTheirText) {
  using Content = TemplateFeatures::Content;
  Conversation conversation = conversation_of(kParts);
  EXPECT_EQ(to_json(content_for(conversation, Content::either)), R"([{"type":"text","text":"a"}])");
  EXPECT_EQ(changes_by(text_form, conversation), "1 messages[0]");
  EXPECT_EQ(to_json(content_for(conversation, Content::either)), R"("a")");
  EXPECT_EQ(to_json(content_for(conversation, Content::parts)), R"([{"type":"text","text":"a"}])");
  EXPECT_EQ(changes_by(text_form, conversation), "0");
}

TEST(TextForm, SeveralPartsAreJoined) {
  using Content = TemplateFeatures::Content;
  Conversation conversation = conversation_of(kTwo);
  EXPECT_EQ(to_json(content_for(conversation, Content::parts)),
            R"([{"type":"text","text":"a"},{"type":"text","text":"b"}])");
  EXPECT_EQ(to_json(content_for(conversation, Content::text)), R"("a\nb")") << "that template takes nothing else";
  changes_by(text_form, conversation);
  EXPECT_EQ(to_json(content_for(conversation, Content::parts)), R"([{"type":"text","text":"a\nb"}])");
}

}  // namespace
}  // namespace kvasir
