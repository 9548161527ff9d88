#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/template_features.h"

namespace kvasir {

class JsonWriter;

// What a model's chat template does with a conversation, and how the model's replies are read. A value.
struct TemplateReport {
  bool present = false;
  std::uint64_t bytes = 0;
  std::string refusal;                       // why it does not compile; empty: it does
  std::optional<TemplateFeatures> features;  // of one that compiles
  std::string replies;                       // one line: reasoning and tool calls in the model's output

  // Sentences: what a client cannot have with it.
  std::vector<std::string> limits() const;
  // Label and text, for people.
  std::vector<std::pair<std::string, std::string>> rows() const;
  void write(JsonWriter& json) const;  // an object
};

// `source`: the template; nothing: the file has none. BOS and EOS as the template prints them.
TemplateReport describe_template(std::optional<std::string_view> source, std::string_view bos_text,
                                 std::string_view eos_text);

}  // namespace kvasir
