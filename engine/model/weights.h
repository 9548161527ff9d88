#pragma once

#include <vector>

#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "storage/base/result.h"

namespace kvasir {

// Tensors of one layer; pointers into the GgufFile, never null. Weights are {in, out}: `out` rows of `in` elements.
struct LayerTensors {
  const GgufTensor* attn_norm = nullptr;  // {hidden}
  const GgufTensor* wq = nullptr;         // {hidden, heads * head_dim}
  const GgufTensor* wk = nullptr;         // {hidden, kv_dim}
  const GgufTensor* wv = nullptr;         // {hidden, kv_dim}
  const GgufTensor* wo = nullptr;         // {heads * head_dim, hidden}
  const GgufTensor* ffn_norm = nullptr;   // {hidden}
  const GgufTensor* w_gate = nullptr;     // {hidden, ffn}
  const GgufTensor* w_up = nullptr;       // {hidden, ffn}
  const GgufTensor* w_down = nullptr;     // {ffn, hidden}
};

struct ModelTensors {
  const GgufTensor* token_embd = nullptr;   // {hidden, vocabulary}
  const GgufTensor* output = nullptr;       // {hidden, vocabulary}; token_embd when tied
  const GgufTensor* output_norm = nullptr;  // {hidden}
  std::vector<LayerTensors> layers;
};

// The tensors of a model by name, each there, of a loadable type and of the shape that `config` asks for; and no tensor
// in the file that would be left unused (biases, rope_freqs, experts, ...). Norms are F32. Errors: corrupt (missing,
// wrong shape), unsupported (type, unknown tensor), each naming the tensor.
Result<ModelTensors> find_tensors(const GgufFile& file, const ModelConfig& config);

}  // namespace kvasir
