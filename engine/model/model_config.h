#pragma once

#include <cstdint>
#include <string>

#include "engine/model/gguf.h"
#include "engine/text/tokenizer.h"
#include "storage/base/ids.h"
#include "storage/base/result.h"

namespace kvasir {

enum class Activation : std::uint8_t { silu, gelu_tanh };

// Which two elements of a head are turned together: (x[2i], x[2i+1]), as GGUF stores the Llama family, or
// (x[i], x[i + rope_dim / 2]), as everyone else's.
enum class RopePairing : std::uint8_t { adjacent, halves };

// YaRN (Peng et al., 2023) needs all of it; linear scaling only the factor; Llama 3's scaling lies in the tensor
// rope_freqs.weight, one divisor for each pair.
enum class RopeScaling : std::uint8_t { none, linear, yarn };
struct RopeConfig {
  float base = 10000.0f;
  RopeScaling scaling = RopeScaling::none;
  float factor = 1.0f;                        // context is this many times the original
  std::uint32_t original_context = 0;         // tokens; yarn
  float beta_fast = 32.0f, beta_slow = 1.0f;  // yarn: turns within the original context between which it ramps
  float attention_factor = 1.0f;              // cosines and sines are multiplied by it (yarn)
};

// Shapes and constants of a decoder-only transformer: the Llama family and its relatives.
struct ModelConfig {
  std::string architecture;  // general.architecture: "llama", "qwen2", "qwen3", "gemma3"
  std::string name;          // general.name
  std::uint32_t layers = 0;
  std::uint32_t context_tokens = 0;  // trained context
  std::uint32_t hidden = 0;          // model width
  std::uint32_t ffn = 0;
  std::uint32_t heads = 0;  // query heads
  std::uint32_t kv_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t rope_dim = 0;  // rotated dimensions of a head
  std::uint32_t vocabulary = 0;
  RopePairing rope_pairing = RopePairing::adjacent;
  RopeConfig rope;        // of layers that see everything
  RopeConfig local_rope;  // of layers with a window
  float rms_epsilon = 1e-5f;
  Activation activation = Activation::silu;
  float embedding_scale = 1.0f;       // embeddings are multiplied by it
  float attention_scale = 0.0f;       // queries are multiplied by it: usually 1 / sqrt(head_dim)
  bool tied_output = false;           // output matrix is the token embedding
  bool qkv_bias = false;              // attn_{q,k,v}.bias (Qwen 2)
  bool output_bias = false;           // attn_output.bias
  bool qk_norm = false;               // RMS norm of each head's query and key before RoPE (Qwen 3, Gemma 3)
  bool post_norms = false;            // RMS norms of the attention's and the feed-forward's output (Gemma 3)
  std::uint32_t sliding_window = 0;   // a local layer's query at p sees positions p - window + 1 .. p; 0: no such layer
  std::uint32_t global_interval = 0;  // with a window: every such layer (the last of each run) sees everything

  std::uint32_t group() const { return heads / kv_heads; }      // query heads per KV head
  std::uint32_t kv_dim() const { return kv_heads * head_dim; }  // K (or V) elements of one token in one layer
  bool is_local(std::uint32_t layer) const {
    return sliding_window != 0 && (global_interval == 0 || (layer + 1) % global_interval != 0);
  }
};

// Errors: unsupported (architecture, RoPE scaling, ... kvasir lacks), corrupt (missing or contradictory metadata or
// tensor shapes), each naming the key.
// `all` gets every error that could be found, the returned one first.
Result<ModelConfig> read_model_config(const GgufFile& file, std::vector<Error>* all = nullptr);
Result<VocabularyData> read_vocabulary(const GgufFile& file);

// SHA-256 of everything in the file that decides KV bytes: tensors (names, types, shapes, bytes) and the shapes and
// constants of ModelConfig. Not of the tokenizer or template: token ids already say what those did.
WeightsDigest weights_digest(const GgufFile& file, const ModelConfig& config);

}  // namespace kvasir
