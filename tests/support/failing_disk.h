#pragma once

#include <atomic>
#include <memory>

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

namespace kvasir::testing {

// An environment for RocksDB over the real file system whose writes fail with "no space" while `full` is set, or once a
// budget of bytes is used up.
class FailingDisk {
 public:
  FailingDisk();
  rocksdb::Env* env() const { return env_.get(); }

  std::atomic<bool> full{false};
  std::atomic<std::int64_t> bytes_left{INT64_MAX};

 private:
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace kvasir::testing
