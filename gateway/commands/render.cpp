#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "engine/model/gguf.h"
#include "engine/text/chat_template.h"
#include "engine/text/template_features.h"
#include "gateway/api/template_variables.h"
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

// The variables as they are in the line, or those that a chat request with this body would have.
Result<Value> variables_of(const Value::Object& line, const TemplateFeatures& features) {
  const Value* request = line.find("request");
  if (!request) {
    Value::Object variables;
    for (const auto& [name, value] : line.members)
      if (name != "template" && name != "now") variables.set(name, value);
    return Value(std::move(variables));
  }
  if (!request->as_object()) return error(ErrorCode::invalid_argument, "request must be an object", "request");
  FieldReader fields(*request->as_object());
  const Conversation conversation = read_openai_conversation(fields);
  if (!fields.ok()) return fields.error();
  const std::string* bos = string_member(line, "bos_token");
  const std::string* eos = string_member(line, "eos_token");
  return template_variables(conversation, features, bos ? *bos : "", eos ? *eos : "");
}

Result<Value> render(Templates& templates, const Value::Object& request) {
  const std::string* path = string_member(request, "template");
  if (!path) return error(ErrorCode::invalid_argument, "template must be the path of a file", "template");
  const auto found = templates.get(*path);
  if (!found) return found.error();
  const TemplateFeatures none;
  const auto variables = variables_of(request, **found ? (***found).features : none);
  if (!variables) return variables.error();
  const std::string* now = string_member(request, "now");
  const auto prompt = **found ? (***found).chat_template->render(*variables, now ? *now : local_time())
                              : Result<PromptText>((**found).error());
  // What a template refuses is an answer too: the run did what it was asked for.
  Value::Object answer;
  if (prompt) {
    answer.set("rendered", prompt->text());
  } else {
    answer.set("error", prompt.error().message);
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
      "for each, in order; a .gguf file stands for the template inside it; exit code 1 when a line was no such "
      "request");
  command->callback([] {
    Templates templates;
    const bool good = answer_json_lines(std::cin, std::cout,
                                        [&](const Value::Object& request) { return render(templates, request); });
    if (!good) throw CLI::RuntimeError(1);
  });
}

}  // namespace kvasir
