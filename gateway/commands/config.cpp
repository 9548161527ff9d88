#include <cstdio>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "config/load.h"
#include "gateway/commands/commands.h"

namespace kvasir {
namespace {

constexpr int kBadConfiguration = 2;

void check(const std::string& file) {
  try {
    const Config config = load_config(file);
    fmt::print("{}: OK: listen {}, {} models, {} tenants, host tier {} bytes, disk tier {}\n", file, config.listen,
               config.models.size(), config.tenants.size(), config.cache.host.capacity,
               config.cache.disk.path.empty()
                   ? "off"
                   : fmt::format("{} bytes in {}", config.cache.disk.capacity, config.cache.disk.path));
  } catch (const ConfigError& e) {
    fmt::print(stderr, "{}\n", e.what());
    throw CLI::RuntimeError(kBadConfiguration);
  }
}

}  // namespace

void add_config_command(CLI::App& app) {
  CLI::App* config = app.add_subcommand("config", "Work with configuration files");
  config->require_subcommand(1);
  CLI::App* command = config->add_subcommand("check", "Say whether a configuration file is valid (exit code 0 or 2)");
  const auto file = std::make_shared<std::string>();
  command->add_option("file", *file, "The YAML file")->required();
  command->callback([file] { check(*file); });
}

}  // namespace kvasir
