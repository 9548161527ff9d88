#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/value.h"

namespace kvasir {

enum class RuleMode : std::uint8_t {
  off,
  report,  // counts what it would change, and changes nothing
  on,
};
std::string_view to_string(RuleMode mode);

// Where a rule changed something, by the numbers of the request as it was sent.
struct ChangePlace {
  enum class Kind : std::uint8_t { message, call, tool } kind = Kind::message;
  std::uint32_t index = 0;  // of the message or tool
  std::uint32_t call = 0;   // of a call in its message

  std::string text() const;  // "messages[3]", "messages[3].tool_calls[0]", "tools[1]"
};

// What one rule did to one conversation: how often and where, never which words.
class RuleChanges {
 public:
  static constexpr std::size_t kPlacesMax = 64;

  void message(std::uint32_t index, std::uint64_t changes = 1) { add({ChangePlace::Kind::message, index}, changes); }
  void call(std::uint32_t message, std::uint32_t index) { add({ChangePlace::Kind::call, message, index}, 1); }
  void tool(std::uint32_t index, std::uint64_t changes = 1) { add({ChangePlace::Kind::tool, index}, changes); }

  std::uint64_t count() const { return count_; }
  const std::vector<ChangePlace>& places() const { return places_; }  // the first of them

 private:
  void add(ChangePlace place, std::uint64_t changes);

  std::uint64_t count_ = 0;
  std::vector<ChangePlace> places_;
};

struct RuleReport {
  std::string_view rule;
  std::uint32_t version = 0;
  RuleMode mode = RuleMode::on;
  RuleChanges changes;
};

// What the rules did to one conversation: those that changed something or, where they only report, would have.
struct CanonicalReport {
  std::vector<RuleReport> rules;

  // The value of the response header X-Kvasir-Canonical, a list as in RFC 8941, a few places each:
  //   sort_schema_keys;v=1;n=2;at="tools[0] tools[1]", move_volatile;v=1;n=1;at="messages[0]";mode=report
  // Empty when there is nothing to tell.
  std::string header() const;
  Value json() const;  // an array of {"rule", "version", "mode", "changes", "places"}
};

}  // namespace kvasir
