#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include "config/units.h"
#include "gateway/inspect/kv_plan.h"

namespace kvasir {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

// MemAvailable of /proc/meminfo, which counts in KiB.
std::uint64_t machine_available(const std::string& root) {
  std::ifstream in(root + "proc/meminfo");
  for (std::string name, unit; in >> name;) {
    std::uint64_t number = 0;
    if (name == "MemAvailable:" && in >> number) return number * 1024;
    std::getline(in, unit);
  }
  return kUnlimited;
}

std::optional<std::uint64_t> number_in(const std::string& path) {
  std::ifstream in(path);
  std::string word;
  return in >> word ? parse_count(word) : std::nullopt;
}

std::uint64_t left_in(const std::string& folder, const char* limit_file, const char* used_file) {
  const auto limit = number_in(folder + "/" + limit_file), used = number_in(folder + "/" + used_file);
  if (!limit || !used) return kUnlimited;  // "max"
  return *limit > *used ? *limit - *used : 0;
}

// The process's own control group, of version 2 ("0::/path") or 1 ("4:memory:/path").
std::uint64_t group_left(const std::string& root) {
  std::uint64_t left = kUnlimited;
  std::ifstream in(root + "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(':'), path = line.find('/');
    if (colon == std::string::npos || path == std::string::npos) continue;
    const std::string controllers = line.substr(colon + 1, path - colon - 2);
    const std::string group = line.substr(path);
    if (controllers.empty()) {
      left = std::min(left, left_in(root + "sys/fs/cgroup" + group, "memory.max", "memory.current"));
    } else if (controllers == "memory") {
      const std::string folder = root + "sys/fs/cgroup/memory" + group;
      left = std::min(left, left_in(folder, "memory.limit_in_bytes", "memory.usage_in_bytes"));
    }
  }
  return left;
}

}  // namespace

std::uint64_t available_memory(const std::string& root) {
  const std::uint64_t available = std::min(machine_available(root), group_left(root));
  return available == kUnlimited ? 0 : available;
}

}  // namespace kvasir
