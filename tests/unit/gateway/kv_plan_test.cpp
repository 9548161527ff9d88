#include "gateway/inspect/kv_plan.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/load.h"
#include "config/units.h"
#include "gateway/json/json.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace kvasir {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1u << 20;

class KvPlanTest : public ::testing::Test {
 protected:
  static PlanRequest request(std::uint64_t context, std::uint64_t concurrency, std::uint64_t memory = 1024 * kMiB) {
    PlanRequest r;
    r.name = "tiny", r.path = "models/tiny.gguf";
    r.context_tokens = context, r.concurrency = concurrency;
    r.memory_bytes = memory, r.memory_is_given = true;
    r.disk_bytes = 20ull << 30;
    return r;
  }
  KvPlan plan(PlanRequest r) const {
    Result<KvPlan> made = make_plan(*file_, std::move(r));
    KVASIR_ASSERT(made.ok());
    return std::move(*made);
  }
  std::string error_of(PlanRequest r) const {
    const Result<KvPlan> made = make_plan(*file_, std::move(r));
    return made ? "(no error)" : made.error().message;
  }

  const std::string bytes_ = testing::tiny_model_bytes({});  // 2 layers, 2 KV heads of 16, context 4,096
  const std::unique_ptr<GgufFile> file_ = std::move(GgufFile::parse(std::as_bytes(std::span(bytes_)))).value();
};

TEST_F(KvPlanTest, CountsByHand) {
  const KvPlan p = plan(request(1000, 3));
  EXPECT_EQ(p.load.request_blocks(), 32u);
  EXPECT_EQ(p.load.blocks(), 96u);
  const KvPlan::Row& f16 = p.served();
  EXPECT_EQ(f16.format.name, "f16");
  EXPECT_EQ(f16.token_bytes, 2u * 2 * 2 * 16 * 2);
  EXPECT_EQ(f16.block_bytes, 32u * 256);
  EXPECT_EQ(f16.request_bytes, 32u * 32 * 256);
  EXPECT_EQ(f16.load_bytes, 3u * f16.request_bytes);
  EXPECT_EQ(f16.host.bytes, 1024 * kMiB - f16.weights_bytes - p.process_bytes);
  EXPECT_EQ(f16.host.blocks, f16.host.bytes / f16.block_bytes);
  EXPECT_EQ(f16.host.concurrency_max, f16.host.blocks / 32);
  EXPECT_EQ(f16.context_max, 4096u);  // the model's
  EXPECT_TRUE(p.fits() && f16.disk.fits);
  EXPECT_EQ(p.rows.size(), kKvFormats.size());
  EXPECT_EQ(p.rows[1].token_bytes, 2 * f16.token_bytes);
  EXPECT_GT(p.rows[1].weights_bytes, f16.weights_bytes);
}

TEST_F(KvPlanTest, TheMaximaAreTheEdge) {
  const std::uint64_t memory = plan(request(100, 1)).process_bytes + 2 * kMiB;
  const KvPlan p = plan(request(1000, 4, memory));
  const std::uint64_t most = p.served().host.concurrency_max;
  ASSERT_GT(most, 1u);
  EXPECT_TRUE(plan(request(1000, most, memory)).fits());
  const KvPlan over = plan(request(1000, most + 1, memory));
  EXPECT_FALSE(over.fits());
  EXPECT_EQ(over.yaml, "");
  const std::uint64_t longest = plan(request(1000, most + 1, memory)).served().context_max;
  ASSERT_GT(longest, 0u);
  EXPECT_TRUE(plan(request(longest, most + 1, memory)).fits());
  EXPECT_FALSE(plan(request(longest + 1, most + 1, memory)).fits());
  EXPECT_THAT(to_text(over), HasSubstr("they do not fit; " + std::to_string(most) + " requests at this context, or " +
                                       std::to_string(longest) + " tokens each, do"));
}

TEST_F(KvPlanTest, ASharedPrefixIsKeptOnce) {
  PlanRequest r = request(1000, 10);
  r.shared_prefix = 500;
  const KvPlan p = plan(r);
  EXPECT_EQ(p.load.shared_blocks(), 15u);
  EXPECT_EQ(p.load.blocks(), 15u + 10 * 17);
  EXPECT_THAT(to_text(p), HasSubstr("the first 500 tokens: 15 whole blocks"));
}

TEST_F(KvPlanTest, MemoryThatDoesNotHoldTheWeightsHoldsNothing) {
  const KvPlan p = plan(request(1000, 1, kMiB));
  EXPECT_FALSE(p.fits());
  EXPECT_EQ(p.served().host.bytes, 0u);
  EXPECT_EQ(p.served().host.concurrency_max, 0u);
  EXPECT_EQ(p.served().context_max, 0u);
}

TEST_F(KvPlanTest, RefusesWhatMakesNoSense) {
  EXPECT_THAT(error_of(request(5000, 1)), HasSubstr("--context 5000 is more than the model's context of 4096 tokens"));
  EXPECT_THAT(error_of(request(100, 0)), HasSubstr("--concurrency 0"));
  EXPECT_THAT(error_of(request(100, 1ull << 60)), HasSubstr("--concurrency"));
  PlanRequest r = request(100, 1);
  r.block_tokens = 48;
  EXPECT_THAT(error_of(r), HasSubstr("--block-tokens 48"));
  r = request(100, 1);
  r.shared_prefix = 101;
  EXPECT_THAT(error_of(r), HasSubstr("--shared-prefix 101"));
  r = request(100, 1);
  r.kv_type = "int4";
  EXPECT_THAT(error_of(r), HasSubstr("--kv-type 'int4'"));
  r = request(100, 1);
  r.disk_bytes = kMiB;
  EXPECT_THAT(error_of(r), HasSubstr("--disk 1MiB"));
}

TEST_F(KvPlanTest, WithoutAContextItIsTheModels) { EXPECT_EQ(plan(request(0, 1)).load.context_tokens, 4096u); }

TEST_F(KvPlanTest, TheConfigurationIsValidAndSaysWhatThePlanDoes) {
  for (const std::uint64_t concurrency : {1ull, 64ull, 65ull, 2000ull}) {
    PlanRequest r = request(512, concurrency, 4096 * kMiB);
    r.path = "odd \"name\".gguf";
    r.block_tokens = 64;
    const KvPlan p = plan(r);
    ASSERT_TRUE(p.fits());
    const Config config = parse_config(p.yaml, "plan");
    EXPECT_EQ(config.models.at(0).path, r.path);
    EXPECT_EQ(config.models.at(0).context_tokens, 512u);
    EXPECT_EQ(config.cache.block_tokens, 64u);
    EXPECT_EQ(config.cache.host.capacity, p.served().host.bytes / kMiB * kMiB);
    EXPECT_EQ(config.cache.disk.capacity, 20ull << 30);
    EXPECT_EQ(config.limits.requests_running, std::max<std::uint64_t>(64, std::min<std::uint64_t>(concurrency, 1024)));
  }
}

TEST_F(KvPlanTest, Int8HoldsNearlyTwiceAsMuch) {
  PlanRequest r = request(512, 4, 4096 * kMiB);
  const KvPlan f16 = plan(r);
  EXPECT_EQ(parse_config(f16.yaml, "plan").cache.kv_type, "f16");
  r.kv_type = "int8";
  const KvPlan int8 = plan(r);
  EXPECT_EQ(int8.served().format.name, "int8");
  EXPECT_EQ(int8.served().block_bytes, 32u * 2 * 2 * 2 * (16 + 4));
  EXPECT_GT(int8.served().host.blocks, f16.served().host.blocks * 3 / 2);
  EXPECT_EQ(parse_config(int8.yaml, "plan").cache.kv_type, "int8");
}

// The rest of the machine wants memory too.
TEST_F(KvPlanTest, TheMachinesMemoryIsNotTakenWhole) {
  PlanRequest r = request(512, 1, 64ull << 30);
  r.memory_is_given = false;
  EXPECT_EQ(parse_config(plan(r).yaml, "plan").cache.host.capacity, 2048 * kMiB);
  r.disk_bytes = 0;
  EXPECT_EQ(parse_config(plan(r).yaml, "plan").cache.disk.path, "");
}

TEST_F(KvPlanTest, TextAndJson) {
  const KvPlan p = plan(request(1000, 3));
  EXPECT_THAT(to_text(p), HasSubstr("models/tiny.gguf: 3 requests of 1,000 tokens: they fit\n"));
  const auto json = parse_json(to_json(p));
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->find("formats")->as_array()->size(), kKvFormats.size());
  std::size_t served = 0;
  for (const Value& row : *json->find("formats")->as_array()) served += *row.find("served")->as_bool();
  EXPECT_EQ(served, 3u);
  EXPECT_EQ(*json->find("yaml")->as_string(), p.yaml);
}

TEST(AvailableMemory, IsTheLeastOfMachineAndGroup) {
  const testing::TempDir dir;
  const auto write = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(dir / path).parent_path());
    std::ofstream(dir / path) << text;
  };
  const std::string root = dir.path() + "/";
  EXPECT_EQ(available_memory(root), 0u);
  write("proc/meminfo", "MemTotal:       24684092 kB\nMemFree: 5 kB\nMemAvailable:   1000 kB\n");
  EXPECT_EQ(available_memory(root), 1000u * 1024);
  write("proc/self/cgroup", "4:memory:/a\n0::/b\n");
  write("sys/fs/cgroup/b/memory.max", "max\n");
  write("sys/fs/cgroup/b/memory.current", "1\n");
  EXPECT_EQ(available_memory(root), 1000u * 1024);
  write("sys/fs/cgroup/b/memory.max", "900000\n");
  EXPECT_EQ(available_memory(root), 899'999u);
  write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "500000\n");
  write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "600000\n");
  EXPECT_EQ(available_memory(root), 0u);
}

}  // namespace
}  // namespace kvasir
