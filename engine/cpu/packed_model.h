#pragma once

#include <memory>
#include <vector>

#include "engine/cpu/packed_matrix.h"
#include "engine/cpu/thread_pool.h"
#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "storage/base/result.h"

namespace kvasir {

struct PackedLayer {
  std::vector<float> attn_norm, ffn_norm;            // (hidden)
  std::vector<float> attn_post_norm, ffn_post_norm;  // (hidden), or empty
  std::vector<float> bq, bk, bv, bo;                 // one for each output of the matrix, or empty
  std::vector<float> q_norm, k_norm;                 // (head_dim), or empty
  PackedMatrix wq, wk, wv, wo, w_gate, w_up, w_down;
};

// A model's weights as the kernels read them. Immutable; any thread may read.
struct PackedModel {
  ModelConfig config;
  std::unique_ptr<WeightMemory> memory;  // what the matrices point into
  PackedMatrix token_embd;
  PackedMatrix output;  // token_embd when tied: one copy serves both
  std::vector<float> output_norm;
  std::vector<float> rope_divisors;  // of the global RoPE's frequencies, or empty
  std::vector<PackedLayer> layers;
};

// Repacks in pieces of about a megabyte, on all the threads of the pool, and gives the file's pages back on the way: at
// no time are there two copies of more than a few pieces. Errors: those of find_tensors; unsupported (a width the
// kernels cannot do).
Result<PackedModel> pack_model(const GgufFile& file, const ModelConfig& config, ThreadPool& pool);

}  // namespace kvasir
