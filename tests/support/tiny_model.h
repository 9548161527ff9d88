#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kvasir::testing {

// Tensor types by their GGML number, as in the file.
enum class TinyType : std::uint32_t { f32 = 0, f16 = 1, q4_1 = 3, q8_0 = 8, bf16 = 30 };

// A random Llama model, small enough for every test. Defaults: 2 layers, 64 wide, 4 query and 2 KV heads of 16, about
// 90 k weights. hidden, ffn and heads * head_dim must be multiples of 32, head_dim even.
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
};

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
