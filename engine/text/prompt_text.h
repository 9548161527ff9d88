#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kvasir {

// A run of rendered prompt text with one origin. Only template text may hold control tokens: special-token text that
// came from a message is text.
struct TextSegment {
  std::string text;
  bool from_template = false;
};

// Rendered prompt: the segments' texts in order are the prompt, byte for byte.
struct PromptText {
  std::vector<TextSegment> segments;
  std::string text() const {
    std::string all;
    for (const TextSegment& s : segments) all += s.text;
    return all;
  }
};

}  // namespace kvasir
