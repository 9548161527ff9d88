#pragma once

#include <cstdint>
#include <string>

#include "storage/base/result.h"

namespace kvasir::disk {

// What a folder takes on the device, as du counts it: st_blocks of it and of everything in it.
struct FolderUsage {
  std::uint64_t bytes = 0;
  std::uint64_t table_bytes = 0;  // of .sst files: what a compaction may have on disk twice for a moment
  std::uint64_t manifest_bytes = 0;
  std::uint32_t files = 0;
};
FolderUsage measure_folder(const std::string& path);

// The folder of one store, held by one process: made with mode 0700, locked, its format known. Any thread; the lock
// ends with the object.
class StoreFolder {
 public:
  // Makes, locks and identifies the folder. A store of another format (or damaged beyond recognition) is removed.
  // Errors: io (cannot make or lock it), corrupt (it holds files that are not a store's).
  static Result<StoreFolder> open(const std::string& path);
  StoreFolder(StoreFolder&& other) noexcept;
  StoreFolder& operator=(StoreFolder&&) = delete;
  ~StoreFolder();

  const std::string& path() const { return path_; }
  bool store_dropped() const { return store_dropped_; }  // open() removed a store of another format

  // Whether files here can be opened with O_DIRECT (tmpfs, for one, cannot).
  bool direct_io() const;

  // Removes every file of the store; the folder, its lock and its identity stay.
  void clear() const;

 private:
  StoreFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  Status identify();

  std::string path_;
  int lock_;
  bool store_dropped_ = false;
};

}  // namespace kvasir::disk
