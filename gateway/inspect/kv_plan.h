#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/kv_sizes.h"
#include "engine/model/gguf.h"
#include "storage/base/result.h"

namespace kvasir {

// What is asked of a plan.
struct PlanRequest {
  std::string name;                  // of the model
  std::string path;                  // of its file
  std::uint64_t context_tokens = 0;  // prompt and answer of one request; 0: the model's context
  std::uint64_t concurrency = 1;     // requests at once
  std::uint64_t shared_prefix = 0;   // tokens that all of them begin with
  std::uint32_t block_tokens = 32;
  std::string kv_type = "f16";     // f16 or int8: what the cpu backend shall keep
  std::uint64_t memory_bytes = 0;  // for weights, KV pool and the rest of the process
  bool memory_is_given = false;    // else it is what the machine has available
  std::uint64_t disk_bytes = 0;    // capacity of the disk tier; 0: none
};

// Which memory a load of requests takes and what fits where, for every way to keep KV. A value.
struct KvPlan {
  // A tier filled with blocks of one format.
  struct Tier {
    std::uint64_t bytes = 0, blocks = 0;
    std::uint64_t tokens = 0;           // blocks * block_tokens
    std::uint64_t concurrency_max = 0;  // requests of the asked context whose KV it holds
    bool fits = false;                  // it holds the load
  };
  struct Row {
    KvFormat format;
    std::uint64_t block_bytes = 0, token_bytes = 0, request_bytes = 0, load_bytes = 0;
    std::uint64_t weights_bytes = 0;
    Tier host, disk;                // the host tier is the pool that running requests need
    std::uint64_t context_max = 0;  // at the asked concurrency, at most the model's
  };

  PlanRequest request;
  KvLoad load;
  std::uint64_t model_context = 0;
  std::uint64_t process_bytes = 0;  // set aside beside weights and pool
  std::vector<Row> rows;            // in the order of kKvFormats
  std::size_t served_row = 0;
  std::string yaml;  // configuration lines for the cpu backend; empty when the load does not fit

  const Row& served() const { return rows[served_row]; }  // what the cpu backend shall keep
  bool fits() const { return served().host.fits; }
};

// Errors: invalid_argument (a number out of range, named as the option), and those of read_model_config.
Result<KvPlan> make_plan(const GgufFile& file, PlanRequest request);

std::string to_text(const KvPlan& plan);  // aligned lines for a person
std::string to_json(const KvPlan& plan);  // one object on one line

// Bytes of memory that a process may still take: what the kernel calls available, or what is left to its control group.
// 0 when the system does not say. `root` is where /proc and /sys are.
std::uint64_t available_memory(const std::string& root = "/");

}  // namespace kvasir
