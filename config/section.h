#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "config/problems.h"

namespace kvasir {

// One YAML map, read key by key. Every read names a key that the schema knows; finish() reports the keys that no read
// named. A key that is absent leaves the value as it was (its default); a wrong one is reported and leaves it too.
//
// With `schema` set, nothing is read: each named key's path is appended there, and lists are entered once, so that the
// same code that reads a configuration also lists what it may hold.
struct Reading {
  Problems problems;
  std::vector<std::string>* schema = nullptr;
};

class Section {
 public:
  // `path` is empty for the top level. `node` may be undefined (then every key is absent).
  Section(YAML::Node node, std::string path, Reading& reading);

  void text(const char* name, std::string& value);
  void choice(const char* name, std::string& value, const std::vector<std::string>& allowed);
  void flag(const char* name, bool& value);
  void count(const char* name, std::uint32_t& value, std::uint32_t least, std::uint32_t most);
  void bytes(const char* name, std::uint64_t& value, std::uint64_t least, std::uint64_t most);
  void bytes(const char* name, std::uint32_t& value, std::uint32_t least, std::uint32_t most);
  void duration(const char* name, std::chrono::milliseconds& value, std::chrono::milliseconds least);
  void secret(const char* name, std::string& value);
  void names(const char* name, std::vector<std::string>& values);
  void section(const char* name, const std::function<void(Section&)>& read);
  void list(const char* name, const std::function<void(Section&)>& read_entry);

  // Part of the design, not of this version: refused when it is there, unless it is an empty list.
  void not_yet(const char* name);

  // What only this map's reader can know is wrong: a rule about several keys, or a name that must be unique.
  void problem(const char* name, const std::string& what, const std::string& allowed = {});
  bool has(const char* name) const;
  bool listing() const { return reading_.schema != nullptr; }

  // Reports the keys that no read named. To be called once, last.
  void finish();

 private:
  YAML::Node find(const char* name);
  bool scalar(const char* name, std::string& text);
  std::string path_of(const std::string& name) const;
  int line_of(const char* name) const;

  YAML::Node node_;
  std::string path_;
  Reading& reading_;
  std::vector<std::string> known_;
};

}  // namespace kvasir
