#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/tiny_types.h"

namespace kvasir::testing {

// A random model, small enough for every test. Defaults: a Llama of 2 layers, 64 wide, 4 query and 2 KV heads of 16,
// about 90 k weights. hidden, ffn and heads * head_dim must be multiples of 32, and of the blocks of their type (256
// for Q4_K, Q5_K and Q6_K); head_dim even. Qwen 2 always has the biases of q, k and v, Qwen 3 the norms of q and k,
// Gemma 3 these and the norms after attention and feed-forward. No norm's weights are all 1.
struct TinyModelSpec {
  std::uint32_t layers = 2;
  std::uint32_t hidden = 64;
  std::uint32_t ffn = 96;
  std::uint32_t heads = 4;
  std::uint32_t kv_heads = 2;
  std::uint32_t head_dim = 16;
  std::uint32_t context_tokens = 4096;
  std::uint32_t vocabulary = 512;  // >= tiny_vocabulary().tokens.size(); the rest are unused tokens "<|unused_N|>"
  float rope_base = 10000.0f;
  float rms_epsilon = 1e-5f;
  TinyType embedding = TinyType::q8_0;
  TinyType matrices = TinyType::q4_1;
  bool tied_output = true;    // else an output.weight of the type of `matrices`
  std::uint32_t version = 3;  // of the GGUF file: 2 or 3
  std::uint64_t seed = 1;
  std::string architecture = "llama";  // or "qwen2", "qwen3", "gemma3"
  std::optional<TinyType> odd_values;  // type of attn_v and ffn_down in layers 1, 3, ... as mixed quantizations do
  bool qkv_bias = false;               // also without Qwen 2
  bool output_bias = false;            // attn_output.bias
  std::uint32_t rope_dim = 0;          // 0: head_dim
  std::string rope_scaling;            // "linear", "yarn", "none"; empty: no key
  float rope_factor = 1;               // with rope_scaling
  std::uint32_t original_context = 0;  // with rope_scaling; 0: no key
  bool rope_divisors = false;          // rope_freqs.weight, from 1 to 8
  std::uint32_t sliding_window = 0;    // 0: no key
  std::uint32_t window_pattern = 0;    // every such layer sees everything; 0: no key
  float local_rope_base = 0;           // 0: no key
};

// One spec for each architecture and each kind of position encoding, in several tensor types.
struct TinyFamily {
  std::string name;
  TinyModelSpec spec;
};
std::vector<TinyFamily> tiny_families();

// The vocabulary of every tiny model: byte-level BPE ("gpt2", pre "smollm"): 5 control tokens, the 256 byte tokens,
// then one token for each merge. Ids: 0 <|endoftext|>, 1 <|im_start|> (BOS), 2 <|im_end|> (EOS), 3 <repo_name>, 4
// <file_sep>.
struct TinyVocabulary {
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types;
  std::vector<std::string> merges;
};
TinyVocabulary tiny_vocabulary();

// A chat template in the manner of SmolLM2's (ChatML with a default system message).
std::string tiny_chat_template();

// The bytes of the GGUF file. Equal specs give equal bytes.
std::string tiny_model_bytes(const TinyModelSpec& spec);

// Writes the file and returns its path.
std::string write_tiny_model(const std::string& path, const TinyModelSpec& spec = {});

}  // namespace kvasir::testing
