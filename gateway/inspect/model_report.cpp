#include "gateway/inspect/model_report.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/cpu/kernels.h"
#include "engine/cpu/packed_matrix.h"
#include "engine/kv_sizes.h"
#include "engine/model/weights.h"
#include "gateway/inspect/shown.h"
#include "storage/base/hash.h"

namespace kvasir {
namespace {

using Report = ModelReport;

std::string text_of(const GgufFile& file, std::string_view key) {
  return std::string(file.get_string(key).value_or(""));
}

// Errors of the engine's parts as sentences of a report.
std::string sentence(std::string_view message) {
  constexpr std::string_view kPrefix = "model: ";
  if (message.starts_with(kPrefix)) message.remove_prefix(kPrefix.size());
  return shown(message, 1000);
}

Report::File describe_file(const GgufFile& file) {
  Report::File out;
  out.name = text_of(file, "general.name");
  out.license = text_of(file, "general.license");
  out.version = file.version();
  out.bytes = file.bytes();
  out.tensors = file.tensors().size();
  for (const GgufFile::Part& part : file.parts()) out.parts.push_back({part.path, part.bytes.size()});
  std::map<std::uint32_t, Report::TypeShare> shares;
  for (const GgufTensor& tensor : file.tensors()) {
    Report::TypeShare& share = shares[tensor.type];
    share.type = tensor_type_name(tensor.type);
    share.loads = is_supported(tensor.type);
    share.tensors += 1;
    share.elements += tensor.elements();
    share.bytes += tensor.data.size();
    out.parameters += tensor.elements();
  }
  for (auto& [type, share] : shares) out.types.push_back(std::move(share));
  std::stable_sort(out.types.begin(), out.types.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return out;
}

std::string scaling_text(const RopeConfig& rope, bool divisors) {
  const std::string also = divisors ? ", divisors in rope_freqs.weight" : "";
  switch (rope.scaling) {
    case RopeScaling::none:
      return divisors ? "divisors in rope_freqs.weight (Llama 3)" : "none";
    case RopeScaling::linear:
      return fmt::format("linear, {} times", rope.factor) + also;
    case RopeScaling::yarn:
      return fmt::format("YaRN, {} times {} tokens", rope.factor, grouped(rope.original_context)) + also;
  }
  return "";
}

std::vector<std::string> features_of(const ModelConfig& config) {
  std::vector<std::string> features;
  const auto add = [&](bool has, const char* what) {
    if (has) features.emplace_back(what);
  };
  add(config.qkv_bias, "biases of q, k and v");
  add(config.output_bias, "bias of the attention's output");
  add(config.qk_norm, "norms of q and k");
  add(config.post_norms, "norms after attention and feed-forward");
  add(config.embedding_scale != 1.0f, "scaled embeddings");
  add(config.activation == Activation::gelu_tanh, "GELU");
  return features;
}

Report::Architecture describe_config(const GgufFile& file, const ModelConfig& config) {
  Report::Architecture out;
  out.family = config.architecture;
  out.known = true;
  out.layers = config.layers;
  out.hidden = config.hidden;
  out.ffn = config.ffn;
  out.heads = config.heads;
  out.kv_heads = config.kv_heads;
  out.head_dim = config.head_dim;
  out.context_tokens = config.context_tokens;
  out.vocabulary = config.vocabulary;
  out.rope_base = config.rope.base;
  out.rope_scaling = scaling_text(config.rope, file.tensor("rope_freqs.weight") != nullptr);
  out.sliding_window = config.sliding_window;
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) out.windowed_layers += config.is_local(layer) ? 1 : 0;
  if (out.windowed_layers > 0) out.local_rope_base = config.local_rope.base;
  out.tied_output = config.tied_output;
  out.features = features_of(config);
  return out;
}

// What the keys say of a model that kvasir does not know.
Report::Architecture describe_keys(const GgufFile& file) {
  Report::Architecture out;
  out.family = text_of(file, "general.architecture");
  const auto number = [&](std::string_view name) { return file.get_uint(out.family + "." + std::string(name)); };
  out.layers = number("block_count");
  out.hidden = number("embedding_length");
  out.ffn = number("feed_forward_length");
  out.heads = number("attention.head_count");
  out.kv_heads = number("attention.head_count_kv");
  out.head_dim = number("attention.key_length");
  out.context_tokens = number("context_length");
  out.vocabulary = number("vocab_size");
  out.rope_base = file.get_float(out.family + ".rope.freq_base");
  out.rope_scaling = text_of(file, out.family + ".rope.scaling.type");
  out.sliding_window = number("attention.sliding_window").value_or(0);
  return out;
}

// One sentence for each type that does not load.
void add_type_problems(const GgufFile& file, Report& report) {
  std::map<std::uint32_t, std::vector<const GgufTensor*>> refused;
  for (const GgufTensor& tensor : file.tensors()) {
    if (!is_supported(tensor.type)) refused[tensor.type].push_back(&tensor);
  }
  for (const auto& [type, tensors] : refused) {
    const std::string others = tensors.size() == 1 ? "" : fmt::format(" and {} more", grouped(tensors.size() - 1));
    report.problems.push_back(fmt::format("tensor {}{} {} {}, which this build does not load", shown(tensors[0]->name),
                                          others, tensors.size() == 1 ? "is" : "are", tensor_type_name(type)));
  }
}

// Whether add_type_problems has said it.
bool is_type_problem(const GgufFile& file, const std::string& problem) {
  return std::any_of(file.tensors().begin(), file.tensors().end(), [&](const GgufTensor& tensor) {
    return !is_supported(tensor.type) &&
           problem.starts_with("tensor " + shown(tensor.name) + " is " + tensor_type_name(tensor.type) + ";");
  });
}

Report::Memory memory_of(const GgufFile& file, const ModelConfig& config, const KvFormat& format,
                         std::uint32_t block_tokens) {
  const KvShape shape = KvShape::of(config);
  const KvLoad load{.context_tokens = config.context_tokens, .block_tokens = block_tokens};
  Report::Memory memory;
  memory.backend = format.served == KvServed::cpu ? "cpu" : "reference";
  memory.kv_type = format.name;
  memory.weights = weights_bytes(file, memory.backend);
  memory.kv_token = shape.token_bytes(format, block_tokens);
  memory.kv_context = host_bytes(load.blocks(), shape.block_bytes(format, block_tokens));
  return memory;
}

// What the cpu backend's kernels cannot do though the reference backend can.
void add_kernel_problems(const ModelConfig& config, Report& report) {
  if (config.head_dim % 16 == 0 && config.head_dim <= cpu::kHeadDimMax) return;
  report.problems.push_back(
      fmt::format("the cpu backend needs a head dimension that is a multiple of 16 and at most {}, not {}; a "
                  "configuration with backend: reference serves it, slowly",
                  cpu::kHeadDimMax, config.head_dim));
}

// What keys and tensors are refused for. A file without tensors lacks many keys too: that follows.
void add_errors(const GgufFile& file, const std::vector<Error>& errors, Report& report) {
  constexpr std::size_t kErrorsMax = 12;  // a model of another kind has thousands of unknown tensors
  std::vector<std::string> problems;
  for (const Error& error : errors) {
    const bool follows = file.tensors().empty() && error.code != ErrorCode::unsupported;
    const std::string problem = sentence(error.message);
    if (!follows && !is_type_problem(file, problem)) problems.push_back(problem);
  }
  const std::size_t said = std::min(problems.size(), kErrorsMax);
  report.problems.insert(report.problems.end(), problems.begin(), problems.begin() + static_cast<std::ptrdiff_t>(said));
  if (problems.size() > said)
    report.problems.push_back(fmt::format("and {} more of that kind", grouped(problems.size() - said)));
}

void add_architecture(const GgufFile& file, const ReportOptions& options, Report& report) {
  std::vector<Error> errors;
  const Result<ModelConfig> config = read_model_config(file, &errors);
  if (file.tensors().empty()) {
    report.problems.emplace_back("the file has no tensors: it holds a vocabulary only");
  }
  add_type_problems(file, report);
  if (!config) {
    report.architecture = describe_keys(file);
    add_errors(file, errors, report);
    return;
  }
  report.architecture = describe_config(file, *config);
  add_kernel_problems(*config, report);
  for (const KvFormat& format : kKvFormats) {
    if (format.served != KvServed::planned)
      report.memory.push_back(memory_of(file, *config, format, options.block_tokens));
  }
  if (options.digest) report.file.weights_digest = to_hex(weights_digest(file, *config).bytes);
}

std::optional<Report::Token> token(const VocabularyData& data, std::optional<TokenId> id) {
  if (!id) return std::nullopt;
  return Report::Token{*id, data.tokens[static_cast<std::size_t>(*id)]};
}

Report::Tokenizer describe_vocabulary(const VocabularyData& data) {
  Report::Tokenizer out;
  out.model = data.model;
  out.pre = data.pre;
  out.tokens = data.tokens.size();
  out.merges = data.merges.size();
  out.control_tokens = static_cast<std::uint64_t>(std::count(data.types.begin(), data.types.end(), TokenType::control));
  out.bos = token(data, data.bos);
  out.eos = token(data, data.eos);
  out.eot = token(data, data.eot);
  out.adds_bos = data.add_bos;
  return out;
}

void complete(Report::Tokenizer& out, const Tokenizer& tokenizer) {
  out.loads = true;
  out.adds_bos = tokenizer.add_bos();
  for (auto* special : {&out.bos, &out.eos, &out.eot}) {
    if (*special) (*special)->text = tokenizer.bytes((*special)->id);
  }
  for (TokenId id = 0; id < static_cast<TokenId>(tokenizer.size()); ++id) {
    if (tokenizer.is_end_of_generation(id)) out.ends.push_back({id, std::string(tokenizer.bytes(id))});
  }
}

void add_tokenizer(const GgufFile& file, Report& report) {
  Result<VocabularyData> data = read_vocabulary(file);
  if (!data) {
    report.problems.push_back(sentence(data.error().message));
    return;
  }
  report.tokenizer = describe_vocabulary(*data);
  const auto tokenizer = Tokenizer::load(std::move(*data));
  if (!tokenizer) {
    report.problems.push_back(sentence(tokenizer.error().message));
    return;
  }
  complete(*report.tokenizer, **tokenizer);
  if (report.tokenizer->ends.empty()) {
    report.limits.emplace_back(
        "the vocabulary names no token that ends an answer: answers end at max_tokens or a stop text");
  }
}

// As the server prints them: a token's bytes, whatever the file's way to write them.
std::string text_of(const std::optional<Report::Token>& token) { return token ? token->text : ""; }

void add_template(const GgufFile& file, Report& report) {
  const auto source = file.get_string("tokenizer.chat_template");
  const auto& tokenizer = report.tokenizer;
  report.chat_template =
      describe_template(source, tokenizer ? text_of(tokenizer->bos) : "", tokenizer ? text_of(tokenizer->eos) : "");
  const std::string& refusal = report.chat_template.refusal;
  if (!refusal.empty()) report.problems.push_back("chat template: " + sentence(refusal));
  if (file.tensors().empty()) return;  // nothing is served anyway
  for (std::string& limit : report.chat_template.limits()) report.limits.push_back(std::move(limit));
}

}  // namespace

std::uint64_t weights_bytes(const GgufFile& file, std::string_view backend) {
  std::uint64_t bytes = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    const bool packed = backend == "cpu" && tensor.dims.size() == 2;
    bytes += packed ? PackedMatrix::packed_bytes(tensor) : tensor.elements() * sizeof(float);
  }
  return bytes;
}

ModelReport describe_model(const GgufFile& file, const ReportOptions& options) {
  ModelReport report;
  report.path = file.parts()[0].path;
  report.file = describe_file(file);
  add_architecture(file, options, report);
  add_tokenizer(file, report);
  add_template(file, report);
  return report;
}

}  // namespace kvasir
