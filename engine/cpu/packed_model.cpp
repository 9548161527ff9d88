#include "engine/cpu/packed_model.h"

#include <cstring>
#include <string>
#include <utility>

#include "engine/model/weights.h"

namespace kvasir {
namespace {

Status check_widths(const ModelConfig& c) {
  const auto multiple_of_16 = [](std::uint32_t n) { return n > 0 && n % 16 == 0; };
  if (!multiple_of_16(c.head_dim) || c.head_dim > cpu::kHeadDimMax)
    return error(ErrorCode::unsupported,
                 "the cpu backend needs a head dimension that is a multiple of 16 and at most 256, not " +
                     std::to_string(c.head_dim));
  if (!multiple_of_16(c.hidden) || !multiple_of_16(c.ffn))
    return error(ErrorCode::unsupported, "the cpu backend needs widths that are multiples of 16, not " +
                                             std::to_string(c.hidden) + " and " + std::to_string(c.ffn));
  return Ok{};
}

class Packer {
 public:
  explicit Packer(std::span<std::uint8_t> memory) : left_(memory) {}
  PackedMatrix pack(const GgufTensor& tensor) {
    const std::size_t bytes = PackedMatrix::packed_bytes(tensor);
    PackedMatrix matrix = PackedMatrix::pack(tensor, left_.first(bytes));
    left_ = left_.subspan(bytes);
    return matrix;
  }

 private:
  std::span<std::uint8_t> left_;
};

std::size_t total_bytes(const ModelTensors& t) {
  std::size_t bytes = PackedMatrix::packed_bytes(*t.token_embd);
  if (t.output != t.token_embd) bytes += PackedMatrix::packed_bytes(*t.output);
  for (const LayerTensors& l : t.layers)
    for (const GgufTensor* tensor : {l.wq, l.wk, l.wv, l.wo, l.w_gate, l.w_up, l.w_down})
      bytes += PackedMatrix::packed_bytes(*tensor);
  return bytes;
}

// Empty where there is no tensor.
std::vector<float> floats_of(const GgufTensor* tensor) {
  if (tensor == nullptr) return {};
  std::vector<float> values(tensor->data.size() / sizeof(float));
  std::memcpy(values.data(), tensor->data.data(), values.size() * sizeof(float));
  return values;
}

PackedLayer pack_layer(const LayerTensors& t, Packer& packer) {
  PackedLayer layer;
  layer.attn_norm = floats_of(t.attn_norm);
  layer.ffn_norm = floats_of(t.ffn_norm);
  layer.attn_post_norm = floats_of(t.attn_post_norm);
  layer.ffn_post_norm = floats_of(t.ffn_post_norm);
  layer.bq = floats_of(t.bq);
  layer.bk = floats_of(t.bk);
  layer.bv = floats_of(t.bv);
  layer.bo = floats_of(t.bo);
  layer.q_norm = floats_of(t.q_norm);
  layer.k_norm = floats_of(t.k_norm);
  layer.wq = packer.pack(*t.wq);  // in the order of use: a step reads the memory front to back
  layer.wk = packer.pack(*t.wk);
  layer.wv = packer.pack(*t.wv);
  layer.wo = packer.pack(*t.wo);
  layer.w_gate = packer.pack(*t.w_gate);
  layer.w_up = packer.pack(*t.w_up);
  layer.w_down = packer.pack(*t.w_down);
  return layer;
}

}  // namespace

Result<PackedModel> pack_model(const GgufFile& file, const ModelConfig& config) {
  if (Status widths = check_widths(config); !widths.ok()) return std::move(widths).error();
  Result<ModelTensors> found = find_tensors(file, config);
  if (!found.ok()) return std::move(found).error();
  const ModelTensors& tensors = found.value();

  PackedModel model;
  model.config = config;
  model.memory = std::make_unique<WeightMemory>(total_bytes(tensors));
  Packer packer(model.memory->bytes());
  for (const LayerTensors& layer : tensors.layers) {
    model.layers.push_back(pack_layer(layer, packer));
    file.drop_pages();
  }
  model.output_norm = floats_of(tensors.output_norm);
  model.rope_divisors = tensors.rope_divisors();
  model.token_embd = packer.pack(*tensors.token_embd);
  model.output = tensors.output == tensors.token_embd ? model.token_embd : packer.pack(*tensors.output);
  file.drop_pages();
  return model;
}

}  // namespace kvasir
