#include "tests/support/tiny_model.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <span>
#include <stdexcept>

#include "storage/base/assert.h"
#include "storage/base/prng.h"

namespace kvasir::testing {

namespace {

constexpr std::size_t kAlignment = 32;
constexpr std::size_t kGroup = 32;

template <class T>
void put(std::string& out, T value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  std::memcpy(out.data() + at, &value, sizeof value);
}

void put_string(std::string& out, std::string_view text) {
  put<std::uint64_t>(out, text.size());
  out += text;
}

void pad(std::string& out) { out.resize((out.size() + kAlignment - 1) / kAlignment * kAlignment); }

// Collects metadata and tensors, then lays the file out.
class GgufWriter {
 public:
  explicit GgufWriter(std::uint32_t version) : version_(version) {}

  void text(std::string_view key, std::string_view value) { header(key, 8), put_string(meta_, value); }
  void number(std::string_view key, std::uint32_t value) { header(key, 4), put(meta_, value); }
  void real(std::string_view key, float value) { header(key, 6), put(meta_, value); }
  void flag(std::string_view key, bool value) { header(key, 7), put<std::uint8_t>(meta_, value); }
  void texts(std::string_view key, const std::vector<std::string>& values) {
    array(key, 8, values.size());
    for (const std::string& value : values) put_string(meta_, value);
  }
  void numbers(std::string_view key, const std::vector<std::int32_t>& values) {
    array(key, 5, values.size());
    for (const std::int32_t value : values) put(meta_, value);
  }

  void tensor(std::string_view name, TinyType type, const std::vector<std::uint64_t>& dims,
              std::span<const float> values) {
    ++tensors_;
    put_string(infos_, name);
    put<std::uint32_t>(infos_, static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t dim : dims) put(infos_, dim);
    put(infos_, static_cast<std::uint32_t>(type));
    put<std::uint64_t>(infos_, data_.size());
    put_values(data_, type, values);
    pad(data_);
  }

  std::string bytes() const {
    std::string out = "GGUF";
    put(out, version_);
    put(out, tensors_);
    put(out, keys_);
    out += meta_ + infos_;
    pad(out);
    return out + data_;
  }

 private:
  void header(std::string_view key, std::uint32_t type) { ++keys_, put_string(meta_, key), put(meta_, type); }
  void array(std::string_view key, std::uint32_t type, std::uint64_t count) {
    header(key, 9), put(meta_, type), put(meta_, count);
  }

  std::uint32_t version_;
  std::uint64_t tensors_ = 0, keys_ = 0;
  std::string meta_, infos_, data_;
};

// Weights that keep activations near 1 and let layers outweigh the embedding, so that greedy text is not one token.
class Weights {
 public:
  Weights(GgufWriter& writer, std::uint64_t seed) : writer_(writer), prng_(seed) {}

  void matrix(const std::string& name, TinyType type, std::uint32_t in, std::uint32_t out, double scale) {
    values_.clear();
    for (std::size_t i = 0; i < std::size_t{in} * out; ++i) values_.push_back(static_cast<float>(scale * symmetric()));
    writer_.tensor(name, type, {in, out}, values_);
  }

  // Values around `middle`, up to `spread` away.
  void vector(const std::string& name, std::uint32_t size, double middle, double spread) {
    values_.clear();
    for (std::uint32_t i = 0; i < size; ++i) values_.push_back(static_cast<float>(middle + spread * symmetric()));
    writer_.tensor(name, TinyType::f32, {size}, values_);
  }
  void norm(const std::string& name, std::uint32_t size, double middle = 1) {
    vector(name, size, middle, 0.2 * middle);
  }

 private:
  double symmetric() { return static_cast<double>(prng_.next() >> 11) * 0x1.0p-52 - 1; }  // uniform in [-1, 1)

  GgufWriter& writer_;
  Prng prng_;
  std::vector<float> values_;
};

// `gain` is the root mean square of an output for inputs of root mean square 1.
double scale_for(std::uint32_t in, double gain) { return gain * std::sqrt(3.0 / in); }

std::uint32_t rope_dim(const TinyModelSpec& spec) { return spec.rope_dim != 0 ? spec.rope_dim : spec.head_dim; }

bool has_qkv_bias(const TinyModelSpec& spec) { return spec.qkv_bias || spec.architecture == "qwen2"; }
bool has_qk_norm(const TinyModelSpec& spec) { return spec.architecture == "qwen3" || spec.architecture == "gemma3"; }
bool has_post_norms(const TinyModelSpec& spec) { return spec.architecture == "gemma3"; }

void put_attention(Weights& weights, const TinyModelSpec& spec, const std::string& prefix, TinyType values) {
  const std::uint32_t q_dim = spec.heads * spec.head_dim, kv_dim = spec.kv_heads * spec.head_dim;
  weights.norm(prefix + "attn_norm.weight", spec.hidden);
  weights.matrix(prefix + "attn_q.weight", spec.matrices, spec.hidden, q_dim, scale_for(spec.hidden, 1.5));
  weights.matrix(prefix + "attn_k.weight", spec.matrices, spec.hidden, kv_dim, scale_for(spec.hidden, 1.5));
  weights.matrix(prefix + "attn_v.weight", values, spec.hidden, kv_dim, scale_for(spec.hidden, 1.5));
  weights.matrix(prefix + "attn_output.weight", spec.matrices, q_dim, spec.hidden, scale_for(q_dim, 1.5));
  if (has_qkv_bias(spec)) {
    weights.vector(prefix + "attn_q.bias", q_dim, 0, 1);
    weights.vector(prefix + "attn_k.bias", kv_dim, 0, 1);
    weights.vector(prefix + "attn_v.bias", kv_dim, 0, 1);
  }
  if (spec.output_bias) weights.vector(prefix + "attn_output.bias", spec.hidden, 0, 1);
  if (has_qk_norm(spec)) {
    weights.norm(prefix + "attn_q_norm.weight", spec.head_dim, 1.5);
    weights.norm(prefix + "attn_k_norm.weight", spec.head_dim, 1.5);
  }
  if (has_post_norms(spec)) weights.norm(prefix + "post_attention_norm.weight", spec.hidden, 2);
}

void put_layer(Weights& weights, const TinyModelSpec& spec, std::uint32_t layer) {
  const std::string prefix = "blk." + std::to_string(layer) + ".";
  const TinyType values = layer % 2 == 1 ? spec.odd_values.value_or(spec.matrices) : spec.matrices;
  put_attention(weights, spec, prefix, values);
  weights.norm(prefix + "ffn_norm.weight", spec.hidden);
  weights.matrix(prefix + "ffn_gate.weight", spec.matrices, spec.hidden, spec.ffn, scale_for(spec.hidden, 1.5));
  weights.matrix(prefix + "ffn_up.weight", spec.matrices, spec.hidden, spec.ffn, scale_for(spec.hidden, 1.5));
  weights.matrix(prefix + "ffn_down.weight", values, spec.ffn, spec.hidden, scale_for(spec.ffn, 1.0));
  if (has_post_norms(spec)) weights.norm(prefix + "post_ffw_norm.weight", spec.hidden, 2);
}

void put_tensors(GgufWriter& writer, const TinyModelSpec& spec) {
  Weights weights(writer, spec.seed);
  weights.matrix("token_embd.weight", spec.embedding, spec.hidden, spec.vocabulary, scale_for(spec.hidden, 2.5));
  for (std::uint32_t layer = 0; layer < spec.layers; ++layer) put_layer(weights, spec, layer);
  weights.norm("output_norm.weight", spec.hidden);
  if (spec.rope_divisors) weights.vector("rope_freqs.weight", rope_dim(spec) / 2, 4.5, 3.5);
  if (!spec.tied_output) {
    weights.matrix("output.weight", spec.matrices, spec.hidden, spec.vocabulary, scale_for(spec.hidden, 2.5));
  }
}

void put_architecture(GgufWriter& writer, const TinyModelSpec& spec) {
  const std::string prefix = spec.architecture + ".";
  writer.text("general.architecture", spec.architecture);
  writer.text("general.name", "tiny");
  writer.number(prefix + "block_count", spec.layers);
  writer.number(prefix + "context_length", spec.context_tokens);
  writer.number(prefix + "embedding_length", spec.hidden);
  writer.number(prefix + "feed_forward_length", spec.ffn);
  writer.number(prefix + "attention.head_count", spec.heads);
  writer.number(prefix + "attention.head_count_kv", spec.kv_heads);
  writer.number(prefix + "attention.key_length", spec.head_dim);
  writer.number(prefix + "attention.value_length", spec.head_dim);
  writer.number(prefix + "rope.dimension_count", rope_dim(spec));
  writer.real(prefix + "rope.freq_base", spec.rope_base);
  writer.real(prefix + "attention.layer_norm_rms_epsilon", spec.rms_epsilon);
  writer.number(prefix + "vocab_size", spec.vocabulary);
}

// Windows and RoPE scaling; nothing where the spec has none.
void put_positions(GgufWriter& writer, const TinyModelSpec& spec) {
  const std::string prefix = spec.architecture + ".";
  if (spec.sliding_window != 0) writer.number(prefix + "attention.sliding_window", spec.sliding_window);
  if (spec.window_pattern != 0) writer.number(prefix + "attention.sliding_window_pattern", spec.window_pattern);
  if (spec.local_rope_base != 0) writer.real(prefix + "rope.freq_base_swa", spec.local_rope_base);
  if (spec.rope_scaling.empty()) return;
  writer.text(prefix + "rope.scaling.type", spec.rope_scaling);
  writer.real(prefix + "rope.scaling.factor", spec.rope_factor);
  if (spec.original_context != 0) writer.number(prefix + "rope.scaling.original_context_length", spec.original_context);
}

void put_tokenizer(GgufWriter& writer, const TinyModelSpec& spec) {
  TinyVocabulary vocabulary = tiny_vocabulary();
  KVASIR_ASSERT(vocabulary.tokens.size() <= spec.vocabulary);
  while (vocabulary.tokens.size() < spec.vocabulary) {
    vocabulary.tokens.push_back("<|unused_" + std::to_string(vocabulary.tokens.size()) + "|>");
    vocabulary.types.push_back(5);  // unused
  }
  writer.text("tokenizer.ggml.model", "gpt2");
  writer.text("tokenizer.ggml.pre", "smollm");
  writer.texts("tokenizer.ggml.tokens", vocabulary.tokens);
  writer.numbers("tokenizer.ggml.token_type", vocabulary.types);
  writer.texts("tokenizer.ggml.merges", vocabulary.merges);
  writer.number("tokenizer.ggml.bos_token_id", 1);
  writer.number("tokenizer.ggml.eos_token_id", 2);
  writer.number("tokenizer.ggml.unknown_token_id", 0);
  writer.flag("tokenizer.ggml.add_bos_token", false);
  writer.text("tokenizer.chat_template", tiny_chat_template());
}

void append_utf8(std::string& out, std::uint32_t code) {  // below U+0800
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

// Byte-level BPE writes each byte as one printable character: itself, or the next free one from U+0100.
std::vector<std::string> byte_tokens() {
  std::vector<std::string> tokens;
  std::uint32_t next = 0x100;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    append_utf8(tokens.emplace_back(), printable ? byte : next++);
  }
  return tokens;
}

}  // namespace

TinyVocabulary tiny_vocabulary() {
  TinyVocabulary vocabulary;
  vocabulary.tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<file_sep>"};
  vocabulary.types.assign(vocabulary.tokens.size(), 3);  // control
  for (std::string& token : byte_tokens()) vocabulary.tokens.push_back(std::move(token));
  vocabulary.merges = {
      "Ġ t",   "Ġ a",    "i n",   "h e",     "Ġ Ġ",    "r e",        "o n",   "Ġt he", "e r",   "Ġ s",  "a t",
      "Ġ w",   "Ġ o",    "e n",   "Ġ c",     "i t",    "i s",        "a n",   "o r",   "e s",   "Ġ b",  "e d",
      "Ġ f",   "in g",   "Ġ p",   "o u",     "a l",    "a r",        "Ġa n",  "Ġt o",  "Ġ m",   "Ġo f", "Ġ in",
      "Ġ d",   "Ġ h",    "Ġan d", "l l",     "u s",    "us er",      "s t",   "st e",  "ste m", "s y",  "sy stem",
      "a s",   "as s",   "is t",  "ass ist", "an t",   "assist ant", "ĠĠ ĠĠ", "Ċ Ċ",   "Ġ is",  "Ġ n",  "H e",
      "He ll", "Hell o", "w or",  "l d",     "wor ld", "Ġ world",    "Ġ l",   "Ġ y",   "Ġy ou"};
  for (const std::string& merge : vocabulary.merges) {
    const std::size_t space = merge.find(' ');
    vocabulary.tokens.push_back(merge.substr(0, space) + merge.substr(space + 1));
  }
  vocabulary.types.resize(vocabulary.tokens.size(), 1);  // normal
  return vocabulary;
}

std::string tiny_chat_template() {
  return "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
         "{{ '<|im_start|>system\\nYou are a helpful assistant<|im_end|>\\n' }}{% endif %}"
         "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
}

std::vector<TinyFamily> tiny_families() {
  std::vector<TinyFamily> families;
  const auto add = [&](std::string name, std::string architecture) -> TinyModelSpec& {
    families.push_back({std::move(name), {}});
    families.back().spec.architecture = std::move(architecture);
    return families.back().spec;
  };
  TinyModelSpec& llama2 = add("Llama 2", "llama");
  llama2.kv_heads = 4, llama2.tied_output = false, llama2.embedding = llama2.matrices = TinyType::q4_0;
  TinyModelSpec& llama3 = add("Llama 3", "llama");
  llama3.rope_base = 500000.0f, llama3.rope_divisors = true, llama3.matrices = TinyType::q5_1;
  TinyModelSpec& linear = add("Llama with linear scaling", "llama");
  linear.rope_scaling = "linear", linear.rope_factor = 4, linear.matrices = TinyType::q8_0;
  TinyModelSpec& yarn = add("Llama with YaRN", "llama");
  yarn.rope_scaling = "yarn", yarn.rope_factor = 4, yarn.original_context = 64, yarn.matrices = TinyType::f16;
  TinyModelSpec& mistral = add("Mistral", "llama");
  mistral.head_dim = 24, mistral.sliding_window = 40, mistral.tied_output = false, mistral.matrices = TinyType::bf16;
  TinyModelSpec& biased = add("Llama with biases", "llama");
  biased.qkv_bias = biased.output_bias = true, biased.rope_dim = 12, biased.matrices = TinyType::f32;
  TinyModelSpec& qwen2 = add("Qwen2", "qwen2");
  qwen2.rope_base = 1e6f, qwen2.matrices = TinyType::q5_0;
  TinyModelSpec& qwen3 = add("Qwen3", "qwen3");
  qwen3.rope_base = 1e6f, qwen3.head_dim = 32, qwen3.matrices = TinyType::q4_k, qwen3.odd_values = TinyType::q6_k;
  qwen3.hidden = qwen3.ffn = 256, qwen3.heads = 8, qwen3.embedding = TinyType::q6_k;
  TinyModelSpec& gemma3 = add("Gemma 3", "gemma3");
  gemma3.layers = 4, gemma3.sliding_window = 40, gemma3.window_pattern = 2, gemma3.rope_base = 1e6f;
  gemma3.rope_scaling = "linear", gemma3.rope_factor = 8, gemma3.head_dim = 64, gemma3.kv_heads = 1;
  gemma3.hidden = gemma3.ffn = 256, gemma3.matrices = TinyType::q5_k, gemma3.rms_epsilon = 1e-6f;
  return families;
}

std::string tiny_model_bytes(const TinyModelSpec& spec) {
  for (const std::uint32_t width : {spec.hidden, spec.ffn, spec.heads * spec.head_dim}) {
    KVASIR_ASSERT(width % kGroup == 0 && width % tiny_block_elements(spec.matrices) == 0);
  }
  GgufWriter writer(spec.version);
  put_architecture(writer, spec);
  put_positions(writer, spec);
  put_tokenizer(writer, spec);
  put_tensors(writer, spec);
  return writer.bytes();
}

std::string write_tiny_model(const std::string& path, const TinyModelSpec& spec) {
  std::ofstream file(path, std::ios::binary);
  file << tiny_model_bytes(spec);
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
  return path;
}

}  // namespace kvasir::testing
