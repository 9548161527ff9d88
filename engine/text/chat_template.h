#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/text/prompt_text.h"
#include "engine/text/value.h"
#include "storage/base/result.h"

namespace kvasir {

// Bounds of one rendering: a template is somebody's program.
struct TemplateLimits {
  // Evaluated nodes, for a conversation of few messages. Real templates look through all messages for each of them, so
  // n messages add 20 n², but at most 20 times as much.
  std::uint64_t steps_max = 5'000'000;
  std::uint32_t depth_max = 200;  // nested expressions, calls and includes of one rendering or parse
  std::size_t output_bytes_max = 64u << 20;
};

// A model's Jinja chat template, compiled once; rendering is const and thread-safe. Behaves as jinja2 does in Hugging
// Face Transformers: trim_blocks, lstrip_blocks, loop controls, `tojson` without ASCII escaping, raise_exception(),
// strftime_now(), {% generation %} ignored. Strings keep track of their origin, so that the result is segments:
// template text and message text.
class ChatTemplate {
 public:
  // Errors: unsupported or invalid_argument; the message names line and construct.
  static Result<std::unique_ptr<ChatTemplate>> compile(std::string_view source, TemplateLimits limits = {});
  virtual ~ChatTemplate() = default;

  // `variables`: an object with messages, tools, add_generation_prompt, bos_token, eos_token and whatever the request
  // adds; bos_token and eos_token count as template text; absent tools and documents are none, as in Transformers.
  // `now`: local time for strftime_now, as ISO "2026-07-26T10:00:00". Errors: invalid_argument with the template's own
  // words (raise_exception) or the line.
  virtual Result<PromptText> render(const Value& variables, std::string_view now) const = 0;
};

}  // namespace kvasir
