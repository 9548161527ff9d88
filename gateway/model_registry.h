#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/schema.h"
#include "engine/engine.h"
#include "engine/text/calls/reply_format.h"
#include "engine/text/chat_template.h"
#include "engine/text/template_features.h"
#include "engine/text/tokenizer.h"
#include "gateway/trace_recorder.h"
#include "storage/tiers/disk_tier.h"

namespace kvasir {

// One served model: text in front of its engine. Immutable once loaded; any thread may use it.
struct Model {
  std::string name;  // what clients say in "model"
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ChatTemplate> chat_template;  // null: the file has none, so no chat
  std::string bos_text, eos_text;               // as templates print them
  TemplateFeatures template_features;           // of the chat template
  ReplyFormat reply_format;                     // how its replies hold reasoning and tool calls
  std::vector<TokenId> stop_tokens;             // end-of-generation ids
  std::string system_fingerprint;               // "fp_..." of what decides the answer's bits
  std::string summary;                          // for the ready line: backend and context
  std::int64_t created = 0;                     // Unix seconds of loading
  std::unique_ptr<Backend> backend;             // outlives the engine below
  std::unique_ptr<RequestTraceSink> traces;     // this too; null: requests are not recorded
  std::unique_ptr<Engine> engine;
};

// The models of a configuration, in its order.
class ModelRegistry {
 public:
  void add(std::unique_ptr<Model> model) { models_.push_back(std::move(model)); }
  const Model* find(std::string_view name) const;
  const std::vector<std::unique_ptr<Model>>& models() const { return models_; }
  void drain();  // no new work; what runs goes on

 private:
  std::vector<std::unique_ptr<Model>> models_;
};

// A model from its GGUF file: tokenizer, chat template, backend, engine. The host tier's capacity is shared out evenly
// between the models. `disk` and `recorder` may be null and outlive the model. Errors name the file and what is wrong
// with it.
Result<std::unique_ptr<Model>> load_model(const ModelEntry& entry, const Config& config, DiskTier* disk,
                                          TraceRecorder* recorder = nullptr);

// "models/SmolLM2-135M-Instruct.Q4_1.gguf" -> "SmolLM2-135M-Instruct.Q4_1".
std::string model_name_of_file(std::string_view path);

}  // namespace kvasir
