#include "config/section.h"

#include <algorithm>
#include <set>

#include "config/secret.h"
#include "config/units.h"

namespace kvasir {
namespace {

int line_of_node(const YAML::Node& node) { return node.Mark().is_null() ? 0 : node.Mark().line + 1; }

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string kind_of(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Undefined:
    case YAML::NodeType::Null:
      return "nothing";
    case YAML::NodeType::Scalar:
      return "a single value";
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a map";
  }
  return "nothing";
}

}  // namespace

Section::Section(YAML::Node node, std::string path, Reading& reading)
    : node_(std::move(node)), path_(std::move(path)), reading_(reading) {}

std::string Section::path_of(const std::string& name) const { return path_.empty() ? name : path_ + "." + name; }

int Section::line_of(const char* name) const {
  if (!node_.IsDefined()) return 0;
  for (const auto& entry : node_) {
    if (entry.first.IsScalar() && entry.first.Scalar() == name) return line_of_node(entry.first);
  }
  return line_of_node(node_);
}

bool Section::has(const char* name) const {
  if (!node_.IsDefined()) return false;
  return std::any_of(node_.begin(), node_.end(),
                     [name](const auto& entry) { return entry.first.IsScalar() && entry.first.Scalar() == name; });
}

YAML::Node Section::find(const char* name) {
  known_.emplace_back(name);
  if (reading_.schema != nullptr) reading_.schema->push_back(path_of(name));
  if (node_.IsDefined()) {
    for (const auto& entry : node_) {
      if (entry.first.IsScalar() && entry.first.Scalar() == name) return entry.second;
    }
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

void Section::problem(const char* name, const std::string& what, const std::string& allowed) {
  reading_.problems.add(line_of(name), path_of(name), what, allowed);
}

bool Section::scalar(const char* name, std::string& text) {
  const YAML::Node node = find(name);
  if (!node.IsDefined()) return false;
  if (!node.IsScalar()) {
    problem(name, "has " + kind_of(node), "a single value");
    return false;
  }
  text = node.Scalar();
  return true;
}

void Section::text(const char* name, std::string& value) {
  std::string text;
  if (scalar(name, text)) value = std::move(text);
}

void Section::choice(const char* name, std::string& value, const std::vector<std::string>& allowed) {
  std::string text;
  if (!scalar(name, text)) return;
  if (std::find(allowed.begin(), allowed.end(), text) == allowed.end()) {
    problem(name, "'" + text + "' is not known", joined(allowed));
  } else {
    value = std::move(text);
  }
}

void Section::flag(const char* name, bool& value) {
  std::string text = value ? "true" : "false";
  choice(name, text, {"true", "false"});
  value = text == "true";
}

void Section::count(const char* name, std::uint32_t& value, std::uint32_t least, std::uint32_t most) {
  std::string text;
  if (!scalar(name, text)) return;
  const auto number = parse_count(text);
  if (!number || *number < least || *number > most) {
    problem(name, "'" + text + "' is not allowed",
            "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  } else {
    value = static_cast<std::uint32_t>(*number);
  }
}

void Section::bytes(const char* name, std::uint64_t& value, std::uint64_t least, std::uint64_t most) {
  std::string text;
  if (!scalar(name, text)) return;
  const auto number = parse_bytes(text);
  if (!number || *number < least || *number > most) {
    problem(name, "'" + text + "' is not allowed",
            std::string(kBytesForm) + ", from " + format_bytes(least) + " to " + format_bytes(most));
  } else {
    value = *number;
  }
}

void Section::bytes(const char* name, std::uint32_t& value, std::uint32_t least, std::uint32_t most) {
  std::uint64_t wide = value;
  bytes(name, wide, std::uint64_t{least}, std::uint64_t{most});
  value = static_cast<std::uint32_t>(wide);
}

void Section::duration(const char* name, std::chrono::milliseconds& value, std::chrono::milliseconds least) {
  std::string text;
  if (!scalar(name, text)) return;
  const auto duration = parse_duration(text);
  if (!duration || *duration < least) {
    problem(name, "'" + text + "' is not allowed", std::string(kDurationForm) + ", at least " + format_duration(least));
  } else {
    value = *duration;
  }
}

void Section::secret(const char* name, std::string& value) {
  std::string text;
  if (!scalar(name, text) || text.empty()) return;
  Secret secret = resolve_secret(text);
  if (!secret.problem.empty()) {
    problem(name, secret.problem, kSecretForm);
  } else {
    value = std::move(secret.value);
  }
}

void Section::names(const char* name, std::vector<std::string>& values) {
  const YAML::Node node = find(name);
  if (!node.IsDefined()) return;
  if (!node.IsSequence()) return problem(name, "has " + kind_of(node), "a list of names");
  for (const auto& entry : node) {
    if (!entry.IsScalar()) {
      reading_.problems.add(line_of_node(entry), path_of(name), "has " + kind_of(entry) + " in it", "a list of names");
    } else {
      values.push_back(entry.Scalar());
    }
  }
}

void Section::section(const char* name, const std::function<void(Section&)>& read) {
  const YAML::Node node = find(name);
  if (!listing() && !node.IsDefined()) return;
  if (node.IsDefined() && !node.IsMap()) return problem(name, "has " + kind_of(node), "a map of keys");
  Section child(node, path_of(name), reading_);
  read(child);
  child.finish();
}

void Section::list(const char* name, const std::function<void(Section&)>& read_entry) {
  const YAML::Node node = find(name);
  if (listing()) {
    Section entry(YAML::Node(YAML::NodeType::Undefined), path_of(name) + "[]", reading_);
    return read_entry(entry);
  }
  if (!node.IsDefined()) return;
  if (!node.IsSequence()) return problem(name, "has " + kind_of(node), "a list");
  std::size_t index = 0;
  for (const auto& entry : node) {
    const std::string path = path_of(name) + "[" + std::to_string(index++) + "]";
    if (!entry.IsMap()) {
      reading_.problems.add(line_of_node(entry), path, "has " + kind_of(entry), "a map of keys");
      continue;
    }
    Section child(entry, path, reading_);
    read_entry(child);
    child.finish();
  }
}

void Section::not_yet(const char* name) {
  const YAML::Node node = find(name);
  if (!node.IsDefined() || (node.IsSequence() && node.size() == 0)) return;
  problem(name, "is not in this version of kvasir", "to leave it out");
}

void Section::finish() {
  if (!node_.IsDefined()) return;
  std::set<std::string> seen;
  for (const auto& entry : node_) {
    const int line = line_of_node(entry.first);
    if (!entry.first.IsScalar()) {
      reading_.problems.add(line, path_, "a key is " + kind_of(entry.first), joined(known_));
      continue;
    }
    const std::string& name = entry.first.Scalar();
    if (!seen.insert(name).second) {
      reading_.problems.add(line, path_of(name), "stands here twice", "each key once");
    } else if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
      const std::string nearest = nearest_name(name, known_);
      reading_.problems.add(line, path_of(name),
                            nearest.empty() ? "unknown key" : "unknown key, did you mean '" + nearest + "'?",
                            joined(known_));
    }
  }
}

}  // namespace kvasir
