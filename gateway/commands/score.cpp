#include "engine/score.h"

#include <charconv>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "engine/cpu/cpu_backends.h"
#include "engine/text/tokenizer.h"
#include "gateway/commands/commands.h"
#include "gateway/json/json.h"

namespace kvasir {

namespace {

struct Options {
  std::string model;
  std::string backend = "cpu";
  std::string kernels;
  std::string kv_type = "f16";
  std::uint32_t threads = 0;
  std::uint32_t greedy = 0;
  std::uint32_t top = 20;
  std::uint32_t chunk = 128;
};

constexpr int kWorkFailed = 1;
constexpr int kBadModel = 2;

[[noreturn]] void stop(const std::string& message, int exit_code) {
  std::cerr << "kvasir score: " << message << "\n";
  throw CLI::RuntimeError(exit_code);
}

template <class T>
T value_or_stop(Result<T> result) {
  if (!result) stop(result.error().message, kBadModel);
  return std::move(*result);
}

std::unique_ptr<Backend> make_backend(const GgufFile& file, const Options& options) {
  if (options.backend == "cuda") stop("this build has no cuda backend; take --backend cpu or reference", kBadModel);
  const ModelConfig config = value_or_stop(read_model_config(file));
  BackendOptions backend;
  backend.threads = options.threads;
  backend.kernel_class = options.kernels;
  backend.kv_type = options.kv_type;
  const auto make = options.backend == "reference" ? make_reference_backend : make_cpu_backend;
  return value_or_stop(make(file, config, backend));
}

Result<std::vector<TokenId>> read_ids(const Value& value) {
  const Value::Array* array = value.as_array();
  if (array == nullptr) return error(ErrorCode::invalid_argument, "ids must be an array of integers", "ids");
  std::vector<TokenId> ids;
  for (const Value& element : *array) {
    const Value::Number* number = element.as_number();
    const std::string text = number ? number->text : "";
    TokenId id = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (text.empty() || failed != std::errc() || end != text.data() + text.size()) {
      return error(ErrorCode::invalid_argument, fmt::format("ids[{}] is not a token id", ids.size()), "ids");
    }
    ids.push_back(id);
  }
  return ids;
}

std::string to_line(std::span<const TokenId> ids, const Score& score) {
  std::string top;
  for (const auto& [id, logprob] : score.top) top += fmt::format("{}[{},{:.9g}]", top.empty() ? "" : ",", id, logprob);
  return fmt::format(R"({{"ids":[{}],"mean_nll":{},"top":[{}],"greedy_ids":[{}]}})", fmt::join(ids, ","),
                     score.mean_nll ? fmt::format("{:.12g}", *score.mean_nll) : "null", top,
                     fmt::join(score.greedy_ids, ","));
}

// One model and what the lines are scored with.
class ScoreLines {
 public:
  explicit ScoreLines(const Options& options)
      : file_(value_or_stop(GgufFile::open(options.model))),
        backend_(make_backend(*file_, options)),
        scorer_(*backend_) {
    score_options_.chunk_tokens = options.chunk;
    score_options_.greedy = options.greedy;
    score_options_.top = options.top;
  }

  Result<std::string> answer(const std::string& line) {
    Result<Value> request = parse_json(line);
    if (!request) return std::move(request).error();
    Result<std::vector<TokenId>> ids = ids_of(*request);
    if (!ids) return std::move(ids).error();
    Result<Score> score = scorer_.score(*ids, score_options_);
    if (!score) return std::move(score).error();
    return to_line(*ids, *score);
  }

 private:
  Result<std::vector<TokenId>> ids_of(const Value& request) {
    const Value *ids = request.find("ids"), *text = request.find("text");
    if ((ids != nullptr) == (text != nullptr)) {
      return error(ErrorCode::invalid_argument, "a line is an object with either \"ids\" or \"text\"");
    }
    return ids != nullptr ? read_ids(*ids) : encode(*text);
  }

  Result<std::vector<TokenId>> encode(const Value& value) {
    const std::string* text = value.as_string();
    if (text == nullptr) return error(ErrorCode::invalid_argument, "text must be a string", "text");
    if (tokenizer_ == nullptr) {
      Result<VocabularyData> vocabulary = read_vocabulary(*file_);
      if (!vocabulary) return std::move(vocabulary).error();
      Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::load(std::move(*vocabulary));
      if (!tokenizer) return std::move(tokenizer).error();
      tokenizer_ = std::move(*tokenizer);
    }
    std::vector<TokenId> ids = tokenizer_->encode(*text);
    if (tokenizer_->add_bos() && tokenizer_->bos()) ids.insert(ids.begin(), *tokenizer_->bos());
    return ids;
  }

  std::unique_ptr<GgufFile> file_;
  std::unique_ptr<Tokenizer> tokenizer_;  // when the first text comes
  std::unique_ptr<Backend> backend_;
  Scorer scorer_;
  ScoreOptions score_options_;
};

void run(const Options& options) {
  ScoreLines lines(options);
  std::size_t failed = 0;
  for (std::string line; std::getline(std::cin, line);) {
    const Result<std::string> answer = lines.answer(line);
    failed += !answer;
    std::string out = answer ? *answer : R"({"error":)";
    if (!answer) append_json_string(out, answer.error().message);
    std::cout << out << (answer ? "\n" : "}\n") << std::flush;
  }
  if (failed > 0) stop(fmt::format("{} lines failed; their answers say why", failed), kWorkFailed);
}

}  // namespace

void add_score_command(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "score",
      "What a model says about token ids. Reads JSON lines {\"ids\": [...]} or {\"text\": \"...\"} on stdin and writes "
      "one "
      "line for each: {\"ids\", \"mean_nll\", \"top\": [[id, logprob]...], \"greedy_ids\"}, or {\"error\"}.\n"
      "mean_nll is null for a single id. Exit codes: 0 done, 1 a line failed, 2 the model or an option does not work.");
  command->add_option("--model", options->model, "GGUF file")->required();
  command->add_option("--backend", options->backend, "what computes")
      ->check(CLI::IsMember({"reference", "cpu", "cuda"}))
      ->capture_default_str();
  command->add_option("--greedy", options->greedy, "tokens to generate greedily, not stopping at end of generation")
      ->check(CLI::Range(0u, 1u << 20))
      ->capture_default_str();
  command->add_option("--top", options->top, "log-probabilities of the next token to report, best first")
      ->check(CLI::Range(0u, 1u << 20))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "compute threads; 0: one per core")
      ->check(CLI::Range(0u, 1024u))
      ->capture_default_str();
  command->add_option("--chunk", options->chunk, "prefill tokens of one step; changes no bit")
      ->check(CLI::Range(1u, 128u))
      ->capture_default_str();
  command->add_option("--kernels", options->kernels, "kernel class to force, as \"avx2\"; default: the best there is");
  command->add_option("--kv-type", options->kv_type, "how the cpu backend keeps KV")
      ->check(CLI::IsMember({"f16", "int8"}))
      ->capture_default_str();
  command->callback([options] { run(*options); });
}

}  // namespace kvasir
