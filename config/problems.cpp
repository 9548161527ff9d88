#include "config/problems.h"

#include <algorithm>
#include <numeric>

namespace kvasir {
namespace {

// Levenshtein's distance, one row at a time.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

void Problems::add(int line, const std::string& key, const std::string& problem, const std::string& allowed) {
  std::string text = key.empty() ? problem : key + ": " + problem;
  if (!allowed.empty()) text += " (allowed: " + allowed + ")";
  problems_.push_back({line, std::move(text)});
}

std::string Problems::message() const {
  std::vector<Problem> sorted = problems_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) { return a.line < b.line; });
  std::string message;
  for (const Problem& problem : sorted) {
    if (!message.empty()) message += '\n';
    message += file_ + (problem.line > 0 ? ":" + std::to_string(problem.line) : "") + ": " + problem.text;
  }
  return message;
}

std::string nearest_name(const std::string& word, const std::vector<std::string>& names) {
  constexpr std::size_t kWordMax = 64;  // the distance costs the product of the lengths
  if (word.size() > kWordMax) return {};
  std::string nearest;
  std::size_t best = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& name : names) {
    const std::size_t distance = edit_distance(word, name);
    if (distance < best && distance < name.size()) {
      best = distance;
      nearest = name;
    }
  }
  return nearest;
}

}  // namespace kvasir
