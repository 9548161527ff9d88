#include "engine/cpu/packed_model.h"

#include <algorithm>
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

constexpr std::size_t kPieceBytes = 1u << 20;  // of the file, that a thread packs at a time

// Gives the matrices their places in memory, in the order of use (a step reads it front to back), then fills them.
class Packer {
 public:
  explicit Packer(std::span<std::uint8_t> memory) : left_(memory) {}

  PackedMatrix place(const GgufTensor& tensor) {
    const std::span<std::uint8_t> memory = left_.first(PackedMatrix::packed_bytes(tensor));
    left_ = left_.subspan(memory.size());
    const PackedMatrix matrix = PackedMatrix::shape(tensor, memory);
    const auto step = static_cast<std::uint32_t>(
        std::max<std::size_t>(1, kPieceBytes * matrix.panels() / std::max<std::size_t>(1, tensor.data.size())));
    for (std::uint32_t first = 0; first < matrix.panels(); first += step)
      pieces_.push_back({&tensor, memory, first, std::min(first + step, matrix.panels())});
    return matrix;
  }

  void fill(const GgufFile& file, ThreadPool& pool) const {
    pool.run(static_cast<std::uint32_t>(pieces_.size()), [&](std::uint32_t i, std::uint32_t) {
      const Piece& piece = pieces_[i];
      PackedMatrix::pack_panels(*piece.tensor, piece.memory, piece.first, piece.last);
      file.drop_pages(piece.source());
    });
  }

 private:
  struct Piece {
    const GgufTensor* tensor;
    std::span<std::uint8_t> memory;  // of the whole matrix
    std::uint32_t first, last;       // panels
    std::span<const std::byte> source() const {
      const std::size_t columns = tensor->dims[1], column_bytes = tensor->data.size() / columns;
      const std::size_t end = std::min<std::size_t>(columns, std::size_t{last} * cpu::kPanelColumns);
      const std::size_t begin = std::size_t{first} * cpu::kPanelColumns;
      return tensor->data.subspan(begin * column_bytes, (end - begin) * column_bytes);
    }
  };
  std::span<std::uint8_t> left_;
  std::vector<Piece> pieces_;
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

PackedLayer place_layer(const LayerTensors& t, Packer& packer) {
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
  layer.wq = packer.place(*t.wq);
  layer.wk = packer.place(*t.wk);
  layer.wv = packer.place(*t.wv);
  layer.wo = packer.place(*t.wo);
  layer.w_gate = packer.place(*t.w_gate);
  layer.w_up = packer.place(*t.w_up);
  layer.w_down = packer.place(*t.w_down);
  return layer;
}

}  // namespace

Result<PackedModel> pack_model(const GgufFile& file, const ModelConfig& config, ThreadPool& pool) {
  if (Status widths = check_widths(config); !widths.ok()) return std::move(widths).error();
  Result<ModelTensors> found = find_tensors(file, config);
  if (!found.ok()) return std::move(found).error();
  const ModelTensors& tensors = found.value();

  PackedModel model;
  model.config = config;
  model.memory = std::make_unique<WeightMemory>(total_bytes(tensors));
  Packer packer(model.memory->bytes());
  for (const LayerTensors& layer : tensors.layers) model.layers.push_back(place_layer(layer, packer));
  model.output_norm = floats_of(tensors.output_norm);
  model.rope_divisors = tensors.rope_divisors();
  model.token_embd = packer.place(*tensors.token_embd);
  model.output = tensors.output == tensors.token_embd ? model.token_embd : packer.place(*tensors.output);
  packer.fill(file, pool);
  file.drop_pages();
  return model;
}

}  // namespace kvasir
