#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/request_trace.h"
#include "storage/base/result.h"

namespace kvasir {

// One request as a line of a trace, without the line's end. `arrived_ms`: since the Unix epoch.
std::string trace_line(const RequestTrace& trace, std::string_view model, std::uint32_t block_tokens,
                       double arrived_ms);

// Appends what engines tell of their requests to a file that `kvasir simulate` reads (storage/simulator/README.md): a
// line of JSON each, keys of blocks and lengths, no text and no tokens. A thread of its own writes; engines only queue.
// Requests never notice what goes wrong here: it is logged the first time, and counted.
//
// A file that would grow past `bytes_max` is renamed to PATH.1, in place of the one before, and begun anew. What a
// crash left of a line at the file's end is cut off when it is opened.
class TraceRecorder {
 public:
  struct Counts {
    std::uint64_t recorded = 0;  // on file
    std::uint64_t dropped = 0;   // came faster than they could be written
    std::uint64_t failed = 0;    // that the file did not take
  };

  static Result<std::unique_ptr<TraceRecorder>> open(const std::string& path, std::uint64_t bytes_max);
  ~TraceRecorder();  // writes what is queued
  TraceRecorder(const TraceRecorder&) = delete;
  TraceRecorder& operator=(const TraceRecorder&) = delete;

  // Where an engine tells its requests; the recorder outlives it.
  std::unique_ptr<RequestTraceSink> sink(std::string model, std::uint32_t block_tokens);
  Counts counts() const;
  void flush();  // returns when all that was queued is written or failed

 private:
  class Sink;
  struct Source {
    std::string model;
    std::uint32_t block_tokens;
  };
  struct Queued {
    std::shared_ptr<const Source> from;
    RequestTrace trace;
  };
  TraceRecorder(std::string path, std::uint64_t bytes_max, int file, std::uint64_t bytes);
  void queue(Queued one);
  void loop();
  std::string lines_of(const std::vector<Queued>& queued) const;
  bool write(std::string_view lines);
  bool rotate();

  const std::string path_;
  const std::uint64_t bytes_max_;
  const TimePoint opened_;
  const double opened_ms_;   // since the Unix epoch
  int file_;                 // this and below: the thread's
  std::uint64_t bytes_ = 0;  // that the file has
  bool complained_ = false;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Queued> queue_;  // below: guarded by mutex_
  std::size_t queued_blocks_ = 0;
  bool writing_ = false, stopping_ = false;
  Counts counts_;
  std::thread thread_;
};

}  // namespace kvasir
