#include "gateway/log.h"

#include <atomic>
#include <memory>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "gateway/json/json.h"

namespace kvasir {
namespace {

std::atomic<bool> json_lines{false};  // set once by init_log

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789.") == std::string::npos;
}

// The message as members of the line's object: an event's own, else "message".
class JsonMessageFlag final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& msg, const std::tm&, spdlog::memory_buf_t& out) override {
    const std::string_view payload(msg.payload.data(), msg.payload.size());
    std::string text(payload);
    if (!payload.starts_with("\"event\":")) {
      text = "\"message\":";
      append_json_string(text, payload);
    }
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<JsonMessageFlag>(); }
};

}  // namespace

void init_log(const LogConfig& config) {
  auto logger = std::make_shared<spdlog::logger>("kvasir", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_level(spdlog::level::from_str(config.level));
  json_lines = config.format == "json";
  if (json_lines) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<JsonMessageFlag>('*').set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%*})");
    logger->set_formatter(std::move(formatter));
  } else {
    logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%l%$ %v");
  }
  spdlog::set_default_logger(std::move(logger));
}

void log_event(std::string_view event, const LogFields& fields) {
  std::string line = json_lines ? "\"event\":" : "";
  json_lines ? append_json_string(line, event) : void(line += event);
  for (const auto& [name, value] : fields) {
    if (!json_lines) {
      line.append(" ").append(name).append("=").append(value);
      continue;
    }
    line += ',';
    append_json_string(line, name);
    line += ':';
    is_number(value) ? void(line += value) : append_json_string(line, value);
  }
  spdlog::info("{}", line);
}

}  // namespace kvasir
