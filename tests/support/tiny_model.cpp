#include "tests/support/tiny_model.h"

#include <algorithm>
#include <bit>
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

// Plain arithmetic on purpose, not the engine's bit tricks: the two check each other. Values here are never above
// 65504.
std::uint16_t half_bits(float value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  if (magnitude == 0) return sign;
  const int exponent = std::max(std::ilogb(magnitude), -14);
  const auto fraction = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));  // 11 bits
  return static_cast<std::uint16_t>(sign + (static_cast<std::uint32_t>(exponent + 14) << 10) + fraction);
}

double half_value(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const double fraction = exponent ? 1024 + (bits & 1023) : bits & 1023;
  return std::ldexp(fraction, std::max(exponent, 1) - 25) * (bits & 0x8000 ? -1 : 1);
}

void put_q8_0(std::string& out, std::span<const float> group) {
  float largest = 0;
  for (const float x : group) largest = std::max(largest, std::fabs(x));
  const std::uint16_t scale = half_bits(largest / 127.0f);
  put(out, scale);
  const double d = half_value(scale);
  for (const float x : group) {
    put(out, static_cast<std::int8_t>(d == 0 ? 0 : std::clamp(std::nearbyint(x / d), -127.0, 127.0)));
  }
}

void put_q4_1(std::string& out, std::span<const float> group) {
  const auto [low, high] = std::minmax_element(group.begin(), group.end());
  const std::uint16_t scale = half_bits((*high - *low) / 15.0f), minimum = half_bits(*low);
  put(out, scale);
  put(out, minimum);
  const double d = half_value(scale), m = half_value(minimum);
  const auto nibble = [&](float x) {
    return static_cast<std::uint8_t>(d == 0 ? 0 : std::clamp(std::nearbyint((x - m) / d), 0.0, 15.0));
  };
  for (std::size_t i = 0; i < kGroup / 2; ++i) {
    put(out, static_cast<std::uint8_t>(nibble(group[i]) | nibble(group[i + kGroup / 2]) << 4));
  }
}

void put_values(std::string& out, TinyType type, std::span<const float> values) {
  for (std::size_t i = 0; i < values.size();) {
    switch (type) {
      case TinyType::f32:
        put(out, values[i++]);
        break;
      case TinyType::f16:
        put(out, half_bits(values[i++]));
        break;
      case TinyType::bf16:
        put(out, static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(values[i++]) >> 16));
        break;
      case TinyType::q8_0:
        put_q8_0(out, values.subspan(i, kGroup)), i += kGroup;
        break;
      case TinyType::q4_1:
        put_q4_1(out, values.subspan(i, kGroup)), i += kGroup;
        break;
    }
  }
}

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

  void norm(const std::string& name, std::uint32_t size) {
    values_.clear();
    for (std::uint32_t i = 0; i < size; ++i) values_.push_back(static_cast<float>(1 + 0.2 * symmetric()));
    writer_.tensor(name, TinyType::f32, {size}, values_);
  }

 private:
  double symmetric() { return static_cast<double>(prng_.next() >> 11) * 0x1.0p-52 - 1; }  // uniform in [-1, 1)

  GgufWriter& writer_;
  Prng prng_;
  std::vector<float> values_;
};

// `gain` is the root mean square of an output for inputs of root mean square 1.
double scale_for(std::uint32_t in, double gain) { return gain * std::sqrt(3.0 / in); }

void put_layer(Weights& weights, const TinyModelSpec& spec, std::uint32_t layer) {
  const std::string prefix = "blk." + std::to_string(layer) + ".";
  const std::uint32_t q_dim = spec.heads * spec.head_dim, kv_dim = spec.kv_heads * spec.head_dim;
  const auto matrix = [&](const char* name, std::uint32_t in, std::uint32_t out, double gain) {
    weights.matrix(prefix + name, spec.matrices, in, out, scale_for(in, gain));
  };
  weights.norm(prefix + "attn_norm.weight", spec.hidden);
  matrix("attn_q.weight", spec.hidden, q_dim, 1.5);
  matrix("attn_k.weight", spec.hidden, kv_dim, 1.5);
  matrix("attn_v.weight", spec.hidden, kv_dim, 1.5);
  matrix("attn_output.weight", q_dim, spec.hidden, 1.5);
  weights.norm(prefix + "ffn_norm.weight", spec.hidden);
  matrix("ffn_gate.weight", spec.hidden, spec.ffn, 1.5);
  matrix("ffn_up.weight", spec.hidden, spec.ffn, 1.5);
  matrix("ffn_down.weight", spec.ffn, spec.hidden, 1.0);
}

void put_tensors(GgufWriter& writer, const TinyModelSpec& spec) {
  Weights weights(writer, spec.seed);
  weights.matrix("token_embd.weight", spec.embedding, spec.hidden, spec.vocabulary, scale_for(spec.hidden, 2.5));
  for (std::uint32_t layer = 0; layer < spec.layers; ++layer) put_layer(weights, spec, layer);
  weights.norm("output_norm.weight", spec.hidden);
  if (!spec.tied_output) {
    weights.matrix("output.weight", spec.matrices, spec.hidden, spec.vocabulary, scale_for(spec.hidden, 2.5));
  }
}

void put_architecture(GgufWriter& writer, const TinyModelSpec& spec) {
  writer.text("general.architecture", "llama");
  writer.text("general.name", "tiny");
  writer.number("llama.block_count", spec.layers);
  writer.number("llama.context_length", spec.context_tokens);
  writer.number("llama.embedding_length", spec.hidden);
  writer.number("llama.feed_forward_length", spec.ffn);
  writer.number("llama.attention.head_count", spec.heads);
  writer.number("llama.attention.head_count_kv", spec.kv_heads);
  writer.number("llama.attention.key_length", spec.head_dim);
  writer.number("llama.attention.value_length", spec.head_dim);
  writer.number("llama.rope.dimension_count", spec.head_dim);
  writer.real("llama.rope.freq_base", spec.rope_base);
  writer.real("llama.attention.layer_norm_rms_epsilon", spec.rms_epsilon);
  writer.number("llama.vocab_size", spec.vocabulary);
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

std::string tiny_model_bytes(const TinyModelSpec& spec) {
  KVASIR_ASSERT(spec.hidden % kGroup == 0 && spec.ffn % kGroup == 0 && spec.heads * spec.head_dim % kGroup == 0);
  GgufWriter writer(spec.version);
  put_architecture(writer, spec);
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
