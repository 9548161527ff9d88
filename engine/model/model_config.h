#pragma once

#include <cstdint>
#include <string>

#include "engine/model/gguf.h"
#include "engine/text/tokenizer.h"
#include "storage/base/ids.h"
#include "storage/base/result.h"

namespace kvasir {

// Shapes and constants of a decoder-only transformer of the Llama family.
struct ModelConfig {
  std::string architecture;  // "llama"
  std::string name;          // general.name
  std::uint32_t layers = 0;
  std::uint32_t context_tokens = 0;  // trained context
  std::uint32_t hidden = 0;          // model width
  std::uint32_t ffn = 0;
  std::uint32_t heads = 0;  // query heads
  std::uint32_t kv_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t rope_dim = 0;  // rotated dimensions of a head; adjacent pairs (x[2i], x[2i+1]), as GGUF stores Llama
  std::uint32_t vocabulary = 0;
  float rope_base = 10000.0f;
  float rms_epsilon = 1e-5f;
  bool tied_output = false;  // output matrix is the token embedding

  std::uint32_t group() const { return heads / kv_heads; }      // query heads per KV head
  std::uint32_t kv_dim() const { return kv_heads * head_dim; }  // K (or V) elements of one token in one layer
};

// Errors: unsupported (architecture, RoPE scaling, ... kvasir lacks), corrupt (missing or contradictory metadata or
// tensor shapes), each naming the key.
Result<ModelConfig> read_model_config(const GgufFile& file);
Result<VocabularyData> read_vocabulary(const GgufFile& file);

// SHA-256 of everything in the file that decides KV bytes: tensors (names, types, shapes, bytes) and the shapes and
// constants of ModelConfig. Not of the tokenizer or template: token ids already say what those did.
WeightsDigest weights_digest(const GgufFile& file, const ModelConfig& config);

}  // namespace kvasir
