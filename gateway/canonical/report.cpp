#include "gateway/canonical/report.h"

#include <algorithm>

#include <fmt/format.h>

namespace kvasir {
namespace {

constexpr std::size_t kHeaderPlacesMax = 4;  // of a rule: a header must stay small

}  // namespace

std::string_view to_string(RuleMode mode) {
  switch (mode) {
    case RuleMode::off:
      return "off";
    case RuleMode::report:
      return "report";
    case RuleMode::on:
      return "on";
  }
  return "";
}

std::string ChangePlace::text() const {
  switch (kind) {
    case Kind::message:
      return fmt::format("messages[{}]", index);
    case Kind::call:
      return fmt::format("messages[{}].tool_calls[{}]", index, call);
    case Kind::tool:
      return fmt::format("tools[{}]", index);
  }
  return {};
}

void RuleChanges::add(ChangePlace place, std::uint64_t changes) {
  if (changes == 0) return;
  count_ += changes;
  if (places_.size() < kPlacesMax) places_.push_back(place);
}

std::string CanonicalReport::header() const {
  std::string out;
  for (const RuleReport& report : rules) {
    std::string places;
    const std::size_t shown = std::min(report.changes.places().size(), kHeaderPlacesMax);
    for (std::size_t i = 0; i < shown; ++i) places += (i ? " " : "") + report.changes.places()[i].text();
    out += fmt::format("{}{};v={};n={};at=\"{}\"{}", out.empty() ? "" : ", ", report.rule, report.version,
                       report.changes.count(), places, report.mode == RuleMode::report ? ";mode=report" : "");
  }
  return out;
}

Value CanonicalReport::json() const {
  Value::Array out;
  for (const RuleReport& report : rules) {
    Value::Array places;
    for (const ChangePlace& place : report.changes.places()) places.push_back(place.text());
    Value::Object object;
    object.set("rule", report.rule);
    object.set("version", static_cast<std::int64_t>(report.version));
    object.set("mode", to_string(report.mode));
    object.set("changes", static_cast<std::int64_t>(report.changes.count()));
    object.set("places", std::move(places));
    out.push_back(std::move(object));
  }
  return out;
}

}  // namespace kvasir
