#include "engine/text/template_features.h"

#include <string>

#include <gtest/gtest.h>

namespace kvasir {
namespace {

using F = TemplateFeatures;

F features_of(const std::string& source) {
  const auto compiled = ChatTemplate::compile(source);
  EXPECT_TRUE(compiled.ok()) << source;
  return detect_template_features(**compiled, "<s>", "</s>");
}

TEST(TemplateFeatures, OfTurnsAlone) {
  const F f = features_of(
      "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
      "{% if add_generation_prompt %}[assistant]{% endif %}");
  EXPECT_EQ(f.content, F::Content::text);
  EXPECT_EQ(f.system, F::System::own_turn);
  EXPECT_EQ(f.late_system, F::LateSystem::in_place);
  EXPECT_TRUE(f.generation_prompt && f.starts_with_bos && f.tool_results);
  EXPECT_FALSE(f.alternation_enforced || f.user_required || f.tool_calls || f.clock || f.opens_reasoning);
  EXPECT_EQ(f.tools_variable, "");
}

TEST(TemplateFeatures, OfRulesAndTheSystemInTheUsersTurn) {
  const F f = features_of(
      "{% set system = messages[0].content ~ '\\n' if messages[0].role == 'system' else '' %}"
      "{% for m in messages if m.role != 'system' %}"
      "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}"
      "<{{ m.role }}>{{ system if loop.first }}{{ m.content | join(attribute='text') }}{% endfor %}"
      "{{ strftime_now('%Y') }}<assistant><think>\n");
  EXPECT_EQ(f.content, F::Content::parts);
  EXPECT_TRUE(f.alternation_enforced && f.clock && f.opens_reasoning);
  EXPECT_FALSE(f.generation_prompt);
}

TEST(TemplateFeatures, OfCalls) {
  const std::string head =
      "{{ tools | tojson if tools }}{% for m in messages %}<{{ m.role }}>{{ m.content if m.content }}"
      "{% for c in m.tool_calls %}";
  const std::string tail = "{% endfor %}{% endfor %}";
  const F object = features_of(head + "{{ c.function.name }}{{ c.function.arguments | tojson }}" + tail);
  EXPECT_TRUE(object.tool_calls && object.parallel_calls && object.null_content);
  EXPECT_EQ(object.arguments, F::Arguments::object);
  EXPECT_EQ(object.tools_variable, "tools");
  const F text = features_of(head + "{{ c.function.name + c.function.arguments }}" + tail);
  EXPECT_EQ(text.arguments, F::Arguments::text);
  const F ids = features_of(head +
                            "{% if c.id|length != 9 %}{{ raise_exception('9') }}{% endif %}{{ c.id }}"
                            "{{ c.function.name }}{{ c.function.arguments | tojson }}" +
                            tail);
  EXPECT_TRUE(ids.call_ids && ids.call_ids_required);
  EXPECT_EQ(ids.call_id_length, 9u);
  const F single =
      features_of(head + "{% if not loop.first %}{{ raise_exception('one') }}{% endif %}{{ c | tojson }}" + tail);
  EXPECT_TRUE(single.tool_calls);
  EXPECT_FALSE(single.parallel_calls);
}

TEST(TemplateFeatures, OfReasoning) {
  const F f = features_of(
      "{% set last = namespace(user=-1) %}{% for m in messages %}{% if m.role == 'user' %}"
      "{% set last.user = loop.index0 %}{% endif %}{% endfor %}{% for m in messages %}<{{ m.role }}>"
      "{% if m.thinking and loop.index0 > last.user %}({{ m.thinking }}){% endif %}"
      "{{ (m.content or '').split('</think>') | last }}{% endfor %}"
      "{% if enable_thinking is defined and not enable_thinking %}<quick>{% endif %}{{ reasoning_effort }}");
  EXPECT_EQ(f.reasoning_field, "thinking");
  EXPECT_EQ(f.reasoning, F::Reasoning::current);
  EXPECT_EQ(f.thinking_variable, "enable_thinking");
  EXPECT_TRUE(f.think_tags_removed && f.reasoning_effort);
}

TEST(TemplateFeatures, OfATemplateThatAlwaysFails) {
  const F f = features_of("{{ raise_exception('no') }}");
  EXPECT_EQ(f.content, F::Content::none);
  EXPECT_EQ(f.system, F::System::refused);
  EXPECT_FALSE(f.tool_calls || f.generation_prompt || f.user_required || f.empty_tools_needed);
}

}  // namespace
}  // namespace kvasir
