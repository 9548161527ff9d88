#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "engine/text/tokenizer.h"
#include "gateway/inspect/template_report.h"

namespace kvasir {

// What a GGUF file is, what kvasir does with it and what it cannot do, told from metadata and tensor entries alone: no
// weight is read. A value; its texts are the file's own and are to be printed by to_text() and to_json() only.
struct ModelReport {
  // All tensors of one type.
  struct TypeShare {
    std::string type;
    bool loads = false;
    std::uint64_t tensors = 0, elements = 0;
    std::uint64_t bytes = 0;  // 0 for a type whose size is not known
  };
  struct Part {
    std::string path;
    std::uint64_t bytes = 0;
  };
  struct File {
    std::string name, license;  // general.*
    std::uint32_t version = 0;
    std::vector<Part> parts;
    std::uint64_t bytes = 0, tensors = 0, parameters = 0;
    std::vector<TypeShare> types;  // most bytes first
    std::string weights_digest;    // hex; empty unless asked for: it reads every byte
  };
  // From the configuration where it can be read, else from the keys as they stand: then some may be missing.
  struct Architecture {
    std::string family;  // general.architecture
    bool known = false;  // it could be read
    std::optional<std::uint64_t> layers, hidden, ffn, heads, kv_heads, head_dim, context_tokens, vocabulary;
    std::optional<double> rope_base, local_rope_base;  // local: of layers with a window
    std::string rope_scaling;                          // "none", "linear, 8 times", ...
    std::uint64_t sliding_window = 0, windowed_layers = 0;
    bool tied_output = false;
    std::vector<std::string> features;  // "biases of q, k and v", ...
  };
  struct Token {
    TokenId id = 0;
    std::string text;
  };
  struct Tokenizer {
    std::string model, pre;  // as the file says
    std::uint64_t tokens = 0, merges = 0, control_tokens = 0;
    std::optional<Token> bos, eos, eot;
    std::vector<Token> ends;  // tokens that end an answer; empty when it does not load
    std::optional<bool> adds_bos;
    bool loads = false;
  };
  // What one backend needs.
  struct Memory {
    std::string backend, kv_type;
    std::uint64_t weights = 0;     // bytes, as the backend keeps them
    std::uint64_t kv_token = 0;    // bytes of a token's K and V
    std::uint64_t kv_context = 0;  // bytes of one request of the whole context
  };

  std::string path;
  File file;
  Architecture architecture;
  std::optional<Tokenizer> tokenizer;  // nothing: the file has none
  TemplateReport chat_template;
  std::vector<Memory> memory;         // empty when the architecture is not known
  std::vector<std::string> problems;  // sentences: why it cannot be served; empty: it can
  std::vector<std::string> limits;    // sentences: what of kvasir it cannot do

  bool served() const { return problems.empty(); }
};

struct ReportOptions {
  bool digest = false;
  std::uint32_t block_tokens = 32;
};

ModelReport describe_model(const GgufFile& file, const ReportOptions& options = {});

std::string to_text(const ModelReport& report);  // aligned lines for a person
std::string to_json(const ModelReport& report);  // one object on one line

// Bytes of a model's weights as the backend ("cpu" or "reference") keeps them. REQUIRES: read_model_config succeeds.
std::uint64_t weights_bytes(const GgufFile& file, std::string_view backend);

}  // namespace kvasir
