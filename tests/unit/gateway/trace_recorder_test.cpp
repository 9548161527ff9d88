#include "gateway/trace_recorder.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/simulate/trace_reader.h"
#include "tests/support/temp_dir.h"

namespace kvasir::testing {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

BlockKey key(std::uint8_t first) {
  BlockKey made;
  made.bytes[0] = first;
  made.bytes[7] = 0xab;
  made.bytes[8] = 0xff;  // not in a trace
  return made;
}

RequestTrace trace_of(std::uint8_t first, std::size_t blocks = 2) {
  RequestTrace trace;
  trace.times.arrived = Clock::now();
  trace.times.finished = trace.times.arrived + std::chrono::milliseconds(250);
  trace.usage = {.prompt_tokens = 40, .cached = {16, 0}, .computed = 24};
  trace.outcome = {RequestEnd::end_turn, 7};
  trace.prompt_blocks = 2;
  for (std::size_t i = 0; i < blocks; ++i) trace.blocks.push_back(key(static_cast<std::uint8_t>(first + i)));
  return trace;
}

class TraceRecorderTest : public ::testing::Test {
 protected:
  std::unique_ptr<TraceRecorder> open(std::uint64_t bytes_max = kMiB) {
    auto opened = TraceRecorder::open(path, bytes_max);
    KVASIR_ASSERT(opened.ok());
    return std::move(*opened);
  }
  static std::string text_of(const std::string& file) {
    std::ostringstream out;
    out << std::ifstream(file).rdbuf();
    return out.str();
  }

  TempDir dir;
  const std::string path = dir.path() + "/trace.jsonl";
};

TEST(TraceLine, HashesAndLengths) {
  RequestTrace trace = trace_of(1, 3);
  trace.tail_tokens = 5;
  trace.tail = key(9);
  trace.copied = key(8);
  EXPECT_EQ(trace_line(trace, "m", 16, 1732341139123.4567),
            R"({"timestamp_ms":1732341139123.457,"api_ms":250.000,"model":"m","block_tokens":16,"input_tokens":40,)"
            R"("output_tokens":7,"finish":"end_turn","host_tokens":16,"disk_tokens":0,)"
            R"("hash_ids":["01000000000000ab","02000000000000ab"],"answer_hash_ids":["03000000000000ab"],)"
            R"("tail_tokens":5,"tail_hash_id":"09000000000000ab","copied_hash_id":"08000000000000ab"})");
}

TEST_F(TraceRecorderTest, TheReaderReadsIt) {
  {
    const auto recorder = open();
    const auto sink = recorder->sink("m", 16);
    for (int i = 0; i < 100; ++i) sink->record(trace_of(static_cast<std::uint8_t>(i)));
    recorder->flush();
    EXPECT_EQ(recorder->counts().recorded, 100u);
  }
  open()->sink("m", 16)->record(trace_of(200));  // appended, and written before it is closed
  const Result<Trace> trace = read_trace(path, {});
  ASSERT_TRUE(trace.ok()) << trace.error().message;
  EXPECT_EQ(trace->requests.size(), 101u);
  EXPECT_EQ(trace->block_tokens, 16u);
  EXPECT_EQ(trace->requests[0].duration, std::chrono::milliseconds(250));
  EXPECT_EQ(trace->requests[0].outcome.end, RequestEnd::end_turn);
  EXPECT_LT(trace->span(), std::chrono::minutes(1));
}

TEST_F(TraceRecorderTest, ATornLineIsCutOff) {
  std::ofstream(path) << "{\"timestamp_ms\":1}\n{\"timest" << std::string(200'000, 'x');
  open()->sink("m", 16)->record(trace_of(1));
  EXPECT_THAT(text_of(path), ::testing::StartsWith("{\"timestamp_ms\":1}\n{\"timestamp_ms\":"));
  std::ofstream(path) << "no line at all";
  open()->sink("m", 16)->record(trace_of(1));
  EXPECT_THAT(text_of(path), ::testing::StartsWith("{\"timestamp_ms\":"));
}

TEST_F(TraceRecorderTest, AFullFileIsRenamed) {
  const auto recorder = open(1000);
  const auto sink = recorder->sink("m", 16);
  for (int i = 0; i < 50; ++i) {
    sink->record(trace_of(static_cast<std::uint8_t>(i)));
    recorder->flush();
  }
  EXPECT_EQ(recorder->counts().recorded, 50u);
  EXPECT_LE(std::filesystem::file_size(path), 1000u);
  EXPECT_LE(std::filesystem::file_size(path + ".1"), 1000u);
  EXPECT_TRUE(read_trace(path, {}).ok());
  EXPECT_TRUE(read_trace(path + ".1", {}).ok());
}

TEST_F(TraceRecorderTest, WhatTheDiskRefusesIsCounted) {
  auto opened = TraceRecorder::open("/dev/full", kMiB);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const auto sink = (*opened)->sink("m", 16);
  sink->record(trace_of(1));
  sink->record(trace_of(2));
  (*opened)->flush();
  EXPECT_EQ((*opened)->counts().recorded, 0u);
  EXPECT_EQ((*opened)->counts().failed, 2u);
}

TEST_F(TraceRecorderTest, AFolderThatIsNotThereIsNamed) {
  const auto opened = TraceRecorder::open(dir.path() + "/none/trace.jsonl", kMiB);
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, ::testing::HasSubstr("cache.trace_file: cannot open " + dir.path()));
}

TEST_F(TraceRecorderTest, ManyEnginesAtOnce) {
  const auto recorder = open(64 * kMiB);
  std::vector<std::thread> engines;
  for (int e = 0; e < 4; ++e)
    engines.emplace_back([&recorder, e] {
      const auto sink = recorder->sink("m" + std::to_string(e), 16);
      for (int i = 0; i < 500; ++i) sink->record(trace_of(static_cast<std::uint8_t>(i)));
    });
  for (std::thread& engine : engines) engine.join();
  recorder->flush();
  const TraceRecorder::Counts counts = recorder->counts();
  EXPECT_EQ(counts.recorded + counts.dropped, 2000u);
  const Result<Trace> trace = read_trace(path, {});
  ASSERT_TRUE(trace.ok()) << trace.error().message;
  EXPECT_EQ(trace->requests.size(), counts.recorded);
}

}  // namespace
}  // namespace kvasir::testing
