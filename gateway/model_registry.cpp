#include "gateway/model_registry.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>

#include <fmt/format.h>

#include "engine/cpu/cpu_backends.h"
#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "storage/base/hash.h"

namespace kvasir {
namespace {

// Of the renderings that find out about a template: a few words each, so far more than they take.
constexpr TemplateLimits kProbeLimits{.steps_max = 100'000, .output_bytes_max = 1u << 20};

Error in_file(const ModelEntry& entry, const Error& e) {
  return error(e.code, fmt::format("model '{}' ({}): {}", entry.name, entry.path, e.message), e.param);
}

BackendOptions backend_options(const Config& config) {
  BackendOptions options;
  options.threads = config.limits.threads;
  options.pin_threads = config.limits.pin_threads;
  options.block_tokens = config.cache.block_tokens;
  options.kv_type = config.cache.kv_type;
  options.pool_bytes = config.cache.host.capacity / std::max<std::size_t>(1, config.models.size());
  return options;
}

Result<std::unique_ptr<Backend>> make_backend(const ModelEntry& entry, const GgufFile& file, const ModelConfig& shape,
                                              const Config& config) {
  if (entry.backend == "reference") return make_reference_backend(file, shape, backend_options(config));
  return make_cpu_backend(file, shape, backend_options(config));
}

EngineConfig engine_config(const ModelEntry& entry, const Config& all) {
  const LimitsConfig& limits = all.limits;
  EngineConfig config;
  config.step_tokens_max = limits.step_tokens;
  config.itl_target = {limits.itl_target.factor, limits.itl_target.time};
  config.speculation = limits.speculation == "auto";
  config.running_max = limits.requests_running;
  config.waiting_max = limits.requests_waiting;
  config.context_tokens_max = entry.context_tokens;
  for (const TenantConfig& tenant : all.tenants) config.tenant_weights[tenant.name] = tenant.weight;
  return config;
}

PrefixCacheConfig cache_config(const CacheConfig& cache) {
  PrefixCacheConfig config;
  config.block_tokens = cache.block_tokens;
  config.policy = policy_kind(cache.policy).value();  // one of them, as the configuration was checked
  config.write_policy = cache.disk.write == "on_reuse" ? WritePolicy::on_reuse : WritePolicy::on_commit;
  return config;
}

std::string text_of(const Tokenizer& tokenizer, std::optional<TokenId> id) {
  return id ? std::string(tokenizer.bytes(*id)) : std::string();
}

Status load_text(Model& model, const GgufFile& file) {
  Result<VocabularyData> vocabulary = read_vocabulary(file);
  if (!vocabulary) return vocabulary.error();
  Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::load(std::move(*vocabulary));
  if (!tokenizer) return tokenizer.error();
  model.tokenizer = std::move(*tokenizer);
  model.bos_text = text_of(*model.tokenizer, model.tokenizer->bos());
  model.eos_text = text_of(*model.tokenizer, model.tokenizer->eos());
  for (TokenId id = 0; id < static_cast<TokenId>(model.tokenizer->size()); ++id)
    if (model.tokenizer->is_end_of_generation(id)) model.stop_tokens.push_back(id);
  const auto source = file.get_string("tokenizer.chat_template");
  if (!source) return Ok{};
  Result<std::unique_ptr<ChatTemplate>> compiled = ChatTemplate::compile(*source);
  if (!compiled) return error(compiled.error().code, "chat template: " + compiled.error().message);
  model.chat_template = std::move(*compiled);
  const Result<std::unique_ptr<ChatTemplate>> probed = ChatTemplate::compile(*source, kProbeLimits);
  if (!probed) return probed.error();
  model.template_features = detect_template_features(**probed, model.bos_text, model.eos_text);
  model.reply_format = detect_reply_format(**probed, *source, model.bos_text, model.eos_text);
  return Ok{};
}

std::int64_t unix_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

Status load_engine(Model& model, const ModelEntry& entry, const GgufFile& file, const Config& config, DiskTier* disk) {
  Result<ModelConfig> shape = read_model_config(file);
  if (!shape) return shape.error();
  // Hashing a large file takes as long as repacking it; the file's pages are in memory once for both.
  std::future<WeightsDigest> weights = std::async(std::launch::async, [&] { return weights_digest(file, *shape); });
  Result<std::unique_ptr<Backend>> backend = make_backend(entry, file, *shape, config);
  if (!backend) return backend.error();
  model.backend = std::move(*backend);
  const Fingerprint fingerprint = kv_fingerprint(weights.get(), model.backend->info());
  file.drop_pages();
  model.system_fingerprint = "fp_" + to_hex(std::span(fingerprint.bytes).first(6));
  EngineConfig settings = engine_config(entry, config);
  settings.traces = model.traces.get();
  model.engine = Engine::start(settings, *model.backend, fingerprint, cache_config(config.cache), disk);
  const BackendInfo& info = model.engine->backend();
  model.summary = fmt::format("{} {}, context {}, {} blocks of {} tokens", info.name, info.kernel_class,
                              model.engine->context_tokens(), model.backend->memory().block_count(), info.block_tokens);
  return Ok{};
}

}  // namespace

const Model* ModelRegistry::find(std::string_view name) const {
  for (const auto& model : models_)
    if (model->name == name) return model.get();
  return nullptr;
}

void ModelRegistry::drain() {
  for (const auto& model : models_) model->engine->drain();
}

Result<std::unique_ptr<Model>> load_model(const ModelEntry& entry, const Config& config, DiskTier* disk,
                                          TraceRecorder* recorder) {
  Result<std::unique_ptr<GgufFile>> file = GgufFile::open(entry.path);
  if (!file) return in_file(entry, file.error());
  auto model = std::make_unique<Model>();
  model->name = entry.name;
  if (recorder) model->traces = recorder->sink(entry.name, config.cache.block_tokens);
  model->created = unix_now();
  std::future<Status> text = std::async(std::launch::async, [&] { return load_text(*model, **file); });
  const Status engine = load_engine(*model, entry, **file, config, disk);
  if (const Status loaded = text.get(); !loaded) return in_file(entry, loaded.error());
  if (!engine) return in_file(entry, engine.error());
  return model;
}

std::string model_name_of_file(std::string_view path) { return std::filesystem::path(path).stem().string(); }

}  // namespace kvasir
