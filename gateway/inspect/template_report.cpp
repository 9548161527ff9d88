#include "gateway/inspect/template_report.h"

#include <fmt/format.h>

#include "engine/text/calls/reply_format.h"
#include "gateway/inspect/shown.h"
#include "gateway/json_writer.h"

namespace kvasir {
namespace {

using Features = TemplateFeatures;

// Detection renders a template some sixty times with a few words: far more than that takes, far less than a hostile one
// could.
constexpr TemplateLimits kProbeLimits{.steps_max = 100'000, .depth_max = 200, .output_bytes_max = 1u << 20};

const char* name_of(Features::Content content) {
  switch (content) {
    case Features::Content::text:
      return "text";
    case Features::Content::parts:
      return "parts";
    case Features::Content::either:
      return "either";
    case Features::Content::none:
      return "none";
  }
  return "";
}

const char* name_of(Features::System system) {
  switch (system) {
    case Features::System::refused:
      return "refused";
    case Features::System::dropped:
      return "dropped";
    case Features::System::own_turn:
      return "own turn";
    case Features::System::in_user_turn:
      return "in the first user turn";
  }
  return "";
}

const char* name_of(Features::LateSystem system) {
  switch (system) {
    case Features::LateSystem::refused:
      return "refused";
    case Features::LateSystem::dropped:
      return "dropped";
    case Features::LateSystem::in_place:
      return "in place";
    case Features::LateSystem::moved:
      return "moved to the front";
  }
  return "";
}

const char* name_of(Features::Arguments arguments) {
  switch (arguments) {
    case Features::Arguments::none:
      return "none";
    case Features::Arguments::object:
      return "object";
    case Features::Arguments::text:
      return "text";
    case Features::Arguments::either:
      return "either";
  }
  return "";
}

const char* name_of(Features::Reasoning reasoning) {
  switch (reasoning) {
    case Features::Reasoning::dropped:
      return "dropped";
    case Features::Reasoning::current:
      return "since the last user turn";
    case Features::Reasoning::always:
      return "always";
  }
  return "";
}

// Texts that hold, joined by commas.
class Listed {
 public:
  Listed& add(bool holds, std::string_view text) {
    if (holds) text_ += (text_.empty() ? "" : ", ") + std::string(text);
    return *this;
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string tools_text(const Features& f) {
  if (f.tools_variable.empty()) return "not printed";
  return Listed()
      .add(true, f.tools_variable == "tools" ? "printed" : "printed, as " + f.tools_variable)
      .add(f.tool_calls, f.parallel_calls ? "calls (several in a message)" : "calls (one in a message)")
      .add(f.tool_results, "results")
      .take();
}

std::string reasoning_text(const Features& f) {
  const bool kept = !f.reasoning_field.empty() && f.reasoning != Features::Reasoning::dropped;
  return Listed()
      .add(kept, fmt::format("earlier {} is printed {}", f.reasoning_field, name_of(f.reasoning)))
      .add(f.think_tags_removed, "<think> in earlier answers is left out")
      .add(!f.thinking_variable.empty(), "switched by " + f.thinking_variable)
      .add(f.reasoning_effort, "reasoning_effort")
      .add(f.opens_reasoning, "the prompt opens it")
      .take();
}

std::string rules_text(const Features& f) {
  return Listed()
      .add(f.starts_with_bos, "prints BOS")
      .add(f.alternation_enforced, "turns must alternate")
      .add(f.user_required, "a user turn is required")
      .add(!f.generation_prompt, "no generation prompt")
      .add(f.call_id_length > 0, fmt::format("call ids of {} characters", f.call_id_length))
      .add(f.clock, "the prompt depends on the time")
      .take();
}

}  // namespace

std::vector<std::string> TemplateReport::limits() const {
  std::vector<std::string> out;
  const auto add = [&](bool holds, const char* sentence) {
    if (holds) out.emplace_back(sentence);
  };
  add(!present, "the file has no chat template: POST /v1/chat/completions answers 400; POST /v1/completions works");
  if (!features) return out;
  const Features& f = *features;
  add(f.content == Features::Content::none, "the chat template prints no user message");
  add(f.system == Features::System::refused, "the chat template refuses system messages");
  add(f.system == Features::System::dropped, "the chat template leaves system messages out");
  add(f.tools_variable.empty(), "the chat template prints no tools: the model is not told of them");
  return out;
}

std::vector<std::pair<std::string, std::string>> TemplateReport::rows() const {
  if (!present) return {{"size", "none"}};
  std::vector<std::pair<std::string, std::string>> rows = {{"size", shown_bytes(bytes)}};
  if (!features) return rows;
  const Features& f = *features;
  rows.emplace_back("content", f.content == Features::Content::either ? "text or parts" : name_of(f.content));
  rows.emplace_back("system", fmt::format("{}; between later turns: {}", name_of(f.system), name_of(f.late_system)));
  rows.emplace_back("tools", shown(tools_text(f)));
  rows.emplace_back("reasoning", shown(reasoning_text(f)));
  rows.emplace_back("rules", shown(rules_text(f)));
  rows.emplace_back("replies", shown(replies));
  return rows;
}

void TemplateReport::write(JsonWriter& json) const {
  json.begin_object().member("present", present).member("compiles", present && refusal.empty()).member("bytes", bytes);
  if (features) {
    const Features& f = *features;
    json.member("content", name_of(f.content)).member("system", name_of(f.system));
    json.member("late_system", name_of(f.late_system)).member("alternation_enforced", f.alternation_enforced);
    json.member("user_required", f.user_required).member("generation_prompt", f.generation_prompt);
    json.member("starts_with_bos", f.starts_with_bos).member("tools_variable", f.tools_variable);
    json.member("tool_calls", f.tool_calls).member("parallel_calls", f.parallel_calls);
    json.member("tool_results", f.tool_results).member("arguments", name_of(f.arguments));
    json.member("call_id_length", f.call_id_length).member("reasoning_field", f.reasoning_field);
    json.member("reasoning", name_of(f.reasoning)).member("think_tags_removed", f.think_tags_removed);
    json.member("thinking_variable", f.thinking_variable).member("reasoning_effort", f.reasoning_effort);
    json.member("opens_reasoning", f.opens_reasoning).member("clock", f.clock).member("replies", replies);
  }
  json.end_object();
}

TemplateReport describe_template(std::optional<std::string_view> source, std::string_view bos_text,
                                 std::string_view eos_text) {
  TemplateReport report;
  if (!source) return report;
  report.present = true;
  report.bytes = source->size();
  const auto compiled = ChatTemplate::compile(*source);
  if (!compiled) {
    report.refusal = compiled.error().message;
    return report;
  }
  const auto probed = ChatTemplate::compile(*source, kProbeLimits);
  if (!probed) return report;
  report.features = detect_template_features(**probed, bos_text, eos_text);
  report.replies = detect_reply_format(**probed, *source, bos_text, eos_text).describe();
  return report;
}

}  // namespace kvasir
