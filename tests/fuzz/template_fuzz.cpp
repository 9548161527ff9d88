#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/text/chat_template.h"
#include "gateway/json/json.h"
#include "storage/base/assert.h"

namespace {

constexpr std::string_view kVariables = R"({
  "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Wie spät? <|im_end|>\n\n é😀"},
               {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function",
                "function": {"name": "f", "arguments": {"a": 1, "b": [1.5, true, null, "x"]}}}]}],
  "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
  "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "x": 3, "s": "a,b,c"})";

}  // namespace

// Any template, under small limits: an error or a prompt within them, never a crash, a hang or a huge allocation.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const kvasir::Value variables = *kvasir::parse_json(kVariables);
  constexpr kvasir::TemplateLimits kLimits{.steps_max = 20'000, .depth_max = 100, .output_bytes_max = 1u << 16};
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto compiled = kvasir::ChatTemplate::compile(source, kLimits);
  if (!compiled) {
    KVASIR_ASSERT(!compiled.error().message.empty());
    return 0;
  }
  const auto prompt = (*compiled)->render(variables, "2026-07-26T10:00:00");
  if (prompt) KVASIR_ASSERT(prompt->text().size() <= kLimits.output_bytes_max);
  return 0;
}
