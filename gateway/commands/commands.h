#pragma once

namespace CLI {
class App;
}

namespace kvasir {

// Each adds one subcommand to `app`; its callback does the work and throws CLI::RuntimeError(exit code) to fail.
// Exit codes: 0 done; 1 the work failed (message on stderr); 2 bad configuration or model file; CLI11's own (>= 100)
// for a wrong command line.
void add_serve_command(CLI::App& app);     // gateway/commands/serve.cpp
void add_config_command(CLI::App& app);    // gateway/commands/config.cpp
void add_tokenize_command(CLI::App& app);  // gateway/commands/tokenize.cpp
void add_render_command(CLI::App& app);    // gateway/commands/render.cpp
void add_score_command(CLI::App& app);     // gateway/commands/score.cpp
void add_model_command(CLI::App& app);     // gateway/commands/model.cpp
void add_plan_command(CLI::App& app);      // gateway/commands/plan.cpp
void add_simulate_command(CLI::App& app);  // gateway/commands/simulate.cpp

}  // namespace kvasir
