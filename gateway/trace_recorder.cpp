#include "gateway/trace_recorder.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/json_writer.h"
#include "storage/base/hash.h"

namespace kvasir {
namespace {

constexpr std::size_t kQueuedBlocksMax = std::size_t{1} << 20;  // 32 MiB of keys
constexpr std::size_t kKeyBytes = 8;                            // of a key that stand in a trace
constexpr std::size_t kTailBytes = 64 << 10;

double unix_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double ms_between(TimePoint from, TimePoint to) { return 1000 * seconds_between(from, to); }

std::string_view finish_of(RequestEnd end) {
  switch (end) {
    case RequestEnd::unknown:
      return "";
    case RequestEnd::tool_use:
      return "tool_use";
    case RequestEnd::end_turn:
      return "end_turn";
    case RequestEnd::length:
      return "length";
    case RequestEnd::cancelled:
      return "cancelled";
  }
  KVASIR_ASSERT(false);
}

std::string text_of(const BlockKey& key) { return to_hex(std::span(key.bytes).first(kKeyBytes)); }

void write_keys(JsonWriter& out, std::string_view name, std::span<const BlockKey> keys) {
  out.key(name).begin_array();
  for (const BlockKey& key : keys) out.value(text_of(key));
  out.end_array();
}

Error failure(const std::string& path, const char* what) {
  return error(ErrorCode::io, fmt::format("cache.trace_file: cannot {} {}: {}", what, path, std::strerror(errno)));
}

// Cuts off what follows the last line's end; returns the bytes that are left, or nothing.
std::optional<std::uint64_t> cut_torn_line(int file) {
  struct stat status {};
  if (fstat(file, &status) != 0) return std::nullopt;
  if (!S_ISREG(status.st_mode)) return 0;
  auto end = static_cast<std::uint64_t>(status.st_size);
  std::string part;
  while (end > 0) {
    const std::uint64_t from = end - std::min<std::uint64_t>(end, kTailBytes);
    part.resize(end - from);
    if (pread(file, part.data(), part.size(), static_cast<off_t>(from)) != static_cast<ssize_t>(part.size()))
      return std::nullopt;
    const std::size_t line_end = part.rfind('\n');
    end = line_end == std::string::npos ? from : from + line_end + 1;
    if (line_end != std::string::npos) break;
  }
  if (end == static_cast<std::uint64_t>(status.st_size)) return end;
  if (ftruncate(file, static_cast<off_t>(end)) != 0) return std::nullopt;
  return end;
}

int open_file(const std::string& path) { return ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600); }

}  // namespace

std::string trace_line(const RequestTrace& trace, std::string_view model, std::uint32_t block_tokens,
                       double arrived_ms) {
  JsonWriter out;
  out.begin_object();
  out.key("timestamp_ms").raw(fmt::format("{:.3f}", arrived_ms));
  out.key("api_ms").raw(fmt::format("{:.3f}", ms_between(trace.times.arrived, trace.times.finished)));
  out.member("model", model).member("block_tokens", block_tokens);
  out.member("input_tokens", trace.usage.prompt_tokens).member("output_tokens", trace.outcome.output_tokens);
  if (const std::string_view finish = finish_of(trace.outcome.end); !finish.empty()) out.member("finish", finish);
  out.member("host_tokens", trace.usage.cached[0]).member("disk_tokens", trace.usage.cached[1]);
  const auto blocks = std::span(trace.blocks);
  write_keys(out, "hash_ids", blocks.first(trace.prompt_blocks));
  write_keys(out, "answer_hash_ids", blocks.subspan(trace.prompt_blocks));
  out.member("tail_tokens", trace.tail_tokens);
  if (trace.tail) out.member("tail_hash_id", text_of(*trace.tail));
  if (trace.copied) out.member("copied_hash_id", text_of(*trace.copied));
  return out.end_object().take();
}

class TraceRecorder::Sink final : public RequestTraceSink {
 public:
  Sink(TraceRecorder& recorder, Source source)
      : recorder_(recorder), source_(std::make_shared<const Source>(std::move(source))) {}
  void record(RequestTrace trace) override { recorder_.queue({source_, std::move(trace)}); }

 private:
  TraceRecorder& recorder_;
  std::shared_ptr<const Source> source_;
};

Result<std::unique_ptr<TraceRecorder>> TraceRecorder::open(const std::string& path, std::uint64_t bytes_max) {
  const int file = open_file(path);
  if (file < 0) return failure(path, "open");
  const std::optional<std::uint64_t> bytes = cut_torn_line(file);
  if (bytes) return std::unique_ptr<TraceRecorder>(new TraceRecorder(path, bytes_max, file, *bytes));
  Error failed = failure(path, "read");
  ::close(file);
  return failed;
}

TraceRecorder::TraceRecorder(std::string path, std::uint64_t bytes_max, int file, std::uint64_t bytes)
    : path_(std::move(path)),
      bytes_max_(bytes_max),
      opened_(Clock::now()),
      opened_ms_(unix_ms()),
      file_(file),
      bytes_(bytes),
      thread_([this] { loop(); }) {}

TraceRecorder::~TraceRecorder() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  if (file_ >= 0) ::close(file_);
}

std::unique_ptr<RequestTraceSink> TraceRecorder::sink(std::string model, std::uint32_t block_tokens) {
  return std::make_unique<Sink>(*this, Source{std::move(model), block_tokens});
}

TraceRecorder::Counts TraceRecorder::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void TraceRecorder::flush() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queue_.empty() && !writing_; });
}

void TraceRecorder::queue(Queued one) {
  {
    const std::lock_guard lock(mutex_);
    const std::size_t blocks = one.trace.blocks.size() + 1;
    if (queued_blocks_ + blocks > kQueuedBlocksMax) {
      ++counts_.dropped;
      return;
    }
    queued_blocks_ += blocks;
    queue_.push_back(std::move(one));
  }
  changed_.notify_all();
}

void TraceRecorder::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const std::vector<Queued> queued = std::exchange(queue_, {});
    queued_blocks_ = 0;
    writing_ = true;
    lock.unlock();
    const bool written = write(lines_of(queued));
    lock.lock();
    (written ? counts_.recorded : counts_.failed) += queued.size();
    writing_ = false;
    changed_.notify_all();
  }
}

std::string TraceRecorder::lines_of(const std::vector<Queued>& queued) const {
  std::string lines;
  for (const Queued& one : queued) {
    const double arrived_ms = opened_ms_ + ms_between(opened_, one.trace.times.arrived);
    lines += trace_line(one.trace, one.from->model, one.from->block_tokens, arrived_ms);
    lines += '\n';
  }
  return lines;
}

// All of it or nothing, so that no line is torn.
bool TraceRecorder::write(std::string_view lines) {
  if (bytes_ > 0 && bytes_ + lines.size() > bytes_max_ && !rotate()) return false;
  std::size_t done = 0;
  while (file_ >= 0 && done < lines.size()) {
    const ssize_t written = ::write(file_, lines.data() + done, lines.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    done += static_cast<std::size_t>(written);
  }
  if (done == lines.size()) {
    bytes_ += done;
    return true;
  }
  if (!std::exchange(complained_, true))
    spdlog::warn("{}; requests are not recorded, more such failures are only counted", failure(path_, "write").message);
  if (done > 0 && ftruncate(file_, static_cast<off_t>(bytes_)) != 0) bytes_ += done;
  return false;
}

bool TraceRecorder::rotate() {
  if (file_ >= 0) ::close(file_);
  const bool moved = std::rename(path_.c_str(), (path_ + ".1").c_str()) == 0 || errno == ENOENT;
  file_ = open_file(path_);
  if (moved && file_ >= 0) {
    bytes_ = 0;
    return true;
  }
  if (!std::exchange(complained_, true))
    spdlog::warn("{}; requests are not recorded, more such failures are only counted",
                 failure(path_, "begin a new").message);
  return false;
}

}  // namespace kvasir
