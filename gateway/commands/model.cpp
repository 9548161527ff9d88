#include <cstdio>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "gateway/commands/commands.h"
#include "gateway/inspect/model_report.h"
#include "gateway/inspect/shown.h"

namespace kvasir {
namespace {

constexpr int kNotServed = 1;
constexpr int kBadModel = 2;

struct Options {
  std::string model;
  bool json = false, digest = false;
};

void run(const Options& options) {
  const auto file = GgufFile::open(options.model);
  if (!file) {
    fmt::print(stderr, "kvasir model: {}\n", shown(file.error().message, 2000));
    throw CLI::RuntimeError(kBadModel);
  }
  const ModelReport report = describe_model(**file, {.digest = options.digest});
  fmt::print("{}", options.json ? to_json(report) + "\n" : to_text(report));
  if (!report.served()) throw CLI::RuntimeError(kNotServed);
}

}  // namespace

void add_model_command(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "model",
      "What a GGUF file is, what kvasir does with it and what it cannot, from its metadata alone. Exit codes: 0 it can "
      "be served, 1 it cannot (the report says why), 2 no report: the file cannot be read");
  command->add_option("file", options->model, "GGUF file; any part of a split one")->required();
  command->add_flag("--json", options->json, "one JSON object");
  command->add_flag("--digest", options->digest, "the digest of the weights too, which reads all of them");
  command->callback([options] { run(*options); });
}

}  // namespace kvasir
