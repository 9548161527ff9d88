#pragma once

#include <vector>

#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "storage/base/result.h"

namespace kvasir {

// Tensors of one layer; pointers into the GgufFile, null only where the comment says so. Weights are {in, out}: `out`
// rows of `in` elements. Vectors are F32.
struct LayerTensors {
  const GgufTensor* attn_norm = nullptr;       // {hidden}
  const GgufTensor* wq = nullptr;              // {hidden, heads * head_dim}
  const GgufTensor* wk = nullptr;              // {hidden, kv_dim}
  const GgufTensor* wv = nullptr;              // {hidden, kv_dim}
  const GgufTensor* wo = nullptr;              // {heads * head_dim, hidden}
  const GgufTensor* bq = nullptr;              // {heads * head_dim}; null without config.qkv_bias
  const GgufTensor* bk = nullptr;              // {kv_dim}; as bq
  const GgufTensor* bv = nullptr;              // {kv_dim}; as bq
  const GgufTensor* bo = nullptr;              // {hidden}; null without config.output_bias
  const GgufTensor* q_norm = nullptr;          // {head_dim}; null without config.qk_norm
  const GgufTensor* k_norm = nullptr;          // {head_dim}; as q_norm
  const GgufTensor* attn_post_norm = nullptr;  // {hidden}; null without config.post_norms
  const GgufTensor* ffn_norm = nullptr;        // {hidden}
  const GgufTensor* w_gate = nullptr;          // {hidden, ffn}
  const GgufTensor* w_up = nullptr;            // {hidden, ffn}
  const GgufTensor* w_down = nullptr;          // {ffn, hidden}
  const GgufTensor* ffn_post_norm = nullptr;   // {hidden}; null without config.post_norms
};

struct ModelTensors {
  const GgufTensor* token_embd = nullptr;   // {hidden, vocabulary}
  const GgufTensor* output = nullptr;       // {hidden, vocabulary}; token_embd when tied
  const GgufTensor* output_norm = nullptr;  // {hidden}
  const GgufTensor* rope_freqs = nullptr;   // {rope_dim / 2}: divisors of the global RoPE's frequencies; may be null
  std::vector<LayerTensors> layers;

  std::vector<float> rope_divisors() const;  // the values of rope_freqs; empty without it
};

// The tensors of a model by name, each there, of a loadable type and of the shape that `config` asks for; and no tensor
// in the file that would be left unused (biases, rope_freqs, experts, ...). Norms are F32. Errors: corrupt (missing,
// wrong shape), unsupported (type, unknown tensor), each naming the tensor; `all` gets every one, beside the first that
// is returned.
Result<ModelTensors> find_tensors(const GgufFile& file, const ModelConfig& config, std::vector<Error>* all = nullptr);

}  // namespace kvasir
