#include "engine/model/weights.h"

#include <set>
#include <string>
#include <string_view>

#include "engine/model/dequantize.h"

namespace kvasir {

namespace {

std::string dims_text(std::span<const std::uint64_t> dims) {
  std::string text = "{";
  for (std::size_t i = 0; i < dims.size(); ++i) text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "}";
}

std::string supported_types() {
  std::string names;
  for (std::uint32_t type = 0; type < 64; ++type) {
    if (is_supported(type)) names += (names.empty() ? "" : ", ") + tensor_type_name(type);
  }
  return names;
}

std::vector<float> read_divisors(const GgufTensor& tensor) {
  std::vector<float> values(tensor.dims[0]);
  dequantize_row(tensor, 0, values);
  return values;
}

// Looks tensors up and keeps the errors; remembers what was taken.
class Finder {
 public:
  Finder(const GgufFile& file, const std::string& architecture) : file_(file), architecture_(architecture) {}

  const GgufTensor* matrix(const std::string& name, std::uint64_t in, std::uint64_t out) {
    return take(name, {in, out});
  }

  const GgufTensor* vector(const std::string& name, std::uint64_t size) {
    const GgufTensor* tensor = take(name, {size});
    if (tensor != nullptr && tensor->type != static_cast<std::uint32_t>(TensorType::f32)) {
      fail(ErrorCode::unsupported, name, "is " + tensor_type_name(tensor->type) + "; norms and biases must be F32");
    }
    return tensor;
  }

  const GgufTensor* vector_if(bool there, const std::string& name, std::uint64_t size) {
    return there ? vector(name, size) : nullptr;
  }

  // Divisors of frequencies: within what RopeTable can turn by.
  const GgufTensor* divisors(const std::string& name, std::uint64_t size) {
    if (file_.tensor(name) == nullptr) return nullptr;
    const GgufTensor* tensor = vector(name, size);
    if (!errors_.empty()) return nullptr;
    for (const float divisor : read_divisors(*tensor)) {
      if (!(divisor >= 0.25f && divisor <= 1e6f))
        fail(ErrorCode::corrupt, name, "has a divisor that is not from 0.25 to 1e6");
    }
    return tensor;
  }

  // A tensor that nobody took would be a part of the model that is silently left out.
  const std::vector<Error>& finish() {
    for (const GgufTensor& tensor : file_.tensors()) {
      if (!taken_.contains(tensor.name))
        fail(ErrorCode::unsupported, tensor.name,
             "is not part of a " + architecture_ + " model as this build knows it");
    }
    return errors_;
  }

 private:
  void fail(ErrorCode code, const std::string& name, const std::string& what) {
    errors_.push_back(error(code, "model: tensor " + name + " " + what));
  }

  const GgufTensor* take(const std::string& name, std::vector<std::uint64_t> dims) {
    const GgufTensor* tensor = file_.tensor(name);
    taken_.insert(name);
    if (tensor == nullptr) {
      fail(ErrorCode::corrupt, name, "is missing");
    } else if (!is_supported(tensor->type)) {
      fail(ErrorCode::unsupported, name,
           "is " + tensor_type_name(tensor->type) + "; this build loads " + supported_types());
    } else if (tensor->dims != dims) {
      fail(ErrorCode::corrupt, name, "has the shape " + dims_text(tensor->dims) + ", expected " + dims_text(dims));
    }
    return tensor;
  }

  const GgufFile& file_;
  const std::string& architecture_;
  std::set<std::string, std::less<>> taken_;
  std::vector<Error> errors_;
};

LayerTensors find_layer(Finder& finder, const ModelConfig& config, std::uint32_t layer) {
  const std::string prefix = "blk." + std::to_string(layer) + ".";
  const std::uint64_t q_dim = std::uint64_t{config.heads} * config.head_dim;
  LayerTensors tensors;
  tensors.attn_norm = finder.vector(prefix + "attn_norm.weight", config.hidden);
  tensors.wq = finder.matrix(prefix + "attn_q.weight", config.hidden, q_dim);
  tensors.wk = finder.matrix(prefix + "attn_k.weight", config.hidden, config.kv_dim());
  tensors.wv = finder.matrix(prefix + "attn_v.weight", config.hidden, config.kv_dim());
  tensors.wo = finder.matrix(prefix + "attn_output.weight", q_dim, config.hidden);
  tensors.bq = finder.vector_if(config.qkv_bias, prefix + "attn_q.bias", q_dim);
  tensors.bk = finder.vector_if(config.qkv_bias, prefix + "attn_k.bias", config.kv_dim());
  tensors.bv = finder.vector_if(config.qkv_bias, prefix + "attn_v.bias", config.kv_dim());
  tensors.bo = finder.vector_if(config.output_bias, prefix + "attn_output.bias", config.hidden);
  tensors.q_norm = finder.vector_if(config.qk_norm, prefix + "attn_q_norm.weight", config.head_dim);
  tensors.k_norm = finder.vector_if(config.qk_norm, prefix + "attn_k_norm.weight", config.head_dim);
  tensors.attn_post_norm = finder.vector_if(config.post_norms, prefix + "post_attention_norm.weight", config.hidden);
  tensors.ffn_norm = finder.vector(prefix + "ffn_norm.weight", config.hidden);
  tensors.w_gate = finder.matrix(prefix + "ffn_gate.weight", config.hidden, config.ffn);
  tensors.w_up = finder.matrix(prefix + "ffn_up.weight", config.hidden, config.ffn);
  tensors.w_down = finder.matrix(prefix + "ffn_down.weight", config.ffn, config.hidden);
  tensors.ffn_post_norm = finder.vector_if(config.post_norms, prefix + "post_ffw_norm.weight", config.hidden);
  return tensors;
}

}  // namespace

std::vector<float> ModelTensors::rope_divisors() const {
  return rope_freqs == nullptr ? std::vector<float>{} : read_divisors(*rope_freqs);
}

Result<ModelTensors> find_tensors(const GgufFile& file, const ModelConfig& config, std::vector<Error>* all) {
  Finder finder(file, config.architecture);
  ModelTensors tensors;
  tensors.token_embd = finder.matrix("token_embd.weight", config.hidden, config.vocabulary);
  tensors.output =
      config.tied_output ? tensors.token_embd : finder.matrix("output.weight", config.hidden, config.vocabulary);
  tensors.output_norm = finder.vector("output_norm.weight", config.hidden);
  tensors.rope_freqs = finder.divisors("rope_freqs.weight", config.rope_dim / 2);
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    tensors.layers.push_back(find_layer(finder, config, layer));
  }
  const std::vector<Error>& errors = finder.finish();
  if (all != nullptr) all->insert(all->end(), errors.begin(), errors.end());
  if (!errors.empty()) return errors.front();
  return tensors;
}

}  // namespace kvasir
