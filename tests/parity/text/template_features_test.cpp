#include "engine/text/template_features.h"

#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace kvasir {
namespace {

using F = TemplateFeatures;

std::string word(F::Content c) {
  const char* const kWords[] = {"text", "parts", "either", "none"};
  return kWords[static_cast<int>(c)];
}
std::string word(F::System s) {
  const char* const kWords[] = {"refused", "dropped", "own-turn", "in-user-turn"};
  return kWords[static_cast<int>(s)];
}
std::string word(F::LateSystem s) {
  const char* const kWords[] = {"late-refused", "late-dropped", "late-in-place", "late-moved"};
  return kWords[static_cast<int>(s)];
}
std::string word(F::Arguments a) {
  const char* const kWords[] = {"", "object", "text", "either"};
  return kWords[static_cast<int>(a)];
}
std::string word(F::Reasoning r) {
  const char* const kWords[] = {"", "current", "always"};
  return kWords[static_cast<int>(r)];
}

// The features that are there, in words.
std::string describe(const F& f) {
  std::string out = word(f.content) + " " + word(f.system) + " " + word(f.late_system);
  const auto add = [&](bool there, const std::string& what) {
    if (there && !what.empty()) out += " " + what;
  };
  add(f.alternation_enforced, "alternation");
  add(f.user_required, "user-required");
  add(f.generation_prompt, "prompt");
  add(f.starts_with_bos, "bos");
  add(true, f.tools_variable);
  add(f.empty_tools_needed, "empty-tools");
  add(f.tool_calls, "calls:" + word(f.arguments));
  add(f.parallel_calls, "parallel");
  add(f.tool_results, "results");
  add(f.result_names, "names");
  add(f.null_content, "null");
  add(f.call_ids, "ids");
  add(f.call_ids_required, "ids-required");
  add(f.call_id_length != 0, "ids-of-" + std::to_string(f.call_id_length));
  add(!f.reasoning_field.empty(), f.reasoning_field + ":" + word(f.reasoning));
  add(f.thinking_parts, "thinking-parts");
  add(f.think_tags_removed, "tags-removed");
  add(true, f.thinking_variable);
  add(f.reasoning_effort, "effort");
  add(f.opens_reasoning, "opens");
  add(f.clock, "clock");
  return out;
}

struct Row {
  const char* name;
  const char* features;
};

// Each read off the template itself.
constexpr Row kRows[] = {
    {"Apertus-8B-Instruct",
     "text own-turn late-refused prompt bos tools calls:object parallel results null enable_thinking clock"},
    {"Bielik-11B-v3.0-Instruct",
     "text own-turn late-dropped prompt bos tools calls:either parallel results reasoning_content:always "
     "enable_thinking"},
    {"ByteDance-Seed-OSS",
     "text own-turn late-in-place prompt tools calls:object parallel results null reasoning_content:always"},
    {"CohereForAI-c4ai-command-r-plus-tool_use",
     "text own-turn late-in-place prompt bos tools empty-tools calls:object parallel results"},
    {"CohereForAI-c4ai-command-r7b-12-2024-tool_use",
     "text own-turn late-in-place bos tools calls:object parallel results null reasoning_content:current "
     "enable_thinking"},
    {"GLM-4.7-Flash",
     "either own-turn late-in-place prompt tools calls:object parallel results reasoning_content:current tags-removed "
     "enable_thinking opens"},
    {"GigaChat3-10B-A1.8B", "text own-turn late-in-place prompt bos tools calls:either results null"},
    {"HuggingFaceTB-SmolLM3-3B", "text own-turn late-dropped prompt results enable_thinking"},
    {"Kimi-K2-Instruct", "either own-turn late-in-place prompt tools"},
    {"Kimi-K3",
     "either own-turn late-in-place prompt tools calls:either parallel results null reasoning_content:always thinking"},
    {"LFM2-8B-A1B", "text own-turn late-in-place prompt bos tools results"},
    {"LFM2.5-Instruct", "text own-turn late-in-place prompt bos tools results"},
    {"MiMo-VL", "text own-turn late-in-place prompt tools calls:object parallel results null"},
    {"MiniMax-M2",
     "either own-turn late-dropped prompt tools calls:object parallel results reasoning_content:current tags-removed "
     "opens"},
    {"MiniMax-M3",
     "either own-turn late-dropped prompt tools calls:object parallel results null reasoning_content:always"},
    {"NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
     "text own-turn late-in-place prompt tools calls:object parallel results null reasoning_content:current "
     "tags-removed enable_thinking opens"},
    {"NVIDIA-Nemotron-Nano-v2",
     "text own-turn late-dropped prompt tools calls:either parallel results null tags-removed opens"},
    {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
     "text own-turn late-in-place prompt bos tools empty-tools calls:either parallel results null"},
    {"Qwen-QwQ-32B",
     "text own-turn late-in-place prompt tools calls:object parallel results tags-removed enable_thinking"},
    {"Qwen-Qwen2.5-7B-Instruct", "text own-turn late-in-place prompt tools calls:object parallel results null"},
    {"Qwen-Qwen3-0.6B",
     "text own-turn late-in-place prompt tools calls:either parallel results reasoning_content:current tags-removed "
     "enable_thinking"},
    {"Qwen3-Coder", "text own-turn late-in-place prompt tools calls:object parallel results null"},
    {"Reka-Edge",
     "either own-turn late-dropped prompt tools calls:either parallel results null reasoning_content:current "
     "tags-removed enable_thinking"},
    {"Spark2.5",
     "either own-turn late-in-place prompt tools calls:object parallel results null reasoning_content:always "
     "enable_thinking opens"},
    {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
     "text in-user-turn late-moved prompt bos calls:text parallel results null tags-removed opens"},
    {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
     "text in-user-turn late-moved prompt bos calls:object parallel results null tags-removed enable_thinking"},
    {"deepseek-ai-DeepSeek-V3.2",
     "text in-user-turn late-moved prompt bos tools calls:object parallel results null reasoning_content:current "
     "enable_thinking"},
    {"deepseek-ai-DeepSeek-V4",
     "text in-user-turn late-moved prompt bos tools calls:object parallel results null reasoning_content:current "
     "enable_thinking"},
    {"fireworks-ai-llama-3-firefunction-v2", "none refused late-refused"},
    {"google-gemma-2-2b-it", "text refused late-refused alternation user-required prompt bos"},
    {"google-gemma-4-31B-it-interleaved",
     "either own-turn late-in-place prompt bos tools calls:either parallel results null reasoning_content:current "
     "enable_thinking"},
    {"ibm-granite-granite-3.3-2B-Instruct", "text own-turn late-in-place prompt tools results thinking clock"},
    {"ibm-granite-granite-4.1", "either own-turn late-in-place prompt tools calls:either parallel results null"},
    {"inclusionai-ling-3.0-flash",
     "text own-turn late-in-place prompt tools calls:object parallel results null reasoning_content:always "
     "enable_thinking opens"},
    {"llama-cpp-rwkv-world", "text own-turn late-moved prompt bos tags-removed enable_thinking"},
    {"meetkai-functionary-medium-v3.1",
     "text own-turn late-in-place prompt bos tools calls:object parallel results null"},
    {"meta-llama-Llama-3.1-8B-Instruct", "text own-turn late-in-place prompt bos tools calls:object results null"},
    {"meta-llama-Llama-3.2-3B-Instruct",
     "text own-turn late-in-place prompt bos tools calls:object results null clock"},
    {"microsoft-Phi-3.5-mini-instruct", "text own-turn late-in-place prompt"},
    {"mistralai-Ministral-3-14B-Reasoning-2512",
     "either own-turn late-refused alternation bos tools calls:either parallel results thinking-parts"},
    {"mistralai-Mistral-Nemo-Instruct-2407",
     "text in-user-turn late-refused alternation bos tools calls:object parallel results null ids ids-required "
     "ids-of-9"},
    {"moonshotai-Kimi-K2", "either own-turn late-in-place prompt tools calls:object parallel results null ids"},
    {"muse-glimmer",
     "either own-turn late-in-place prompt bos tools calls:object parallel results null reasoning_content:always "
     "clock"},
    {"openbmb-MiniCPM5-1B",
     "text own-turn late-in-place prompt bos tools calls:object parallel results null reasoning_content:current "
     "tags-removed enable_thinking"},
    {"smollm2", "text own-turn late-in-place prompt results"},
    {"tencent-Hy3",
     "either own-turn late-moved prompt tools calls:object parallel results null reasoning_content:current effort"},
    {"unsloth-mistral-Devstral-Small-2507", "either own-turn late-in-place bos tools calls:either parallel results"},
    {"upstage-Solar-Open-100B",
     "text own-turn late-moved prompt tools calls:either parallel results null ids ids-required reasoning:current "
     "effort clock"},
};

TEST(TemplateFeatures, OfRealTemplates) {
  const std::string data = testing::shared_data_dir();
  if (data.empty()) GTEST_SKIP() << "needs the shared data";
  for (const Row& row : kRows) {
    std::ifstream in(data + "/templates/" + row.name + ".jinja", std::ios::binary);
    const auto compiled = ChatTemplate::compile(std::string(std::istreambuf_iterator<char>(in), {}));
    ASSERT_TRUE(compiled.ok()) << row.name << ": " << compiled.error().message;
    EXPECT_EQ(describe(detect_template_features(**compiled, "<s>", "</s>")), row.features) << row.name;
  }
}

}  // namespace
}  // namespace kvasir
