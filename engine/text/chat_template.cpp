#include "engine/text/chat_template.h"

#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/lexer.h"
#include "engine/text/jinja/parser.h"
#include "engine/text/utf8.h"

namespace kvasir {
namespace {

class JinjaTemplate final : public ChatTemplate {
 public:
  JinjaTemplate(std::unique_ptr<const jinja::Program> program, TemplateLimits limits)
      : program_(std::move(program)), limits_(limits) {}

  Result<PromptText> render(const Value& variables, std::string_view now) const override {
    return jinja::Interpreter(*program_, limits_, now).render(variables);
  }

 private:
  const std::unique_ptr<const jinja::Program> program_;
  const TemplateLimits limits_;
};

bool is_utf8(std::string_view text) {
  while (const std::size_t length = utf8_length(text)) text.remove_prefix(length);
  return text.empty();
}

}  // namespace

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::compile(std::string_view source, TemplateLimits limits) {
  if (!is_utf8(source)) return error(ErrorCode::invalid_argument, "the template is not UTF-8");
  auto tokens = jinja::tokenize_template(source);
  if (!tokens) return tokens.error();
  auto program = jinja::Parser(std::move(*tokens), limits.depth_max).run();
  if (!program) return program.error();
  return std::unique_ptr<ChatTemplate>(std::make_unique<JinjaTemplate>(std::move(*program), limits));
}

}  // namespace kvasir
