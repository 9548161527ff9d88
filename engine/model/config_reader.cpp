#include "engine/model/config_reader.h"

#include <cmath>
#include <type_traits>

namespace kvasir {

namespace {

bool is_array(const GgufFile::MetaValue* value) {
  return value != nullptr && std::holds_alternative<GgufFile::Array>(*value);
}

bool means_nothing(std::string_view key, const GgufFile::MetaValue& value) {
  const bool scales = key.ends_with("scale") || key.ends_with("factor") || key.ends_with("multiplier");
  return std::visit(
      [&](const auto& held) {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, std::string>) return held.empty();
        if constexpr (std::is_same_v<Held, bool>) return !held;
        if constexpr (std::is_arithmetic_v<Held>) return held == Held{0} || (scales && held == Held{1});
        return false;
      },
      value);
}

}  // namespace

std::string ConfigReader::known(std::string_view name) {
  std::string key = prefix_ + std::string(name);
  known_.insert(key);
  return key;
}

std::uint32_t ConfigReader::number(std::string_view name, std::uint64_t max, std::optional<std::uint64_t> otherwise) {
  const std::string key = known(name);
  const GgufFile::MetaValue* there = file_.meta(key);
  if (there == nullptr && !otherwise) return fail(ErrorCode::corrupt, name, "is missing");
  if (is_array(there)) return fail(ErrorCode::unsupported, name, "differs by layer (an array)");
  const auto value = there == nullptr ? otherwise : file_.get_uint(key);
  if (!value || *value == 0 || *value > max) {
    return fail(ErrorCode::corrupt, name, "is not a whole number from 1 to " + std::to_string(max));
  }
  return static_cast<std::uint32_t>(*value);
}

float ConfigReader::real(std::string_view name, std::optional<double> otherwise) {
  const std::string key = known(name);
  const GgufFile::MetaValue* there = file_.meta(key);
  if (there == nullptr && !otherwise) fail(ErrorCode::corrupt, name, "is missing");
  const auto value = there == nullptr ? otherwise : file_.get_float(key);
  const bool good = value && std::isfinite(static_cast<float>(*value)) && static_cast<float>(*value) > 0;
  if (!good) fail(ErrorCode::corrupt, name, "is not a positive number");
  return good ? static_cast<float>(*value) : 1.0f;
}

float ConfigReader::real_or_zero(std::string_view name) {
  const std::string key = known(name);
  if (file_.meta(key) == nullptr || file_.get_float(key) == 0.0 || file_.get_uint(key) == 0u) return 0.0f;
  return real(name);
}

bool ConfigReader::flag(std::string_view name, bool otherwise) {
  const std::string key = known(name);
  if (file_.meta(key) == nullptr) return otherwise;
  const auto value = file_.get_bool(key);
  if (!value) fail(ErrorCode::corrupt, name, "is neither true nor false");
  return value.value_or(otherwise);
}

std::optional<std::vector<bool>> ConfigReader::flags(std::string_view name) {
  const GgufFile::MetaValue* value = file_.meta(known(name));
  if (!is_array(value)) return {};
  const auto* flags = std::get_if<std::vector<bool>>(&std::get<GgufFile::Array>(*value));
  return flags == nullptr ? std::nullopt : std::optional(*flags);
}

std::optional<std::string_view> ConfigReader::text(std::string_view name) {
  const std::string key = known(name);
  if (file_.meta(key) == nullptr) return {};
  const auto value = file_.get_string(key);
  if (!value) fail(ErrorCode::corrupt, name, "is not a text");
  return value;
}

bool ConfigReader::is_set(std::string_view name) {
  const std::string key = known(name);
  const GgufFile::MetaValue* value = file_.meta(key);
  return value != nullptr && !means_nothing(key, *value);
}

void ConfigReader::refuse_unread() {
  for (const auto& [key, value] : file_.metadata()) {
    if (!key.starts_with(prefix_) || known_.contains(key) || means_nothing(key, value)) continue;
    fail(ErrorCode::unsupported, std::string_view(key).substr(prefix_.size()),
         "is set; this build does not know what it changes");
  }
}

std::uint32_t ConfigReader::fail(ErrorCode code, std::string_view name, const std::string& what) {
  if (failed_keys_.insert(std::string(name)).second)
    errors_.push_back(error(code, "model: " + prefix_ + std::string(name) + " " + what));
  return 0;
}

}  // namespace kvasir
