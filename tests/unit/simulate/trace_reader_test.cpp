#include "gateway/simulate/trace_reader.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include "tests/support/temp_dir.h"

namespace kvasir::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Trace parsed(std::string_view text, const TraceReadOptions& options = {}) {
  Result<Trace> trace = parse_trace("t", text, options);
  EXPECT_TRUE(trace.ok()) << (trace ? "" : trace.error().message);
  return trace ? std::move(*trace) : Trace();
}

std::string refused(std::string_view text) {
  const Result<Trace> trace = parse_trace("t", text, {});
  return trace ? "" : trace.error().message;
}

constexpr std::string_view kTwo =
    R"({"timestamp_ms": 1500, "input_tokens": 40, "output_tokens": 5, "hash_ids": [7, 9], "session": "a"})"
    "\n"
    R"({"timestamp_ms": 1000.5, "input_tokens": 70, "output_tokens": 9, "hash_ids": [7, 9, 4, 1], "session": "b",)"
    R"( "finish": "tool_use", "api_ms": 250})"
    "\n";

TEST(TraceReader, ReadsWhatALineSays) {
  const Trace trace = parsed(kTwo);
  ASSERT_EQ(trace.requests.size(), 2u);
  EXPECT_EQ(trace.name, "t");
  EXPECT_EQ(trace.block_tokens, 16u);
  EXPECT_EQ(trace.unique_blocks, 4u);
  EXPECT_EQ(trace.sessions, 2u);
  const TraceRequest& first = trace.requests[0];  // in order of arrival, not of lines
  EXPECT_EQ(first.arrival, Duration(0));
  EXPECT_EQ(first.duration, std::chrono::milliseconds(250));
  EXPECT_EQ(first.input_tokens, 70u);
  EXPECT_EQ(first.outcome.output_tokens, 9u);
  EXPECT_EQ(first.outcome.end, RequestEnd::tool_use);
  const TraceRequest& second = trace.requests[1];
  EXPECT_EQ(second.arrival, std::chrono::microseconds(499'500));
  EXPECT_EQ(second.duration, std::chrono::milliseconds(500 + 5 * 20));
  EXPECT_EQ(second.outcome.end, RequestEnd::unknown);
  EXPECT_THAT(trace.path(second), ElementsAre(trace.path(first)[0], trace.path(first)[1]));
}

TEST(TraceReader, IdsMayTellContentsOnly) {
  const Trace trace =
      parsed(R"({"timestamp": 0, "input_length": 32, "output_length": 1, "hash_ids": ["aa", "bb"]})"
             "\n"
             R"({"timestamp": 1, "input_length": 32, "output_length": 1, "hash_ids": ["cc", "bb"]})"
             "\n\n"
             R"({"timestamp": 2, "input_length": 48, "output_length": 1, "hash_ids": ["aa", "bb", "bb"]})");
  EXPECT_EQ(trace.unique_blocks, 5u);  // "bb" after another block is another prefix
  EXPECT_EQ(trace.path(trace.requests[0])[1], trace.path(trace.requests[2])[1]);
  EXPECT_NE(trace.path(trace.requests[0])[1], trace.path(trace.requests[1])[1]);
}

TEST(TraceReader, BlockTokensAreGivenSaidOrGuessed) {
  const std::string_view said = R"({"timestamp_ms": 0, "input_tokens": 100, "hash_ids": [1, 2], "block_tokens": 48})";
  EXPECT_EQ(parsed(said).block_tokens, 48u);
  EXPECT_EQ(parsed(said, {.block_tokens = 50}).block_tokens, 50u);
  EXPECT_EQ(parsed(R"({"timestamp_ms": 0, "input_tokens": 6758, "hash_ids": [1,2,3,4,5,6,7,8,9,10,11,12,13,14]})")
                .block_tokens,
            512u);
  EXPECT_THAT(refused(R"({"timestamp_ms": 0, "input_tokens": 3, "hash_ids": []})"), HasSubstr("give --block-tokens"));
}

TEST(TraceReader, SessionsAreFollowedWhereNoneIsNamed) {
  const Trace trace = parsed(R"({"timestamp_ms": 0, "input_tokens": 32, "hash_ids": [1, 2]})"
                             "\n"
                             R"({"timestamp_ms": 1, "input_tokens": 32, "hash_ids": [8, 9]})"
                             "\n"
                             R"({"timestamp_ms": 2, "input_tokens": 48, "hash_ids": [1, 2, 3]})");
  EXPECT_EQ(trace.sessions, 2u);
  EXPECT_EQ(trace.requests[0].session, trace.requests[2].session);
  EXPECT_NE(trace.requests[0].session, trace.requests[1].session);
}

TEST(TraceReader, SaysWhichLineIsWrong) {
  const std::string good = R"({"timestamp_ms": 0, "input_tokens": 16, "hash_ids": [1]})"
                           "\n";
  EXPECT_EQ(refused(good + "[]"), "line 2: is no JSON object");
  EXPECT_THAT(refused(good + "\n{\n"), HasSubstr("line 3: "));
  EXPECT_EQ(refused(good + "{"), "") << "it is being written";
  EXPECT_THAT(refused(good + R"({"input_tokens": 1, "hash_ids": []})"), HasSubstr("line 2: timestamp_ms must be"));
  EXPECT_THAT(refused(R"({"timestamp_ms": -1, "input_tokens": 1, "hash_ids": []})"), HasSubstr("timestamp_ms must be"));
  EXPECT_THAT(refused(R"({"timestamp_ms": 0, "hash_ids": []})"), HasSubstr("input_tokens must be"));
  EXPECT_THAT(refused(R"({"timestamp_ms": 0, "input_tokens": 1})"), HasSubstr("hash_ids must be an array"));
  EXPECT_THAT(refused(R"({"timestamp_ms": 0, "input_tokens": 1, "hash_ids": [null]})"), HasSubstr("hash_ids must be"));
  EXPECT_EQ(refused(""), "has no requests");
}

constexpr std::string_view kRecorded =
    R"({"timestamp_ms":5,"api_ms":1.5,"model":"m","block_tokens":16,"input_tokens":40,"output_tokens":9,)"
    R"("finish":"tool_use","host_tokens":0,"disk_tokens":0,"hash_ids":["a","b"],"answer_hash_ids":["c"],)"
    R"("tail_tokens":1,"tail_hash_id":"d"})"
    "\n"
    R"({"timestamp_ms":9,"api_ms":1,"model":"m","block_tokens":16,"input_tokens":64,"output_tokens":1,)"
    R"("host_tokens":50,"disk_tokens":0,"hash_ids":["a","b","c","x"],"answer_hash_ids":[],"tail_tokens":0,)"
    R"("copied_hash_id":"d"})";

TEST(TraceReader, ReadsWhatAServerRecords) {
  const Trace trace = parsed(kRecorded);
  ASSERT_EQ(trace.requests.size(), 2u);
  EXPECT_EQ(trace.block_tokens, 16u);
  const TraceRequest &first = trace.requests[0], &second = trace.requests[1];
  EXPECT_TRUE(first.recorded && first.tail && !second.tail);
  EXPECT_EQ(first.duration, std::chrono::microseconds(1'500));
  EXPECT_EQ(trace.path(first).size(), 2u);
  ASSERT_EQ(trace.answer(first).size(), 2u);
  EXPECT_EQ(trace.path(second)[2], trace.answer(first)[0]) << "what was an answer is a prompt now";
  EXPECT_EQ(second.copied, trace.answer(first)[1]) << "after the three blocks that 50 tokens fill";
  EXPECT_EQ(trace.unique_blocks, 5u);
  EXPECT_EQ(second.session, first.session);
}

TEST(TraceReader, AServersPromptBlocksAreFull) {
  EXPECT_THAT(refused(R"({"timestamp_ms":5,"block_tokens":16,"input_tokens":20,"hash_ids":["a","b"],)"
                      R"("answer_hash_ids":[]})"),
              HasSubstr("hash_ids must be the prompt's full blocks"));
}

class TraceFile : public ::testing::Test {
 protected:
  std::string write(const std::string& name, std::string_view bytes) {
    const std::string path = dir_.path() + "/" + name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  static std::string compressed(std::string_view text) {
    std::string out(ZSTD_compressBound(text.size()), '\0');
    out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
    return out;
  }
  TempDir dir_;
};

TEST_F(TraceFile, PlainAndCompressedAreTheSame) {
  std::string text;
  for (int i = 0; i < 5'000; ++i)
    text += R"({"timestamp_ms": )" + std::to_string(i) + R"(, "input_tokens": 32, "hash_ids": [0, )" +
            std::to_string(i * 7919 % 1000) + "]}\n";
  const auto plain = read_trace(write("a.jsonl", text), {});
  // Two frames, as appending writers leave them.
  const auto packed = read_trace(
      write("b.jsonl.zst", compressed(text.substr(0, text.size() / 2)) + compressed(text.substr(text.size() / 2))), {});
  ASSERT_TRUE(plain && packed);
  EXPECT_EQ(plain->name, "a");
  EXPECT_EQ(packed->name, "b");
  EXPECT_EQ(plain->blocks, packed->blocks);
  EXPECT_EQ(plain->requests.size(), 5'000u);
  EXPECT_EQ(packed->requests.size(), 5'000u);
}

TEST_F(TraceFile, BadFilesAreNamed) {
  const std::string packed = compressed(kTwo);
  for (std::size_t kept : {packed.size() - 1, packed.size() / 2, std::size_t{5}}) {
    const auto cut = read_trace(write("cut.zst", packed.substr(0, kept)), {});
    ASSERT_FALSE(cut.ok());
    EXPECT_THAT(cut.error().message, HasSubstr("cut.zst"));
  }
  const auto none = read_trace(dir_.path() + "/none.jsonl", {});
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error().message, HasSubstr("cannot open"));
  const auto wrong = read_trace(write("w.jsonl", "{}"), {});
  ASSERT_FALSE(wrong.ok());
  EXPECT_THAT(wrong.error().message, HasSubstr("w.jsonl line 1: "));
}

}  // namespace
}  // namespace kvasir::testing
