#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::jinja {

// A string of a template program: bytes (UTF-8) and, for each of them, whether the template or the data wrote it.
// Immutable once built.
class Text {
 public:
  // Bytes up to `end` have one origin. Neighbouring runs differ in it.
  struct Run {
    std::size_t end;
    bool from_template;
  };

  Text() = default;
  Text(std::string bytes, bool from_template) : bytes_(std::move(bytes)) {
    if (!bytes_.empty()) runs_.push_back({bytes_.size(), from_template});
  }

  const std::string& bytes() const { return bytes_; }
  const std::vector<Run>& runs() const { return runs_; }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // REQUIRES: at < size().
  bool from_template_at(std::size_t at) const;
  Text slice(std::size_t begin, std::size_t end) const;

  // What the `safe` filter marks: `+` escapes what is joined to it.
  bool is_markup() const { return markup_; }
  void set_markup(bool markup) { markup_ = markup; }

 private:
  friend class TextBuilder;
  std::size_t run_at(std::size_t at) const;  // index of the run that holds byte `at`
  std::string bytes_;
  std::vector<Run> runs_;
  bool markup_ = false;
};

using Str = std::shared_ptr<const Text>;

// Puts texts together, keeping origins.
class TextBuilder {
 public:
  void append(std::string_view bytes, bool from_template);
  void append(const Text& text) { append(text, 0, text.size()); }
  void append(const Text& text, std::size_t begin, std::size_t end);
  std::size_t size() const { return text_.bytes_.size(); }
  Text take();

 private:
  Text text_;
};

}  // namespace kvasir::jinja
