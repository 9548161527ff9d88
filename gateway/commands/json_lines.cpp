#include "gateway/commands/json_lines.h"

#include <istream>
#include <ostream>
#include <string>

#include "gateway/json/json.h"

namespace kvasir {
namespace {

constexpr JsonLimits kLineLimits{.depth_max = 200, .bytes_max = std::size_t{1} << 30, .values_max = 50'000'000};

Result<Value> answer_line(std::string_view line,
                          const std::function<Result<Value>(const Value::Object& request)>& answer) {
  const auto request = parse_json(line, kLineLimits);
  if (!request) return request.error();
  const Value::Object* object = request->as_object();
  if (!object) return error(ErrorCode::invalid_argument, "each line must be a JSON object");
  return answer(*object);
}

Value error_object(const std::string& message) {
  Value::Object object;
  object.set("error", message);
  return object;
}

}  // namespace

bool answer_json_lines(std::istream& in, std::ostream& out,
                       const std::function<Result<Value>(const Value::Object& request)>& answer) {
  bool good = true;
  for (std::string line; std::getline(in, line);) {
    const auto result = answer_line(line, answer);
    good = good && result.ok();
    out << to_json(result ? *result : error_object(result.error().message)) << '\n' << std::flush;
  }
  return good;
}

}  // namespace kvasir
