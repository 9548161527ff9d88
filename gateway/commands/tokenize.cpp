#include <charconv>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "engine/model/gguf.h"
#include "engine/model/model_config.h"
#include "engine/text/tokenizer.h"
#include "gateway/commands/commands.h"
#include "gateway/commands/json_lines.h"

namespace kvasir {
namespace {

struct Options {
  std::string model;
  bool special = false;
  bool detokenize = false;
};

Result<std::unique_ptr<Tokenizer>> load_tokenizer(const std::string& path) {
  const auto file = GgufFile::open(path);
  if (!file) return file.error();
  auto vocabulary = read_vocabulary(**file);
  if (!vocabulary) return vocabulary.error();
  return Tokenizer::load(std::move(*vocabulary));
}

Result<Value> to_ids(const Tokenizer& tokenizer, const Value::Object& request, bool special) {
  const Value* member = request.find("text");
  const std::string* text = member ? member->as_string() : nullptr;
  if (!text) return error(ErrorCode::invalid_argument, "text must be a string", "text");
  Value::Array ids;
  for (const TokenId id : special ? tokenizer.encode_with_specials(*text) : tokenizer.encode(*text))
    ids.emplace_back(std::int64_t{id});
  Value::Object answer;
  answer.set("ids", std::move(ids));
  return Value(std::move(answer));
}

// A token id of this vocabulary, or nothing.
std::optional<TokenId> as_id(const Tokenizer& tokenizer, const Value& value) {
  const Value::Number* number = value.as_number();
  if (!number) return std::nullopt;
  TokenId id = 0;
  const char* end = number->text.data() + number->text.size();
  const auto [stop, failed] = std::from_chars(number->text.data(), end, id);
  const bool good =
      failed == std::errc() && stop == end && id >= 0 && static_cast<std::uint32_t>(id) < tokenizer.size();
  return good ? std::optional(id) : std::nullopt;
}

Result<Value> to_text(const Tokenizer& tokenizer, const Value::Object& request) {
  const Value* member = request.find("ids");
  const Value::Array* array = member ? member->as_array() : nullptr;
  if (!array) return error(ErrorCode::invalid_argument, "ids must be an array of integers", "ids");
  std::vector<TokenId> ids;
  for (const Value& value : *array) {
    const auto id = as_id(tokenizer, value);
    if (!id)
      return error(ErrorCode::invalid_argument, "ids[" + std::to_string(ids.size()) +
                                                    "] must be an integer from 0 to " +
                                                    std::to_string(tokenizer.size() - 1));
    ids.push_back(*id);
  }
  Value::Object answer;
  answer.set("text", tokenizer.decode(ids));
  return Value(std::move(answer));
}

void run(const Options& options) {
  const auto tokenizer = load_tokenizer(options.model);
  if (!tokenizer) {
    std::cerr << "kvasir tokenize: " << tokenizer.error().message << "\n";
    throw CLI::RuntimeError(2);
  }
  const bool good = answer_json_lines(std::cin, std::cout, [&](const Value::Object& request) {
    return options.detokenize ? to_text(**tokenizer, request) : to_ids(**tokenizer, request, options.special);
  });
  if (!good) throw CLI::RuntimeError(1);
}

}  // namespace

void add_tokenize_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("tokenize",
                                         "text to token ids: reads JSON lines {\"text\": ...} on stdin, writes "
                                         "{\"ids\": [...]} for each, in order; a line "
                                         "that cannot be answered gets {\"error\": ...}, and the exit code is 1 then");
  command->add_option("--model", options->model, "GGUF file whose tokenizer to use")->required();
  CLI::Option* special = command->add_flag("--special", options->special, "recognise special tokens in the text");
  command->add_flag("--detokenize", options->detokenize, "the other way: {\"ids\": [...]} to {\"text\": ...}")
      ->excludes(special);
  command->callback([options] { run(*options); });
}

}  // namespace kvasir
