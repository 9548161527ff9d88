// Chat bodies through all canonical rules: whatever the words, twice is once, the model's own words stay, and spans lie
// in order. The first byte says what the template can do, the second which rules are on.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/api/template_variables.h"
#include "gateway/canonical/canonicalizer.h"
#include "gateway/canonical/volatile_spans.h"
#include "gateway/json/json.h"
#include "storage/base/assert.h"

namespace {

using namespace kvasir;

void check_spans(std::string_view text) {
  std::size_t end = 0;
  for (const Span& span : find_spans(text)) {
    KVASIR_ASSERT(span.begin >= end && span.size > 0);
    end = span.begin + span.size;
    KVASIR_ASSERT(end <= text.size() && span.day_size <= span.size);
  }
}

std::string model_words(const Conversation& conversation) {
  std::string out;
  for (const Message& message : conversation.messages) {
    if (message.role != "assistant") continue;
    out += message.content;
    for (const Value& call : message.tool_calls)
      if (const Value* arguments = call.find("function")->find("arguments")) out += to_json(*arguments);
  }
  return out;
}

void check_rules(Conversation conversation, std::uint8_t template_bits, std::uint8_t rule_bits) {
  TemplateFeatures features;
  features.late_system = static_cast<TemplateFeatures::LateSystem>(template_bits & 3);
  features.alternation_enforced = template_bits & 4;
  CanonicalConfig config;
  std::uint8_t bit = 0;
  for (const Rule& rule : canonical_rules()) config.*rule.mode = rule_bits & 1 << (bit++ % 8) ? "report" : "on";
  const Canonicalizer rules(config);
  const std::string words = model_words(conversation);
  rules.apply(conversation, {.features = &features});
  KVASIR_ASSERT(model_words(conversation) == words);
  const std::string once = to_json(template_variables(conversation, features, "", ""));
  for (const RuleReport& rule : rules.apply(conversation, {.features = &features}).rules)
    KVASIR_ASSERT(rule.mode == RuleMode::report);
  KVASIR_ASSERT(to_json(template_variables(conversation, features, "", "")) == once);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 2), size - 2);
  check_spans(text);
  // Words alone are a system message, so that the fuzzer need not find JSON first.
  Conversation plain;
  plain.messages.resize(2);
  plain.messages[0].role = "system";
  plain.messages[0].content = text;
  plain.messages[1].role = "user";
  check_rules(std::move(plain), data[0], data[1]);
  const Result<Value> body = parse_json(text, {.depth_max = 64, .bytes_max = 1u << 20});
  if (!body || !body->as_object()) return 0;
  FieldReader fields(*body->as_object());
  Conversation conversation = read_openai_conversation(fields);
  if (fields.ok()) check_rules(std::move(conversation), data[0], data[1]);
  return 0;
}
