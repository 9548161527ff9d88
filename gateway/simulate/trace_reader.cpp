#include "gateway/simulate/trace_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>
#include <unordered_map>

#include "gateway/json/json.h"
#include "gateway/simulate/compressed_file.h"
#include "storage/base/ids.h"
#include "storage/simulator/scale.h"

namespace kvasir {
namespace {

using std::chrono::milliseconds;

constexpr JsonLimits kLineLimits{.depth_max = 64, .bytes_max = std::size_t{1} << 30, .values_max = 50'000'000};
constexpr std::uint32_t kBlockTokensMost = 4096;
constexpr double kMillisecondsMost = 1e14;
constexpr std::uint32_t kNoBlock = UINT32_MAX;             // before the first
constexpr std::size_t kBlocksMost = std::size_t{1} << 31;  // numbers are also token ids of the index

std::optional<double> number(const Value::Object& line, std::string_view name) {
  const Value* const member = line.find(name);
  const Value::Number* const n = member ? member->as_number() : nullptr;
  if (!n) return std::nullopt;
  double value = 0;
  const char* const end = n->text.data() + n->text.size();
  const auto [stop, failed] = std::from_chars(n->text.data(), end, value);
  return failed == std::errc() && stop == end && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<double> number(const Value::Object& line, std::string_view name, std::string_view other_name) {
  const auto found = number(line, name);
  return found ? found : number(line, other_name);
}

std::uint32_t to_count(double value) {
  return static_cast<std::uint32_t>(std::clamp(value, 0.0, static_cast<double>(UINT32_MAX)));
}

Duration to_duration(double ms) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(ms));
}

RequestEnd request_end(const Value* finish) {
  const std::string* const text = finish ? finish->as_string() : nullptr;
  if (!text) return RequestEnd::unknown;
  if (*text == "tool_use" || *text == "tool_calls") return RequestEnd::tool_use;
  if (*text == "end_turn" || *text == "stop") return RequestEnd::end_turn;
  if (*text == "length" || *text == "max_tokens") return RequestEnd::length;
  return *text == "cancelled" ? RequestEnd::cancelled : RequestEnd::unknown;
}

class TraceParser {
 public:
  TraceParser(std::string name, const TraceReadOptions& options) : options_(options) { trace_.name = std::move(name); }

  // What is wrong with the line, if anything.
  Status add(std::string_view text) {
    const Result<Value> value = parse_json(text, kLineLimits);
    if (!value) return value.error();
    const Value::Object* const line = value->as_object();
    if (!line) return error(ErrorCode::invalid_argument, "is no JSON object");
    const auto time = number(*line, "timestamp_ms", "timestamp");
    const auto input = number(*line, "input_tokens", "input_length");
    const Value* const ids = line->find("hash_ids");
    if (!time || *time < 0 || *time > kMillisecondsMost)
      return wrong("timestamp_ms", "must be a number of milliseconds");
    if (!input || *input < 0) return wrong("input_tokens", "must be a number of tokens");
    if (!ids || !ids->as_array()) return wrong("hash_ids", "must be an array: this tells blocks from one another");
    TraceRequest request;
    request.arrival = to_duration(*time);
    request.input_tokens = to_count(*input);
    request.outcome.output_tokens = to_count(number(*line, "output_tokens", "output_length").value_or(0));
    request.outcome.end = request_end(line->find("finish"));
    request.duration = duration_of(request, number(*line, "api_ms"));
    request.session = session_of(line->find("session"));
    if (trace_.block_tokens == 0) trace_.block_tokens = to_count(number(*line, "block_tokens").value_or(0));
    if (Status status = add_path(*ids->as_array(), request); !status) return status;
    if (Status status = add_answer(*line, request); !status) return status;
    trace_.requests.push_back(request);
    return Ok{};
  }

  Result<Trace> finish() {
    if (trace_.requests.empty()) return error(ErrorCode::invalid_argument, "has no requests");
    if (options_.block_tokens > 0) trace_.block_tokens = options_.block_tokens;
    if (trace_.block_tokens == 0) trace_.block_tokens = likely_block_tokens();
    if (trace_.block_tokens == 0)
      return error(ErrorCode::invalid_argument, "does not tell the tokens of a block; give --block-tokens");
    std::stable_sort(trace_.requests.begin(), trace_.requests.end(),
                     [](const TraceRequest& a, const TraceRequest& b) { return a.arrival < b.arrival; });
    const Duration first = trace_.requests.front().arrival;
    for (TraceRequest& request : trace_.requests) request.arrival -= first;
    trace_.unique_blocks = static_cast<std::uint32_t>(blocks_.size());
    trace_.sessions = static_cast<std::uint32_t>(sessions_.size());
    if (without_session_) derive_sessions(trace_);
    return std::move(trace_);
  }

 private:
  static Error wrong(std::string_view member, const std::string& what) {
    return error(ErrorCode::invalid_argument, std::string(member) + " " + what, std::string(member));
  }

  Duration duration_of(const TraceRequest& request, std::optional<double> api_ms) const {
    if (api_ms) return to_duration(std::clamp(*api_ms, 0.0, kMillisecondsMost));
    return options_.first_token + options_.output_token * request.outcome.output_tokens;
  }

  std::uint32_t session_of(const Value* session) {
    const std::string* const text = session ? session->as_string() : nullptr;
    if (!text) {
      without_session_ = true;
      return 0;
    }
    return sessions_.try_emplace(*text, static_cast<std::uint32_t>(sessions_.size())).first->second;
  }

  // A block is what it says and the block before it, whether the trace's ids tell contents or prefixes.
  Status add_path(const Value::Array& ids, TraceRequest& request) {
    request.first_block = trace_.blocks.size();
    request.blocks = static_cast<std::uint32_t>(ids.size());
    return add_blocks("hash_ids", ids, kNoBlock);
  }

  // What a server tells besides.
  Status add_answer(const Value::Object& line, TraceRequest& request) {
    const Value* const answer = line.find("answer_hash_ids");
    if (!answer) return Ok{};
    if (!answer->as_array()) return wrong("answer_hash_ids", "must be an array");
    request.recorded = true;
    if (std::uint64_t{request.blocks} * trace_.block_tokens > request.input_tokens)
      return wrong("hash_ids", "must be the prompt's full blocks, as there are answer_hash_ids");
    request.answer_blocks = static_cast<std::uint32_t>(answer->as_array()->size());
    request.ends_in_block = number(line, "tail_tokens").value_or(0) > 0;
    const auto path = trace_.path(request);
    if (Status status = add_blocks("answer_hash_ids", *answer->as_array(), path.empty() ? kNoBlock : path.back());
        !status)
      return status;
    if (const Value* const tail = line.find("tail_hash_id")) {
      const Result<std::uint32_t> block =
          block_of("tail_hash_id", *tail, trace_.blocks.size() > request.first_block ? trace_.blocks.back() : kNoBlock);
      if (!block) return block.error();
      trace_.blocks.push_back(*block);
      ++request.answer_blocks;
      request.tail = request.ends_in_block = true;
    }
    const Value* const copied = line.find("copied_hash_id");
    if (!copied || trace_.block_tokens == 0) return Ok{};
    const double cached = number(line, "host_tokens").value_or(0) + number(line, "disk_tokens").value_or(0);
    const std::uint32_t found = std::min(to_count(cached) / trace_.block_tokens, request.blocks);
    const Result<std::uint32_t> block =
        block_of("copied_hash_id", *copied, found > 0 ? trace_.path(request)[found - 1] : kNoBlock);
    if (!block) return block.error();
    request.copied = *block;
    return Ok{};
  }

  Status add_blocks(std::string_view member, const Value::Array& ids, std::uint32_t parent) {
    for (const Value& id : ids) {
      const Result<std::uint32_t> block = block_of(member, id, parent);
      if (!block) return block.error();
      trace_.blocks.push_back(*block);
      parent = *block;
    }
    return Ok{};
  }

  Result<std::uint32_t> block_of(std::string_view member, const Value& id, std::uint64_t parent) {
    const std::string* text = id.as_string();
    if (!text && id.as_number()) text = &id.as_number()->text;
    if (!text) return wrong(member, "must be numbers or strings");
    const auto content = contents_.try_emplace(*text, static_cast<std::uint32_t>(contents_.size())).first->second;
    const auto block =
        blocks_.try_emplace(parent << 32 | content, static_cast<std::uint32_t>(blocks_.size())).first->second;
    if (blocks_.size() >= kBlocksMost) return error(ErrorCode::too_large, "brings the trace to 2^31 blocks");
    return block;
  }

  // The power of two that explains most counts of blocks: a prompt's last block may be left out or be partial.
  std::uint32_t likely_block_tokens() const {
    std::uint32_t best = 0;
    std::size_t explained_most = 0;
    for (std::uint32_t tokens = 1; tokens <= kBlockTokensMost; tokens *= 2) {
      const auto explained = static_cast<std::size_t>(
          std::count_if(trace_.requests.begin(), trace_.requests.end(), [&](const TraceRequest& r) {
            return r.blocks > 0 &&
                   (r.blocks == r.input_tokens / tokens || r.blocks == div_ceil(r.input_tokens, tokens));
          }));
      if (explained <= explained_most) continue;
      explained_most = explained;
      best = tokens;
    }
    return best;
  }

  const TraceReadOptions options_;
  Trace trace_;
  std::unordered_map<std::string, std::uint32_t> contents_, sessions_;
  std::unordered_map<std::uint64_t, std::uint32_t> blocks_;  // by block before (none: 2^32 - 1) and content
  bool without_session_ = false;
};

std::string trace_name(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  for (const std::string_view ending : {".zst", ".jsonl"})
    if (name.size() > ending.size() && name.ends_with(ending)) name.resize(name.size() - ending.size());
  return name;
}

}  // namespace

Result<Trace> read_trace(const std::string& path, const TraceReadOptions& options) {
  const Result<std::string> text = read_file(path);
  if (!text) return text.error();
  Result<Trace> trace = parse_trace(trace_name(path), *text, options);
  if (!trace) return error(trace.error().code, path + " " + trace.error().message, trace.error().param);
  return trace;
}

Result<Trace> parse_trace(std::string name, std::string_view text, const TraceReadOptions& options) {
  TraceParser parser(std::move(name), options);
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::string_view one = text.substr(0, text.find('\n'));
    const bool has_end = one.size() < text.size();
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (!has_end && line > 1 && !parse_json(one, kLineLimits)) break;  // it is being written
    if (const Status status = parser.add(one); !status)
      return error(status.error().code, "line " + std::to_string(line) + ": " + status.error().message,
                   status.error().param);
  }
  return parser.finish();
}

}  // namespace kvasir
