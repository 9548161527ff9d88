#include "gateway/api/generation_options.h"

#include <charconv>
#include <limits>

#include <fmt/format.h>

namespace kvasir {
namespace {

constexpr std::int64_t kInt64Min = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kTokenMax = std::numeric_limits<TokenId>::max();

void assign(float& target, std::optional<double> value) {
  if (value) target = static_cast<float>(*value);
}

std::optional<TokenId> token_id_of(const std::string& key) {
  TokenId id = 0;
  const char* end = key.data() + key.size();
  const auto [stop, ec] = std::from_chars(key.data(), end, id);
  return ec == std::errc() && stop == end && id >= 0 ? std::optional(id) : std::nullopt;
}

void read_logit_bias(FieldReader& fields, SamplingParams& sampling) {
  const Value::Object* bias = fields.object("logit_bias");
  if (!bias) return;
  if (bias->members.size() > kLogitBiasEntriesMax)
    return fields.fail("logit_bias", fmt::format("may have at most {} entries", kLogitBiasEntriesMax));
  for (const auto& [key, value] : bias->members) {
    const std::optional<TokenId> id = token_id_of(key);
    const std::optional<double> weight = double_of(value);
    if (!id || !weight || *weight < -100 || *weight > 100)
      return fields.fail("logit_bias", "must map token ids (as strings) to numbers from -100 to 100");
    sampling.logit_bias.emplace_back(*id, static_cast<float>(*weight));
  }
}

void read_sampling(FieldReader& fields, GenerationOptions& options) {
  SamplingParams& sampling = options.sampling;
  assign(sampling.temperature, fields.number("temperature", 0, 2));
  assign(sampling.top_p, fields.number("top_p", 0, 1));
  assign(sampling.min_p, fields.number("min_p", 0, 1));
  assign(sampling.presence_penalty, fields.number("presence_penalty", -2, 2));
  assign(sampling.frequency_penalty, fields.number("frequency_penalty", -2, 2));
  assign(sampling.repetition_penalty, fields.number("repetition_penalty", 0.01, 10));
  if (const auto k = fields.integer("top_k", -1, kTokenMax))
    sampling.top_k = std::max(0, static_cast<std::int32_t>(*k));
  if (const auto seed = fields.integer("seed", kInt64Min, kInt64Max)) {
    sampling.seed = static_cast<std::uint64_t>(*seed);
    options.has_seed = true;
  }
  read_logit_bias(fields, sampling);
}

void add_stop(FieldReader& fields, const Value& value, std::vector<std::string>& stops) {
  const std::string* text = value.as_string();
  if (!text || text->empty() || text->size() > kStopStringBytesMax)
    return fields.fail("stop", fmt::format("must hold strings of 1 to {} bytes", kStopStringBytesMax));
  stops.push_back(*text);
}

void read_stops(FieldReader& fields, std::vector<std::string>& stops) {
  const Value* value = fields.any("stop");
  if (!value) return;
  const Value::Array* list = value->as_array();
  if (!list && !value->as_string()) return fields.fail("stop", "must be a string or an array of strings");
  if (!list) return add_stop(fields, *value, stops);
  if (list->size() > kStopStringsMax)
    return fields.fail("stop", fmt::format("may have at most {} strings", kStopStringsMax));
  for (const Value& stop : *list) add_stop(fields, stop, stops);
}

void read_streaming(FieldReader& fields, GenerationOptions& options) {
  options.stream = fields.boolean("stream").value_or(false);
  const Value::Object* stream_options = fields.object("stream_options");
  if (!stream_options) return;
  if (!options.stream) return fields.fail("stream_options", "is only allowed when 'stream' is true");
  FieldReader inner(*stream_options, "stream_options.");
  options.include_usage = inner.boolean("include_usage").value_or(false);
  if (!inner.ok()) fields.fail("stream_options", "must hold 'include_usage' as true or false");
}

}  // namespace

GenerationOptions read_generation_options(FieldReader& fields, const LimitsConfig& limits) {
  GenerationOptions options;
  options.model = fields.string("model").value_or("");
  if (options.model.empty()) fields.fail("model", "is required and must be a string");
  read_sampling(fields, options);
  options.n = static_cast<std::uint32_t>(fields.integer("n", 1, limits.choices).value_or(1));
  if (const auto max = fields.integer("max_tokens", 1, kTokenMax))
    options.max_tokens = static_cast<std::uint32_t>(*max);
  read_stops(fields, options.stops);
  options.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  read_streaming(fields, options);
  options.cache_salt = fields.string("cache_salt").value_or("");
  // Known, without effect here: they identify, store or bill, or hint at what the cache does anyway.
  for (const char* name : {"user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
                           "prompt_cache_options", "metadata", "store", "service_tier"})
    fields.any(name);
  return options;
}

}  // namespace kvasir
