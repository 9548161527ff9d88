#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/null_backend.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"
#include "gateway/json/json.h"
#include "gateway/model_registry.h"

namespace kvasir::testing {

// One token per byte; 256 is <s> (BOS), 257 is </s> (end of generation).
class ByteTokenizer : public Tokenizer {
 public:
  static constexpr TokenId kBos = 256, kEos = 257;
  static constexpr std::uint32_t kSize = 258;
  std::vector<TokenId> encode(std::string_view text) const override {
    std::vector<TokenId> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  std::vector<TokenId> encode_with_specials(std::string_view text) const override {
    std::vector<TokenId> ids;
    for (std::size_t i = 0; i < text.size();) {
      const bool eos = text.substr(i).starts_with("</s>");
      ids.push_back(eos ? kEos : static_cast<unsigned char>(text[i]));
      i += eos ? 4 : 1;
    }
    return ids;
  }
  std::vector<TokenId> encode(const PromptText& prompt) const override { return encode(prompt.text()); }
  std::string_view bytes(TokenId id) const override {
    static const std::string all = [] {
      std::string s;
      for (int i = 0; i < 256; ++i) s += static_cast<char>(i);
      return s;
    }();
    if (id == kBos) return "<s>";
    if (id == kEos) return "</s>";
    return std::string_view(all).substr(static_cast<std::size_t>(id), 1);
  }
  std::string decode(std::span<const TokenId> ids) const override {
    std::string text;
    for (const TokenId id : ids) text += bytes(id);
    return text;
  }
  bool is_control(TokenId id) const override { return id >= kBos; }
  bool is_end_of_generation(TokenId id) const override { return id == kEos; }
  std::optional<TokenId> bos() const override { return kBos; }
  std::optional<TokenId> eos() const override { return kEos; }
  std::optional<TokenId> find(std::string_view) const override { return std::nullopt; }
  bool add_bos() const override { return false; }
  std::uint32_t size() const override { return kSize; }
};

// Prints "role=content;" for each message; refuses a message "refuse me".
class PlainTemplate final : public ChatTemplate {
 public:
  Result<PromptText> render(const Value& variables, std::string_view) const override {
    PromptText prompt;
    for (const Value& message : *variables.find("messages")->as_array()) {
      const std::string content = *message.find("content")->as_string();
      if (content == "refuse me") return error(ErrorCode::invalid_argument, "no such talk");
      prompt.segments.push_back({*message.find("role")->as_string() + "=", true});
      prompt.segments.push_back({content, false});
      prompt.segments.push_back({";", true});
    }
    return prompt;
  }
};

// An engine that does nothing by itself: the test plays it.
class ManualEngine final : public Engine {
 public:
  struct Call {
    GenerateRequest request;
    std::shared_ptr<TokenListener> listener;
    bool cancelled = false;
    std::optional<RequestEnd> told = {};
  };
  Result<SequenceId> submit(GenerateRequest request, std::shared_ptr<TokenListener> listener) override {
    if (refuse_from && calls.size() >= *refuse_from) return refusal;
    calls.push_back({std::move(request), std::move(listener)});
    return SequenceId{calls.size() - 1};
  }
  void cancel(SequenceId id) override { calls[static_cast<std::size_t>(id)].cancelled = true; }
  void tell_end(SequenceId id, RequestEnd end) override { calls[static_cast<std::size_t>(id)].told = end; }
  void drain() override {}
  EngineStats stats() const override { return stats_value; }
  const BackendInfo& backend() const override { return info; }
  std::uint32_t context_tokens() const override { return context; }

  void admit(std::size_t call, std::uint32_t host, std::uint32_t disk) {
    PromptUsage usage;
    usage.prompt_tokens = static_cast<std::uint32_t>(calls[call].request.prompt.size());
    usage.cached = {host, disk};
    usage.computed = usage.prompt_tokens - host - disk;
    calls[call].listener->on_admit(usage);
  }
  bool say(std::size_t call, std::string_view text) {
    for (const char c : text)
      if (!calls[call].listener->on_token(
              {static_cast<unsigned char>(c), -0.5f, {{static_cast<unsigned char>(c), -0.5f}, {'?', -1.5f}}}))
        return false;
    return true;
  }
  void finish(std::size_t call, FinishReason reason, std::string message = {}) {
    FinishInfo end;
    end.reason = reason;
    end.message = std::move(message);
    calls[call].listener->on_finish(end);
  }

  std::vector<Call> calls;
  std::optional<std::size_t> refuse_from;
  Error refusal{ErrorCode::queue_full, "the queue is full", ""};
  EngineStats stats_value;
  BackendInfo info;
  std::uint32_t context = 1000;
};

inline std::unique_ptr<Model> model_without_engine(const std::string& name) {
  auto model = std::make_unique<Model>();
  model->name = name;
  model->tokenizer = std::make_unique<ByteTokenizer>();
  model->chat_template = std::make_unique<PlainTemplate>();
  model->stop_tokens = {ByteTokenizer::kEos};
  model->system_fingerprint = "fp_test";
  model->created = 1700000000;
  return model;
}

inline Value json_of(const std::string& text) {
  Result<Value> value = parse_json(text);
  KVASIR_ASSERT(value.ok());
  return *value;
}

}  // namespace kvasir::testing
