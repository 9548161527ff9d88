#include "gateway/inspect/lines.h"

#include <algorithm>

#include <fmt/format.h>

namespace kvasir {

void Lines::row(std::string_view label, std::string_view value) {
  if (!value.empty()) out_ += fmt::format("  {:<16}{}\n", label, value);
}

void Lines::table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line = " ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += i == 0 ? fmt::format(" {:<{}}", row[i], widths[i]) : fmt::format("  {:>{}}", row[i], widths[i]);
    }
    out_ += line + "\n";
  }
}

}  // namespace kvasir
