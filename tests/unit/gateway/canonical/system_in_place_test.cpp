#include "tests/unit/gateway/canonical/rig.h"

namespace kvasir {
namespace {

using namespace testing;

using F = TemplateFeatures;

Conversation late() {
  return conversation_of(R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":"u"},
      {"role":"assistant","content":"a"},{"role":"system","content":"L"},{"role":"user","content":"v"},
      {"role":"system","content":"T"}]})");
}

TEST(SystemInPlace, StaysASystemMessageWhereTheTemplateTakesIt) {
  const F features{.late_system = F::LateSystem::in_place};
  Conversation conversation = late();
  EXPECT_EQ(changes_by(system_in_place, conversation, {.features = &features}), "0");
  EXPECT_EQ(words_of(conversation), "system=S;user=u;assistant=a;system=L;user=v;system=T;");
}

TEST(SystemInPlace, IsAUsersTurnElsewhere) {
  for (const F::LateSystem place : {F::LateSystem::refused, F::LateSystem::dropped, F::LateSystem::moved}) {
    const F features{.late_system = place};
    Conversation conversation = late();
    EXPECT_EQ(changes_by(system_in_place, conversation, {.features = &features}), "2 messages[3] messages[5]");
    EXPECT_EQ(words_of(conversation), "system=S;user=u;assistant=a;user=L;user=v;user=T;");
    EXPECT_EQ(changes_by(system_in_place, conversation, {.features = &features}), "0");
  }
}

TEST(SystemInPlace, JoinsTheTurnsBesideWhereTurnsMustAlternate) {
  const F features{.late_system = F::LateSystem::refused, .alternation_enforced = true};
  Conversation conversation = late();
  conversation.messages[1].content = "u";
  EXPECT_EQ(changes_by(system_in_place, conversation, {.features = &features}), "2 messages[3] messages[5]");
  EXPECT_EQ(words_of(conversation), "system=S;user=u;assistant=a;user=L\n\nv\n\nT;");
}

// What is last in this request stands in the middle of the next one, in the same form.
TEST(SystemInPlace, TheNextRequestBeginsWithThisOne) {
  for (const bool alternate : {false, true}) {
    const F features{.late_system = F::LateSystem::refused, .alternation_enforced = alternate};
    Conversation now = late(), next = late();
    next.messages.push_back(message_of("assistant", "b"));
    next.messages.push_back(message_of("user", "w"));
    changes_by(system_in_place, now, {.features = &features});
    changes_by(system_in_place, next, {.features = &features});
    EXPECT_EQ(words_of(next), words_of(now) + "assistant=b;user=w;");
  }
}

TEST(SystemInPlace, TwoTurnsOfTheUserStayTwo) {
  const F features{.late_system = F::LateSystem::refused, .alternation_enforced = true};
  Conversation conversation = with_system("S");
  conversation.messages.push_back(message_of("user", "more"));
  EXPECT_EQ(changes_by(system_in_place, conversation, {.features = &features}), "0");
  EXPECT_EQ(words_of(conversation), "system=S;user=hi;user=more;") << "that the template refuses this is its own say";
}

}  // namespace
}  // namespace kvasir
