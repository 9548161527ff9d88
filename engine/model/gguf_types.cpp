#include <array>
#include <string_view>

#include "engine/model/gguf.h"

namespace kvasir {

namespace {

struct TypeRow {
  std::string_view name;
  TensorBlock block;  // no elements: there are files with other sizes under this number
};

// By GGML number. Rows without a name were given up by GGML.
constexpr std::array<TypeRow, 42> kTypes = {{
    {"F32", {1, 4}},
    {"F16", {1, 2}},
    {"Q4_0", {32, 18}},
    {"Q4_1", {32, 20}},
    {},
    {},
    {"Q5_0", {32, 22}},
    {"Q5_1", {32, 24}},
    {"Q8_0", {32, 34}},
    {"Q8_1", {}},
    {"Q2_K", {256, 84}},
    {"Q3_K", {256, 110}},
    {"Q4_K", {256, 144}},
    {"Q5_K", {256, 176}},
    {"Q6_K", {256, 210}},
    {"Q8_K", {256, 292}},
    {"IQ2_XXS", {256, 66}},
    {"IQ2_XS", {256, 74}},
    {"IQ3_XXS", {256, 98}},
    {"IQ1_S", {256, 50}},
    {"IQ4_NL", {32, 18}},
    {"IQ3_S", {256, 110}},
    {"IQ2_S", {256, 82}},
    {"IQ4_XS", {256, 136}},
    {"I8", {1, 1}},
    {"I16", {1, 2}},
    {"I32", {1, 4}},
    {"I64", {1, 8}},
    {"F64", {1, 8}},
    {"IQ1_M", {256, 56}},
    {"BF16", {1, 2}},
    {},
    {},
    {},
    {"TQ1_0", {256, 54}},
    {"TQ2_0", {256, 66}},
    {},
    {},
    {},
    {"MXFP4", {32, 17}},
    {"NVFP4", {64, 36}},
    {"Q1_0", {128, 18}},
}};

}  // namespace

std::string tensor_type_name(std::uint32_t type) {
  if (type < kTypes.size() && !kTypes[type].name.empty()) return std::string(kTypes[type].name);
  return "type " + std::to_string(type);
}

std::optional<TensorBlock> tensor_block(std::uint32_t type) {
  if (type >= kTypes.size() || kTypes[type].block.elements == 0) return std::nullopt;
  return kTypes[type].block;
}

bool is_supported(std::uint32_t type) {
  switch (static_cast<TensorType>(type)) {
    case TensorType::f32:
    case TensorType::f16:
    case TensorType::q4_0:
    case TensorType::q4_1:
    case TensorType::q5_0:
    case TensorType::q5_1:
    case TensorType::q8_0:
    case TensorType::q4_k:
    case TensorType::q5_k:
    case TensorType::q6_k:
    case TensorType::bf16:
      return true;
  }
  return false;
}

std::uint32_t block_elements(TensorType type) {
  const auto block = tensor_block(static_cast<std::uint32_t>(type));
  KVASIR_ASSERT(block.has_value());
  return block->elements;
}

std::uint32_t block_bytes(TensorType type) {
  const auto block = tensor_block(static_cast<std::uint32_t>(type));
  KVASIR_ASSERT(block.has_value());
  return block->bytes;
}

std::uint64_t GgufTensor::elements() const {
  std::uint64_t n = 1;
  for (const std::uint64_t dim : dims) n *= dim;  // cannot overflow: checked when parsed
  return n;
}

}  // namespace kvasir
