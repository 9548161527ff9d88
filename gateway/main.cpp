#include <string>

#include <CLI/CLI.hpp>

#include "gateway/commands/commands.h"
#include "gateway/version.h"

int main(int argc, char** argv) {
  CLI::App app{"kvasir: an LLM endpoint with a prefix cache that survives restarts", "kvasir"};
  app.set_version_flag("--version", std::string("kvasir ") + kvasir::kVersion + " (" + kvasir::kRevision + ")");
  app.require_subcommand(1);
  kvasir::add_serve_command(app);
  kvasir::add_config_command(app);
  kvasir::add_tokenize_command(app);
  kvasir::add_render_command(app);
  kvasir::add_score_command(app);
  kvasir::add_model_command(app);
  kvasir::add_plan_command(app);
  kvasir::add_simulate_command(app);
  CLI11_PARSE(app, argc, argv);
  return 0;
}
