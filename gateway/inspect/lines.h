#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvasir {

// A report for people: headings, and rows of a label and what it says, aligned. What is added is printed as it is.
class Lines {
 public:
  void heading(std::string_view text) { out_ += (out_.empty() ? "" : "\n") + std::string(text) + "\n"; }
  // A row without a value is left out.
  void row(std::string_view label, std::string_view value);
  void sentence(std::string_view text) { out_ += "  " + std::string(text) + "\n"; }
  // Columns under a first row of titles; the first is set left, the others right.
  void table(const std::vector<std::vector<std::string>>& rows);
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

}  // namespace kvasir
