#pragma once

#include <string>
#include <vector>

namespace kvasir {

// What is wrong with one configuration, collected so that one start shows all of it. Owned by the loader.
class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}

  // `line` counts from 1; 0: the whole file. `key` is the path as a person would say it (cache.tiers.host.capacity).
  void add(int line, const std::string& key, const std::string& problem, const std::string& allowed = {});

  bool empty() const { return problems_.empty(); }

  // "FILE:LINE: key: problem (allowed: ...)", one line per problem, in the order of the file.
  std::string message() const;

 private:
  struct Problem {
    int line;
    std::string text;
  };
  std::string file_;
  std::vector<Problem> problems_;
};

// The name of `names` that `word` was most likely meant to be; empty when none is near.
std::string nearest_name(const std::string& word, const std::vector<std::string>& names);

}  // namespace kvasir
