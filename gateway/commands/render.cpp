#include <algorithm>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "engine/model/gguf.h"
#include "engine/text/chat_template.h"
#include "engine/text/template_features.h"
#include "gateway/api/template_variables.h"
#include "gateway/canonical/canonicalizer.h"
#include "gateway/commands/commands.h"
#include "gateway/commands/json_lines.h"

namespace kvasir {
namespace {

Result<std::string> read_template(const std::string& path) {
  if (path.ends_with(".gguf")) {
    const auto file = GgufFile::open(path);
    if (!file) return file.error();
    const auto source = (*file)->get_string("tokenizer.chat_template");
    if (!source) return error(ErrorCode::not_found, path + " has no tokenizer.chat_template");
    return std::string(*source);
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return error(ErrorCode::not_found, "cannot read the template '" + path + "'");
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::string local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char buffer[32];
  return {buffer, std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%S", &parts)};
}

// A compiled template and what it takes.
struct Known {
  std::unique_ptr<ChatTemplate> chat_template;
  TemplateFeatures features;
};

Result<Known> compile(const std::string& source) {
  auto compiled = ChatTemplate::compile(source);
  if (!compiled) return compiled.error();
  const TemplateFeatures features = detect_template_features(**compiled, "<s>", "</s>");
  return Known{std::move(*compiled), features};
}

// Compiled templates by path; one that does not compile keeps its error.
class Templates {
 public:
  // Errors of reading the file.
  Result<const Result<Known>*> get(const std::string& path) {
    const auto known = compiled_.find(path);
    if (known != compiled_.end()) return &known->second;
    const auto source = read_template(path);
    if (!source) return source.error();
    return &compiled_.emplace(path, compile(*source)).first->second;
  }

 private:
  std::map<std::string, Result<Known>> compiled_;
};

// A string member of the request.
const std::string* string_member(const Value::Object& request, std::string_view name) {
  const Value* member = request.find(name);
  return member ? member->as_string() : nullptr;
}

// The rules' modes with those that the line sets: {"move_volatile": "on"}.
Result<CanonicalConfig> modes_of(const Value::Object& line) {
  CanonicalConfig config;
  const Value* given = line.find("canonical");
  if (!given) return config;
  if (!given->as_object()) return error(ErrorCode::invalid_argument, "canonical must be an object", "canonical");
  for (const auto& [name, mode] : given->as_object()->members) {
    const auto rules = canonical_rules();
    const auto rule = std::find_if(rules.begin(), rules.end(), [&](const Rule& r) { return r.name == name; });
    const std::string* word = mode.as_string();
    if (rule == rules.end() || !word || (*word != "off" && *word != "report" && *word != "on"))
      return error(ErrorCode::invalid_argument,
                   "canonical." + name + " must be a rule's name with \"off\", \"report\" or \"on\"", "canonical");
    config.*rule->mode = *word;
  }
  return config;
}

// What a template is rendered with, and for a chat request what was done to it before.
struct Variables {
  Value all;
  std::optional<CanonicalReport> report = {};
};

// The variables as they are in the line, or those that a chat request with this body would have.
Result<Variables> variables_of(const Value::Object& line, const TemplateFeatures& features) {
  const Value* request = line.find("request");
  if (!request) {
    Value::Object variables;
    for (const auto& [name, value] : line.members)
      if (name != "template" && name != "now") variables.set(name, value);
    return Variables{Value(std::move(variables))};
  }
  if (!request->as_object()) return error(ErrorCode::invalid_argument, "request must be an object", "request");
  FieldReader fields(*request->as_object());
  Conversation conversation = read_openai_conversation(fields);
  if (!fields.ok()) return fields.error();
  const Result<CanonicalConfig> modes = modes_of(line);
  if (!modes) return modes.error();
  CanonicalReport report = Canonicalizer(*modes).apply(conversation, {.features = &features});
  const std::string* bos = string_member(line, "bos_token");
  const std::string* eos = string_member(line, "eos_token");
  return Variables{template_variables(conversation, features, bos ? *bos : "", eos ? *eos : ""), std::move(report)};
}

// The conversation as the template gets it.
Value conversation_of(const Value& variables) {
  Value::Object conversation;
  for (const char* name : {"messages", "tools"})
    if (const Value* value = variables.find(name)) conversation.set(name, *value);
  return conversation;
}

Result<Value> render(Templates& templates, const Value::Object& request, bool with_report) {
  const std::string* path = string_member(request, "template");
  if (!path) return error(ErrorCode::invalid_argument, "template must be the path of a file", "template");
  const auto found = templates.get(*path);
  if (!found) return found.error();
  const TemplateFeatures none;
  const auto variables = variables_of(request, **found ? (***found).features : none);
  if (!variables) return variables.error();
  const std::string* now = string_member(request, "now");
  const auto prompt = **found ? (***found).chat_template->render(variables->all, now ? *now : local_time())
                              : Result<PromptText>((**found).error());
  // What a template refuses is an answer too: the run did what it was asked for.
  Value::Object answer;
  if (prompt) {
    answer.set("rendered", prompt->text());
  } else {
    answer.set("error", prompt.error().message);
  }
  if (with_report && variables->report) {
    answer.set("canonical", variables->report->json());
    answer.set("conversation", conversation_of(variables->all));
  }
  return Value(std::move(answer));
}

}  // namespace

void add_render_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "render",
      "conversations to prompts: reads JSON lines {\"template\": \"file.jinja\", \"messages\": [...], \"tools\": "
      "[...], "
      "any other variable, \"now\": \"2026-07-26T10:00:00\"}, or with \"request\": {a body of /v1/chat/completions} "
      "instead of the variables (and \"bos_token\", \"eos_token\"), on stdin, writes {\"rendered\": ...} or "
      "{\"error\": ...} "
      "for each, in order; a request goes through the canonical rules first, by their defaults or as \"canonical\": "
      "{\"move_volatile\": \"on\"} in the line says; a .gguf file stands for the template inside it; exit code 1 when "
      "a line was no such "
      "request");
  const auto report = std::make_shared<bool>(false);
  command->add_flag("--report", *report,
                    "for requests, also what the canonical rules did (\"canonical\": rule, version, mode, changes, "
                    "places) and the conversation as the template got it (\"conversation\")");
  command->callback([report] {
    Templates templates;
    const bool good = answer_json_lines(
        std::cin, std::cout, [&](const Value::Object& request) { return render(templates, request, *report); });
    if (!good) throw CLI::RuntimeError(1);
  });
}

}  // namespace kvasir
