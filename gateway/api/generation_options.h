#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/schema.h"
#include "engine/sampling.h"
#include "gateway/api/field_reader.h"

namespace kvasir {

inline constexpr std::size_t kStopStringsMax = 4;
inline constexpr std::size_t kStopStringBytesMax = 1024;
inline constexpr std::size_t kLogitBiasEntriesMax = 1024;
inline constexpr std::uint32_t kTopLogprobsMax = 20;

// What the generating endpoints have in common: which model, how to sample, when to stop, how to answer.
struct GenerationOptions {
  std::string model;
  SamplingParams sampling;  // sampling.seed is meaningful only with has_seed
  bool has_seed = false;
  std::uint32_t n = 1;
  std::optional<std::uint32_t> max_tokens;  // nothing: the dialect's default
  std::vector<std::string> stops;
  bool ignore_eos = false;  // vLLM's extra: go on past end-of-generation tokens
  bool stream = false;
  bool include_usage = false;  // a last chunk with usage
  std::string cache_salt;      // narrows the tenant's salt
};

// Reads them; problems are left in `fields`.
GenerationOptions read_generation_options(FieldReader& fields, const LimitsConfig& limits);

}  // namespace kvasir
