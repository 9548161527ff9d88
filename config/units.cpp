#include "config/units.h"

#include <array>
#include <charconv>
#include <span>

namespace kvasir {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 5> kByteUnits{
    {{"B", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40}}};
constexpr std::array<Unit, 5> kTimeUnits{{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::uint64_t kDurationMax = 100ull * 365 * 86'400'000;  // a hundred years, far from any overflow

struct Amount {
  std::uint64_t number;
  std::string_view unit;
};

std::optional<Amount> split_amount(std::string_view text) {
  Amount amount{};
  const char* end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, amount.number);
  if (failure != std::errc{}) return std::nullopt;
  amount.unit = std::string_view(rest, static_cast<std::size_t>(end - rest));
  return amount;
}

std::optional<std::uint64_t> scale(const Amount& amount, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (unit.name != amount.unit) continue;
    std::uint64_t product = 0;
    if (__builtin_mul_overflow(amount.number, unit.factor, &product)) return std::nullopt;
    return product;
  }
  return std::nullopt;
}

std::string format(std::uint64_t value, std::span<const Unit> units) {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) best = &unit;
  }
  return std::to_string(value / best->factor) + std::string(best->name);
}

}  // namespace

std::optional<std::uint64_t> parse_count(std::string_view text) {
  const auto amount = split_amount(text);
  if (!amount || !amount->unit.empty()) return std::nullopt;
  return amount->number;
}

std::optional<double> parse_factor(std::string_view text) {
  double factor = 0;
  const char* end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, factor, std::chars_format::fixed);
  if (failure != std::errc{} || std::string_view(rest, static_cast<std::size_t>(end - rest)) != "x")
    return std::nullopt;
  return factor;
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  auto amount = split_amount(text);
  if (!amount) return std::nullopt;
  if (amount->unit.empty()) amount->unit = "B";
  return scale(*amount, kByteUnits);
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto amount = split_amount(text);
  if (!amount) return std::nullopt;
  const auto milliseconds = scale(*amount, kTimeUnits);
  if (!milliseconds || *milliseconds > kDurationMax) return std::nullopt;
  return std::chrono::milliseconds(*milliseconds);
}

std::string format_bytes(std::uint64_t bytes) { return format(bytes, kByteUnits); }

std::string format_duration(std::chrono::milliseconds duration) {
  return format(static_cast<std::uint64_t>(duration.count()), kTimeUnits);
}

}  // namespace kvasir
