#include "engine/model/rope_config.h"

#include "engine/model/portable_math.h"

namespace kvasir {

namespace {

constexpr std::uint32_t kFactorMax = 1u << 20;
constexpr std::uint64_t kContextMax = 1u << 24;  // tokens

float read_base(ConfigReader& reader, std::string_view name) {
  const float base = reader.real(name, 10000.0);
  if (base <= 1.0f && !reader.failed()) reader.fail(ErrorCode::corrupt, name, "is not above 1");
  return base;
}

// Two names, the older one of 2023; 0 says nothing there.
float read_factor(ConfigReader& reader) {
  const std::string_view name = reader.has("rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear";
  reader.ignore("rope.scale_linear");
  const float factor = reader.real_or_zero(name);
  if (factor != 0 && (factor < 1 || factor > static_cast<float>(kFactorMax))) {
    reader.fail(ErrorCode::corrupt, name, "is not a number from 1 to " + std::to_string(kFactorMax));
  }
  return factor == 0 ? 1.0f : factor;
}

// cos and sin are multiplied by 1 + ln(factor) / 10 unless the file says otherwise.
void read_yarn(ConfigReader& reader, RopeConfig& rope, std::uint32_t context) {
  rope.scaling = RopeScaling::yarn;
  rope.original_context = reader.number("rope.scaling.original_context_length", kContextMax, context);
  rope.beta_fast = reader.real("rope.scaling.yarn_beta_fast", 32.0);
  rope.beta_slow = reader.real("rope.scaling.yarn_beta_slow", 1.0);
  const double usual = 1.0 + 0.1 * log_portable(static_cast<double>(rope.factor));
  rope.attention_factor *= reader.real("rope.scaling.yarn_attn_factor", usual);
  if (reader.real("rope.scaling.yarn_ext_factor", 1.0) != 1.0f) {
    reader.fail(ErrorCode::unsupported, "rope.scaling.yarn_ext_factor", "is not 1");
  }
}

}  // namespace

RopeConfig read_rope(ConfigReader& reader, std::uint32_t context) {
  RopeConfig rope;
  rope.base = read_base(reader, "rope.freq_base");
  rope.attention_factor = reader.real("rope.scaling.attn_factor", 1.0);
  reader.ignore("rope.scaling.finetuned");
  reader.ignore("rope.scaling.original_context_length");
  const float factor = read_factor(reader);
  const std::string_view type = reader.text("rope.scaling.type").value_or("linear");
  if (type == "none") return rope;
  rope.factor = factor;
  if (type == "yarn") {
    read_yarn(reader, rope, context);
  } else if (type == "linear") {
    rope.scaling = factor == 1.0f ? RopeScaling::none : RopeScaling::linear;
  } else {
    reader.fail(
        ErrorCode::unsupported, "rope.scaling.type",
        "is \"" + std::string(type) + "\"; this build knows none, linear, yarn and Llama 3's rope_freqs.weight");
  }
  return rope;
}

RopeConfig read_local_rope(ConfigReader& reader) {
  RopeConfig rope;
  rope.base = read_base(reader, "rope.freq_base_swa");
  return rope;
}

}  // namespace kvasir
